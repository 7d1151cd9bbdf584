//! From requests to commits: each on the one before, none of them on the branch yet.

use std::sync::Arc;

use git2::Oid;
use portico_core::batch::{Author, Change, Signature as Signed};
use portico_core::diagnostic::{Diagnostic, Severity};

use super::answer::{Landed, Refused};
use super::apply::{Draft, Drafted, FileChange, Ground};
use super::here::{self, Checkout, Move};
use super::known::Known;
use super::land::{Reply, Session, Where, Write, signature};
use super::message::{Trailers, clean, declining, landing, merging};
use super::places::Before;
use super::request::{Person, Request, RequestId};
use super::review::{BRANCHES, Branches, bring_in};
use super::store::Leaf;
use super::{Proposal, WriteError};
use crate::commit::{CommitId, info};

/// Commits that are made and not on the branch yet.
pub(crate) struct Chain {
    pub(crate) tip: CommitId,
    pub(crate) head: Oid,
    pub(crate) tree: Oid,
    pub(crate) changes: Vec<Change>,
    pub(crate) files: Vec<FileChange>,
    pub(crate) known: Known,
    /// Requests of the same group that wait.
    pub(crate) waiting: Branches,
    pub(crate) landed: Vec<(CommitId, Trailers)>,
    pub(crate) undo: Vec<Before>,
    pub(crate) moves: Vec<Move>,
}

/// A group that is made, and what is answered once it is on the branch.
pub(crate) struct Staged {
    pub(crate) answers: Vec<Result<Landed, Refused>>,
    pub(crate) chain: Chain,
    pub(crate) checkouts: Vec<Checkout>,
}

