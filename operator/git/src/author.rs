//! Who wrote what an object says now: the author of the commit since which its document says so.
//!
//! It is the document that counts, not its file: whoever writes another document of the same file, moves the file, or merges a
//! branch has not written it. The search begins at a commit with all objects at once, takes each back to the parent that says
//! the same, and ends when all are found; a following reader goes no further than the commit that it knows.

use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use portico_core::batch::{Author, Object, Signature};
use portico_core::key::{Kind, ObjectKey};

use crate::commit::{CommitId, info};
use crate::history::Past;
use crate::index::Keys;
use crate::text::Contents;
use crate::tree::{Differing, TreeError, retried};

/// Whether it matters who wrote an object of this kind.
pub(crate) fn matters(kind: Kind) -> bool {
    matches!(kind, Kind::Approval | Kind::Subscription)
}

/// The objects that are followed back, by the file that speaks for them at a commit.
type Open = HashMap<Arc<str>, Vec<ObjectKey>>;

/// Where an object stands that is looked for.
#[derive(Clone, Debug)]
pub(crate) struct Spot {
    pub(crate) commit: CommitId,
    pub(crate) file: Arc<str>,
}

/// Authors that are known already, at a commit.
pub(crate) struct Known<'a> {
    pub(crate) commit: CommitId,
    pub(crate) authors: &'a Keys<Arc<Author>>,
    /// The file that spoke for an object there.
    pub(crate) file: &'a dyn Fn(&ObjectKey) -> Option<Arc<str>>,
}

/// A commit to look at; later ones come first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Next {
    second: i64,
    commit: CommitId,
}

impl Past<'_> {
    /// Who wrote each of these objects, all of which read well at the commit and in the file of their [`Spot`].
    pub(crate) fn authors(
        &self,
        objects: impl IntoIterator<Item = (ObjectKey, Spot)>,
        known: Option<&Known<'_>>,
    ) -> Result<Keys<Arc<Author>>, TreeError> {
        let mut found = Keys::default();
        let mut open: HashMap<CommitId, Open> = HashMap::new();
        let mut next = BinaryHeap::new();
        for (key, Spot { commit, file }) in objects {
            let files = open.entry(commit).or_insert_with(|| {
                next.push(Next { second: i64::MAX, commit });
                Open::new()
            });
            files.entry(file).or_default().push(key);
        }
        while let Some(Next { commit, .. }) = next.pop() {
            let Some(mut objects) = open.remove(&commit) else { continue };
            if let Some(known) = known.filter(|known| known.commit == commit) {
                recall(known, &mut objects, &mut found);
            }
            let failed = |source| TreeError::Commit { commit, source };
            let said = retried(|| self.repository.git.find_commit(commit.0)).map_err(failed)?;
            let mut ends = self.repository.is_cut(commit);
            for parent in said.parent_ids().map(CommitId) {
                if objects.is_empty() {
                    break;
                }
                if !self.repository.git.odb().is_ok_and(|odb| odb.exists(parent.0)) {
                    ends = true;
                    continue;
                }
                let failed = |source| TreeError::Commit { commit: parent, source };
                let second = retried(|| self.repository.git.find_commit(parent.0)).map_err(failed)?.time().seconds();
                let same = self.taken_over(commit, parent, &mut objects)?;
                if !same.is_empty() {
                    join(open.entry(parent).or_default(), same);
                    next.push(Next { second, commit: parent });
                }
            }
            if objects.is_empty() {
                continue;
            }
            let keys = || objects.values().flatten();
            let author = Arc::new(if ends {
                Author::Unknown("the history that is here ends before the commit that wrote it".into())
            } else {
                let asked = keys().any(|key| key.kind == Kind::Approval);
                let signature = if asked { self.repository.signature(commit) } else { Signature::None };
                let mail = info(&said).mail.into();
                Author::Commit { mail, commit: commit.to_string().into(), signature, portal: None }
            });
            found.extend(keys().map(|key| (key.clone(), author.clone())));
        }
        Ok(found)
    }

    /// Takes those out of `objects` that say the same at the parent, with the files that speak for them there.
    fn taken_over(&self, commit: CommitId, parent: CommitId, objects: &mut Open) -> Result<Open, TreeError> {
        let (now, before) = (self.repository.tree(commit)?, self.repository.tree(parent)?);
        let mut differing = self.repository.differing(&now, &before)?;
        differing.retain(|file| (self.is_ours)(&file.path));
        let mut touched = Open::new();
        for Differing { path, .. } in &differing {
            touched.extend(objects.remove_entry(path.as_str()));
        }
        let mut same = std::mem::take(objects);
        if touched.is_empty() {
            return Ok(same);
        }
        let mut old: BTreeMap<Arc<str>, Contents> = BTreeMap::new();
        for Differing { path, now } in differing {
            if let Some(contents) = self.read(&path, now)? {
                old.insert(path.into(), contents);
            }
        }
        let there: HashSet<&ObjectKey> = old.values().flat_map(|old| &old.documents).map(|said| &said.key).collect();
        for (file, keys) in touched {
            let (known, new): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| there.contains(key));
            if !new.is_empty() {
                objects.entry(file.clone()).or_default().extend(new);
            }
            if known.is_empty() {
                continue;
            }
            let entry = self.repository.at(&now, &file)?;
            let contents = self.read(&file, entry)?.unwrap_or_default();
            for key in known {
                let said = spoken(&contents, &key);
                let place = said.and_then(|said| place(&old, &file, said));
                let files = if place.is_some() { &mut same } else { &mut *objects };
                files.entry(place.unwrap_or_else(|| file.clone())).or_default().push(key);
            }
        }
        Ok(same)
    }
}

/// Puts the smaller one into the other: on the way through a long history there are many objects, and nothing to join them with.
fn join(into: &mut Open, mut more: Open) {
    if into.len() < more.len() {
        std::mem::swap(into, &mut more);
    }
    for (file, keys) in more {
        into.entry(file).or_default().extend(keys);
    }
}

/// Takes those out of `objects` whose author is known at this commit.
fn recall(known: &Known<'_>, objects: &mut Open, found: &mut Keys<Arc<Author>>) {
    for (file, keys) in objects.iter_mut() {
        keys.retain(|key| match known.authors.get(key).filter(|_| (known.file)(key).as_ref() == Some(file)) {
            Some(author) => {
                found.insert(key.clone(), author.clone());
                false
            }
            None => true,
        });
    }
    objects.retain(|_, keys| !keys.is_empty());
}

/// What the first document about an object says, if that reads well.
fn spoken<'a>(contents: &'a Contents, key: &ObjectKey) -> Option<&'a Object> {
    contents.documents.iter().find(|said| said.key == *key)?.object.as_ref()
}

/// The file that says the same: the one of this name, or another that was different.
fn place(old: &BTreeMap<Arc<str>, Contents>, file: &Arc<str>, said: &Object) -> Option<Arc<str>> {
    let key = said.key();
    let fits = |contents: &Contents| spoken(contents, &key) == Some(said);
    if old.get(file).is_some_and(fits) {
        return Some(file.clone());
    }
    old.iter().find(|(_, contents)| fits(contents)).map(|(other, _)| other.clone())
}
