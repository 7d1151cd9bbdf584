//! Requests that wait on branches of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use git2::{Oid, Repository as Git};
use portico_core::diagnostic::Place;

use super::WriteError;
use super::answer::{Conflict, Refused, Waiting};
use super::apply::{Draft, Found, object, text_of};
use super::message::Trailers;
use super::request::{Edit, Person, Request, RequestId};
use crate::changes::Changes;
use crate::commit::{CommitId, CommitInfo, Repository};
use crate::text::heads;
use crate::tree::Entry;

/// Where branches of requests are, in the repository that people see.
pub(crate) const BRANCHES: &str = "refs/heads/portico/";

/// A branch of a request.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) commit: CommitId,
    info: CommitInfo,
    trailers: Trailers,
    /// What it changes, once somebody has asked.
    changes: Arc<OnceLock<Arc<Changes>>>,
}

/// The branches that there are.
#[derive(Debug, Default)]
pub(crate) struct Branches(BTreeMap<RequestId, Branch>);

impl Branches {
    /// Reads them: those below `prefix`. What is known of the commits is taken from `before`.
    pub(crate) fn read(git: &Git, prefix: &str, before: &Branches) -> Result<Branches, WriteError> {
        let failed = |source| WriteError::Branch { branch: format!("{prefix}*"), source };
        let mut found = BTreeMap::new();
        for reference in git.references_glob(&format!("{prefix}*")).map_err(failed)? {
            let reference = reference.map_err(failed)?;
            let (Ok(name), Some(target)) = (reference.name(), reference.target()) else { continue };
            // Other branches there are other people's.
            let Ok(id) = RequestId::new(name.strip_prefix(prefix).unwrap_or_default()) else { continue };
            let known = before.0.get(&id).filter(|branch| branch.commit.0 == target);
            let branch = if let Some(branch) = known {
                branch.clone()
            } else {
                let Ok(commit) = git.find_commit(target) else { continue };
                Branch::at(&commit)
            };
            found.insert(id, branch);
        }
        Ok(Branches(found))
    }

    /// One more.
    pub(crate) fn add(&mut self, id: RequestId, commit: &git2::Commit<'_>) {
        self.0.insert(id, Branch::at(commit));
    }

    pub(crate) fn get(&self, id: &RequestId) -> Option<&Branch> {
        self.0.get(id)
    }

    /// The branch that this very request waits on already.
    pub(crate) fn waits(&self, request: &Request) -> Result<Option<CommitId>, Refused> {
        let once = Some(request.once.as_str());
        let holder = self.0.values().find(|branch| branch.trailers.once.as_deref() == once);
        match holder {
            Some(branch) if branch.trailers.edits.as_deref() == Some(&request.digest()) => Ok(Some(branch.commit)),
            Some(branch) => Err(Refused::KeyReused { commit: branch.commit }),
            None if self.0.contains_key(&request.id) => Err(Refused::IdReused { id: request.id.clone() }),
            None => Ok(None),
        }
    }

    /// Those that are not in `tip` yet.
    pub(crate) fn waiting(
        &self,
        repository: &Repository,
        tip: CommitId,
        folder: &str,
    ) -> Result<Vec<Waiting>, WriteError> {
        let open = self.0.iter().filter(|(_, branch)| !repository.follows(tip, branch.commit).unwrap_or(false));
        open.map(|(id, branch)| branch.waiting(id, repository, tip, folder)).collect()
    }
}

impl Branch {
    fn at(commit: &git2::Commit<'_>) -> Branch {
        let info = crate::commit::info(commit);
        Branch { commit: info.id, trailers: Trailers::of(&info), info, changes: Arc::default() }
    }

    /// The request, as those see it who look at it.
    pub(crate) fn waiting(
        &self,
        id: &RequestId,
        repository: &Repository,
        tip: CommitId,
        folder: &str,
    ) -> Result<Waiting, WriteError> {
        let changes = if let Some(changes) = self.changes.get() {
            changes.clone()
        } else {
            let base = repository.git.merge_base(tip.0, self.commit.0).map_err(WriteError::History)?;
            let changes = Arc::new(repository.changes(Some(CommitId(base)), self.commit, folder, &[])?);
            self.changes.get_or_init(|| changes).clone()
        };
        Ok(Waiting {
            id: id.clone(),
            commit: self.commit,
            author: self.author(),
            since: self.info.committed,
            summary: self.info.summary.clone(),
            changes,
        })
    }

    pub(crate) fn info(&self) -> &CommitInfo {
        &self.info
    }

    /// Who wants it.
    pub(crate) fn author(&self) -> Person {
        Person { name: self.info.author.clone(), mail: self.info.mail.clone() }
    }
}

/// Brings what a branch changes into a draft. Files that nobody else has touched are taken as they are, of others the documents.
pub(crate) fn bring_in(
    draft: &mut Draft<'_>,
    repository: &Repository,
    (base, branch, now): (CommitId, CommitId, Oid),
) -> Result<(), Refused> {
    let (old, new) = (repository.tree(base)?, repository.tree(branch)?);
    let now = repository.git.find_tree(now).map_err(WriteError::Objects)?;
    for differing in repository.differing(&old, &new)? {
        let file: Arc<str> = differing.path.into();
        let (before, there) = (repository.at(&old, &file)?, repository.at(&now, &file)?);
        if there == differing.now {
            continue;
        }
        if there == before && differing.now != Some(Entry::Link) {
            draft.replace(&file, text_of(repository, &new, &file)?)?;
            continue;
        }
        let text = |tree| Ok::<_, Refused>(text_of(repository, tree, &file)?.unwrap_or_default());
        let (before, after) = (text(&old)?, text(&new)?);
        let edits = edits(&file, &before, &after)?;
        if edits.is_empty() {
            let place = Place { file, line: 1, column: 1, length: 0 };
            return Err(Refused::Conflict(Box::new(Conflict { object: None, path: String::new(), place, by: None })));
        }
        for edit in &edits {
            draft.edit(edit)?;
        }
    }
    Ok(())
}

/// What takes the documents of a file from one text to another.
fn edits(file: &Arc<str>, before: &str, after: &str) -> Result<Vec<Edit>, Refused> {
    let documents = |text: &str| {
        let heads = heads(file, text.as_bytes()).into_iter();
        let found = heads.map(|(key, document)| (key, Found { file: file.clone(), document, text: text.to_owned() }));
        found.collect::<BTreeMap<_, _>>()
    };
    let (before, after) = (documents(before), documents(after));
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut edits = Vec::new();
    for key in keys {
        match (before.get(key), after.get(key)) {
            (_, Some(found)) => {
                let wanted = object(found, key).map_err(Refused::Invalid)?;
                let same = before.get(key).is_some_and(|found| object(found, key).is_ok_and(|old| old == wanted));
                if !same {
                    edits.push(Edit::Put(Box::new(wanted)));
                }
            }
            (_, None) => edits.push(Edit::Delete(key.clone())),
        }
    }
    Ok(edits)
}