impl Session<'_> {
    /// Makes the commits of a group.
    pub(crate) fn stage(&mut self, tip: CommitId, group: &[(Write, Reply<Landed>)]) -> Result<Staged, Refused> {
        let prefix = self.reviews();
        self.state.branches = Branches::read(&self.repository.git, prefix, &self.state.branches)?;
        let checkouts = match &self.state.place {
            Where::Here { .. } => here::checkouts(&self.repository.git, &self.branch()?),
            Where::There(_) => Vec::new(),
        };
        let tree = self.repository.tree(tip)?.id();
        let mut chain = Chain {
            tip,
            head: tip.0,
            tree,
            changes: Vec::new(),
            files: Vec::new(),
            known: Known::default(),
            waiting: Branches::default(),
            landed: Vec::new(),
            undo: Vec::new(),
            moves: Vec::new(),
        };
        let mut answers = Vec::with_capacity(group.len());
        for (write, _) in group {
            let made = chain.undo.len();
            let answer = match write {
                Write::Land(request) => self.request(request, &mut chain, &checkouts),
                Write::Merge { id, by, seen } => self.merge((id, by, *seen), &mut chain, &checkouts),
                Write::Decline { id, by, reason } => self.decline(id, by, reason, &mut chain),
            };
            // A failed operation is everybody's; what is wrong with one request is its own.
            if let Err(refused @ Refused::Failed(_)) = answer {
                self.state.places.undo(chain.undo);
                self.store.forget()?;
                return Err(refused);
            }
            debug_assert!(answer.is_ok() || made == chain.undo.len(), "what is refused has changed nothing");
            answers.push(answer);
        }
        if chain.head != tip.0 {
            let name = self.branch()?;
            // What waits is there before anything lands, and what was taken in goes afterwards.
            let at = chain.moves.iter().take_while(|one| one.is_made()).count();
            chain.moves.insert(at, Move { name, from: Some(tip.0), to: Some(chain.head) });
        }
        Ok(Staged { answers, chain, checkouts })
    }

    fn request(&mut self, request: &Request, chain: &mut Chain, checkouts: &[Checkout]) -> Result<Landed, Refused> {
        let again = |commit, waits| Landed { commit, waits, again: true, remarks: Vec::new() };
        for known in [&self.state.known, &chain.known] {
            if let Some(commit) = known.landed(request)? {
                return Ok(again(commit, false));
            }
        }
        for branches in [&self.state.branches, &chain.waiting] {
            if let Some(commit) = branches.waits(request)? {
                return Ok(again(commit, true));
            }
        }
        if let Some(base) = request.base.filter(|base| !self.has(*base)) {
            return Err(Refused::Rewritten { base });
        }
        let mut drafted = {
            let tree = self.repository.git.find_tree(chain.tree).map_err(WriteError::Objects)?;
            let mut draft = Draft::new(self.ground(chain, &tree, request.base));
            for edit in &request.edits {
                draft.edit(edit)?;
            }
            draft.finish()?
        };
        if drafted.files.is_empty() {
            return Ok(Landed { commit: CommitId(chain.head), waits: false, again: false, remarks: Vec::new() });
        }
        attribute(&mut drafted, &request.author);
        let remarks = self.preview(chain, &drafted, (&request.id, &request.author, None), request.review)?;
        if !request.review {
            allow(checkouts, &drafted)?;
        }
        let tree = self.tree(chain.tree, &drafted)?;
        let commit = self.commit(&request.author, &landing(request), tree, &[chain.head])?;
        if request.review {
            let said = self.repository.git.find_commit(commit.0).map_err(WriteError::Objects)?;
            chain.waiting.add(request.id.clone(), &said);
            let name = format!("{BRANCHES}{}", request.id);
            chain.moves.push(Move { name, from: None, to: Some(commit.0) });
        } else {
            self.extend(chain, commit, tree, drafted)?;
        }
        Ok(Landed { commit, waits: request.review, again: false, remarks })
    }

    fn merge(
        &mut self,
        (id, by, seen): (&RequestId, &Person, Option<CommitId>),
        chain: &mut Chain,
        checkouts: &[Checkout],
    ) -> Result<Landed, Refused> {
        let landed = self.state.known.request(id).or_else(|| chain.known.request(id));
        if let Some(commit) = landed {
            return Ok(Landed { commit, waits: false, again: true, remarks: Vec::new() });
        }
        let Some(branch) = self.state.branches.get(id).cloned() else {
            return Err(Refused::NoRequest { id: id.clone() });
        };
        if seen.is_some_and(|seen| seen != branch.commit) {
            return Err(Refused::Changed { id: id.clone() });
        }
        let git = &self.repository.git;
        let base = git.merge_base(chain.tip.0, branch.commit.0).map(CommitId).map_err(WriteError::History)?;
        let mut drafted = {
            let tree = git.find_tree(chain.tree).map_err(WriteError::Objects)?;
            let mut draft = Draft::new(self.ground(chain, &tree, Some(base)));
            bring_in(&mut draft, self.repository, (base, branch.commit, chain.tree))?;
            draft.finish()?
        };
        let author = branch.author();
        attribute(&mut drafted, &author);
        let remarks = self.preview(chain, &drafted, (id, &author, Some(by)), false)?;
        allow(checkouts, &drafted)?;
        let tree = self.tree(chain.tree, &drafted)?;
        let message = merging(id, branch.info(), by);
        let commit = self.commit(by, &message, tree, &[chain.head, branch.commit.0])?;
        self.extend(chain, commit, tree, drafted)?;
        chain.moves.push(Move { name: format!("{BRANCHES}{id}"), from: Some(branch.commit.0), to: None });
        Ok(Landed { commit, waits: false, again: false, remarks })
    }

    fn decline(&mut self, id: &RequestId, by: &Person, reason: &str, chain: &mut Chain) -> Result<Landed, Refused> {
        if let Some(commit) = self.state.known.declined(id).or_else(|| chain.known.declined(id)) {
            return Ok(Landed { commit, waits: false, again: true, remarks: Vec::new() });
        }
        let taken = self.state.known.request(id).or_else(|| chain.known.request(id)).is_some();
        let Some(branch) = self.state.branches.get(id).filter(|_| !taken).cloned() else {
            return Err(Refused::NoRequest { id: id.clone() });
        };
        let message = declining(id, branch.info(), by, reason);
        let commit = self.commit(by, &message, chain.tree, &[chain.head])?;
        self.extend(chain, commit, chain.tree, Drafted::default())?;
        chain.moves.push(Move { name: format!("{BRANCHES}{id}"), from: Some(branch.commit.0), to: None });
        Ok(Landed { commit, waits: false, again: false, remarks: Vec::new() })
    }

    fn ground<'g>(&'g self, chain: &Chain, tree: &'g git2::Tree<'g>, base: Option<CommitId>) -> Ground<'g> {
        Ground {
            repository: self.repository,
            tree,
            places: &self.state.places,
            folder: &self.state.options.folder,
            tip: chain.tip,
            base,
        }
    }

    fn preview(
        &mut self,
        chain: &Chain,
        drafted: &Drafted,
        (request, author, approver): (&RequestId, &Person, Option<&Person>),
        waits: bool,
    ) -> Result<Vec<Diagnostic>, Refused> {
        let Drafted { files, keys: _, changes } = drafted;
        let before = if waits { &[] } else { chain.changes.as_slice() };
        let proposal = Proposal { base: chain.tip, before, changes, files, request, author, approver, waits };
        let remarks = self.state.preview.preview(&proposal);
        let refused = remarks.iter().any(|remark| remark.severity == Severity::Error);
        if refused { Err(Refused::Invalid(remarks)) } else { Ok(remarks) }
    }

    /// The tree with the files of a draft.
    fn tree(&mut self, tree: Oid, drafted: &Drafted) -> Result<Oid, WriteError> {
        let mut leaves: Vec<Leaf<'_>> = Vec::with_capacity(drafted.files.len());
        for file in &drafted.files {
            let id = file.text.as_ref().map(|text| self.store.blob(text)).transpose()?;
            leaves.push((&file.path, id));
        }
        leaves.sort_unstable();
        let old = self.repository.git.find_tree(tree).map_err(WriteError::Objects)?;
        match self.store.tree(Some(&old), &leaves)? {
            Some(id) => Ok(id),
            None => self.store.empty_tree(),
        }
    }

    fn commit(&mut self, author: &Person, message: &str, tree: Oid, parents: &[Oid]) -> Result<CommitId, WriteError> {
        let (author, committer) = (signature(author)?, signature(&self.state.options.committer)?);
        self.store.commit((&author, &committer), message, tree, parents).map(CommitId)
    }

    fn extend(&mut self, chain: &mut Chain, commit: CommitId, tree: Oid, drafted: Drafted) -> Result<(), WriteError> {
        let Drafted { files, keys, changes } = drafted;
        (chain.head, chain.tree) = (commit.0, tree);
        chain.changes.extend(changes);
        chain.files.extend(files);
        chain.undo.extend(keys.into_iter().map(|(file, keys)| self.state.places.put(file, keys)));
        let said = self.repository.git.find_commit(commit.0).map_err(WriteError::Objects)?;
        let trailers = Trailers::of(&info(&said));
        chain.known.note(commit, trailers.clone());
        chain.landed.push((commit, trailers));
        Ok(())
    }
}

/// Says who would have written what is put, where that matters.
fn attribute(drafted: &mut Drafted, author: &Person) {
    let mail = clean(author).mail;
    for change in &mut drafted.changes {
        if let Change::Put(object) = change
            && crate::author::matters(object.spec.kind())
        {
            let (mail, commit) = (mail.as_str().into(), "".into());
            object.author = Some(Arc::new(Author::Commit { mail, commit, signature: Signed::None, portal: None }));
        }
    }
}

fn allow(checkouts: &[Checkout], drafted: &Drafted) -> Result<(), Refused> {
    checkouts.iter().try_for_each(|checkout| drafted.files.iter().try_for_each(|file| checkout.allows(file)))
}
