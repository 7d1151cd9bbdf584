//! What an object or an OpenAPI document said last, when it cannot be read now.
//!
//! At a commit, the document that holds an object says what it is. Where that document cannot be read, the object is what
//! it was at the commit's first parent, and is not there if it was not there. This depends on the commit alone, so a start
//! from nothing and a reader that has followed every commit come to the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use git2::Oid;
use portico_core::batch::Object;
use portico_core::key::ObjectKey;
use portico_core::openapi::is_openapi;

use crate::author::Spot;
use crate::commit::{CommitId, Repository};
use crate::index::Claim;
use crate::text::{Contents, MAX_OPENAPI, read};
use crate::tree::{Differing, Entry, TreeError};

/// How many commits it goes back.
pub(crate) const MAX_COMMITS: usize = 10_000;

/// An object as it was, and where it stood.
pub(crate) type Kept = (Object, Spot);

/// Looks back from a commit.
pub(crate) struct Past<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) is_ours: &'a dyn Fn(&str) -> bool,
}

/// What there is to be known at a commit about an object that is looked for.
struct Sought {
    /// By file and document: what it says, or `None` where it cannot be read. Not read yet: `Unread`.
    claims: BTreeMap<(Arc<str>, u32), Claimed>,
    /// The opaque file that may hold it.
    through: Option<Arc<str>>,
}

enum Claimed {
    Broken,
    /// In a file that has not changed since the commit where the search began.
    Unread,
    Said(Box<Object>),
}

impl Past<'_> {
    /// The commit before, and the manifests that were different then.
    pub(crate) fn back(&self, commit: CommitId) -> Result<Option<(CommitId, Vec<Differing>)>, TreeError> {
        let Some(parent) = self.repository.parent(commit)? else { return Ok(None) };
        let (now, before) = (self.repository.tree(commit)?, self.repository.tree(parent)?);
        let mut differing = self.repository.differing(&now, &before)?;
        differing.retain(|file| (self.is_ours)(&file.path));
        Ok(Some((parent, differing)))
    }

    pub(crate) fn read(&self, path: &str, entry: Option<Entry>) -> Result<Option<Contents>, TreeError> {
        let Some(Entry::File(id)) = entry else { return Ok(None) };
        Ok(Some(read(&Arc::from(path), &self.repository.bytes(path, id)?)))
    }

    /// For each of the opaque `files`: the objects in its older versions, back to the newest that is not opaque.
    pub(crate) fn remembered(
        &self,
        mut commit: CommitId,
        files: &BTreeSet<Arc<str>>,
    ) -> Result<BTreeMap<Arc<str>, BTreeSet<ObjectKey>>, TreeError> {
        let mut found: BTreeMap<Arc<str>, BTreeSet<ObjectKey>> = BTreeMap::new();
        let mut open = files.clone();
        for _ in 0..MAX_COMMITS {
            if open.is_empty() {
                break;
            }
            let Some((parent, differing)) = self.back(commit)? else { break };
            for Differing { path, now } in differing {
                let Some(file) = open.get(path.as_str()).cloned() else { continue };
                let Some(contents) = self.read(&path, now)? else {
                    open.remove(&file);
                    continue;
                };
                if contents.loose.is_empty() {
                    open.remove(&file);
                }
                found.entry(file).or_default().extend(contents.documents.into_iter().map(|said| said.key));
            }
            commit = parent;
        }
        Ok(found)
    }

    /// What each of the objects said last. `claims` are those at `commit`, of which the first cannot be read; `opaque` are
    /// the opaque files there.
    pub(crate) fn kept(
        &self,
        mut commit: CommitId,
        claims: impl Iterator<Item = (ObjectKey, Vec<Claim>)>,
        opaque: &BTreeSet<Arc<str>>,
    ) -> Result<HashMap<ObjectKey, Kept>, TreeError> {
        let mut opaque = opaque.clone();
        let mut sought: BTreeMap<ObjectKey, Sought> =
            claims.map(|(key, claims)| (key, Sought::from(claims.as_slice()))).collect();
        let mut found = HashMap::new();
        for _ in 0..MAX_COMMITS {
            if sought.is_empty() {
                break;
            }
            let Some((parent, differing)) = self.back(commit)? else { break };
            for Differing { path, now } in &differing {
                let contents = self.read(path, *now)?.unwrap_or_default();
                let file: Arc<str> = path.as_str().into();
                for sought in sought.values_mut() {
                    sought.forget(&file);
                }
                opaque.remove(&file);
                if !contents.loose.is_empty() {
                    opaque.insert(file.clone());
                }
                for said in contents.documents {
                    if let Some(sought) = sought.get_mut(&said.key) {
                        let claimed = said.object.map_or(Claimed::Broken, |object| Claimed::Said(Box::new(object)));
                        sought.claims.insert((file.clone(), said.document), claimed);
                    }
                }
            }
            self.settle(parent, &opaque, &mut sought, &mut found)?;
            commit = parent;
        }
        Ok(found)
    }

    /// Takes those out that are found at `commit`, or known not to be there.
    fn settle(
        &self,
        commit: CommitId,
        opaque: &BTreeSet<Arc<str>>,
        sought: &mut BTreeMap<ObjectKey, Sought>,
        found: &mut HashMap<ObjectKey, Kept>,
    ) -> Result<(), TreeError> {
        let mut remembered = None;
        let mut settled = Vec::new();
        for (key, sought) in sought.iter_mut() {
            match sought.claims.first_key_value() {
                Some((_, Claimed::Broken)) => sought.through = None,
                Some(((file, _), Claimed::Said(object))) => {
                    found.insert(key.clone(), ((**object).clone(), Spot { commit, file: file.clone() }));
                    settled.push(key.clone());
                }
                Some(((file, document), Claimed::Unread)) => {
                    let entry = self.repository.at(&self.repository.tree(commit)?, file)?;
                    let contents = self.read(file, entry)?.unwrap_or_default();
                    let said = contents.documents.into_iter().find(|said| said.document == *document);
                    if let Some(object) = said.and_then(|said| said.object) {
                        found.insert(key.clone(), (object, Spot { commit, file: file.clone() }));
                    }
                    settled.push(key.clone());
                }
                None if sought.through.is_some() => {}
                None => {
                    if remembered.is_none() {
                        remembered = Some(self.remembered(commit, opaque)?);
                    }
                    let holds = |(_, keys): &(&Arc<str>, &BTreeSet<ObjectKey>)| keys.contains(key);
                    sought.through = remembered.iter().flatten().find(holds).map(|(file, _)| file.clone());
                    if sought.through.is_none() {
                        settled.push(key.clone());
                    }
                }
            }
        }
        for key in settled {
            sought.remove(&key);
        }
        Ok(())
    }
}

/// The text that the file at `path` had when it was an OpenAPI document the last time, at `commit` or before it.
pub(crate) fn document(
    repository: &Repository,
    mut commit: CommitId,
    path: &str,
) -> Result<Option<(Oid, Arc<str>)>, TreeError> {
    let mut seen = None;
    for _ in 0..MAX_COMMITS {
        if let Some(Entry::File(id)) = repository.at(&repository.tree(commit)?, path)?
            && seen.replace(id) != Some(id)
            && let Ok(text) = String::from_utf8(repository.bytes(path, id)?)
            && text.len() <= MAX_OPENAPI
            && is_openapi(&text)
        {
            return Ok(Some((id, text.into())));
        }
        let Some(parent) = repository.parent(commit)? else { break };
        commit = parent;
    }
    Ok(None)
}

impl Sought {
    fn from(claims: &[Claim]) -> Sought {
        let real = claims.iter().filter(|claim| !claim.remembered);
        let claimed = |claim: &Claim| if claim.good { Claimed::Unread } else { Claimed::Broken };
        Sought {
            claims: real.map(|claim| ((claim.file.clone(), claim.document), claimed(claim))).collect(),
            through: claims.first().filter(|claim| claim.remembered).map(|claim| claim.file.clone()),
        }
    }

    /// The file was different, so what is known of it no longer counts.
    fn forget(&mut self, file: &Arc<str>) {
        self.claims.retain(|(claiming, _), _| claiming != file);
        self.through.take_if(|through| through == file);
    }
}
