//! What commits changed about objects, for whoever asks who did what, and when.
//!
//! A commit is compared with its first parent. A merge on the branch itself is what let the changes in that it brings; a merge
//! anywhere else counts only for what none of its parents says. However long a history is, one look at it has an end.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portico_core::batch::Object;
use portico_core::key::ObjectKey;

use crate::commit::{CommitId, CommitInfo, Repository, info};
use crate::text::is_manifest_in;
use crate::text::{Contents, read};
use crate::tree::{Differing, Entry, TreeError, retried};

/// In a commit that changes more files than this, only those are read that have a word of what is looked for.
const FEW: usize = 200;
/// So many files of a commit are looked at.
const MOST: usize = 200_000;

/// An object that a commit changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// Which.
    pub key: ObjectKey,
    /// What it said before; absent where it was not there, or could not be read.
    pub before: Option<Object>,
    /// Whether it could not be read before.
    pub was_unread: bool,
    /// What it says since; absent where it is gone.
    pub after: Option<Object>,
}

/// What a commit changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Objects, in order of their kinds and names.
    pub objects: Vec<Changed>,
    /// How many files it changed that speak of no object.
    pub others: usize,
    /// Whether there was more than could be looked at.
    pub is_cut: bool,
}

/// A commit that changed what is looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The commit.
    pub commit: CommitInfo,
    /// Whether it takes in what was committed elsewhere.
    pub takes_in: bool,
    /// What it changed of that.
    pub objects: Vec<Changed>,
    /// Whether it changed more than could be looked at.
    pub is_cut: bool,
}

/// A part of a history, the newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trail {
    /// The commits.
    pub steps: Vec<Step>,
    /// The last commit that was looked at, where there are older ones.
    pub older: Option<CommitId>,
    /// Whether the history that is here ends before it began: a shallow clone.
    pub is_cut: bool,
}

/// Which part of a history is looked at.
#[derive(Clone, Debug)]
pub struct Window {
    /// Commits after this one in the order of a trail; absent: from the newest on.
    pub before: Option<CommitId>,
    /// How many are wanted.
    pub most: usize,
    /// How many are compared at most,
    pub looks: usize,
    /// and for how long.
    pub patience: Duration,
    /// Words of which a file about what is looked for has one.
    pub words: Vec<String>,
}

/// A commit to look at; later ones come first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Next {
    second: i64,
    commit: CommitId,
}

impl Repository {
    /// The commits up to `head` that changed something of which `concern` keeps some. It is asked in the order of the trail.
    ///
    /// # Errors
    ///
    /// When the repository cannot be read.
    pub fn trail(
        &self,
        head: CommitId,
        folder: &str,
        window: &Window,
        mut concern: impl FnMut(Vec<Changed>) -> Vec<Changed>,
    ) -> Result<Trail, TreeError> {
        let begun = Instant::now();
        let mut trail = Trail::default();
        let mut next = BinaryHeap::from([Next { second: i64::MAX, commit: head }]);
        let (mut seen, mut branch) = (HashSet::from([head]), HashSet::from([head]));
        let mut before = window.before;
        let mut looks = 0;
        let mut last = None;
        while let Some(Next { commit, .. }) = next.pop() {
            let failed = |source| TreeError::Commit { commit, source };
            let said = retried(|| self.git.find_commit(commit.0)).map_err(failed)?;
            let is_branch = branch.remove(&commit);
            let mut parents = Vec::new();
            for parent in said.parent_ids().map(CommitId) {
                let Ok(found) = retried(|| self.git.find_commit(parent.0)) else {
                    trail.is_cut = true;
                    continue;
                };
                if is_branch && parents.is_empty() {
                    branch.insert(parent);
                }
                parents.push(parent);
                if seen.insert(parent) {
                    next.push(Next { second: found.time().seconds(), commit: parent });
                }
            }
            if let Some(wanted) = before {
                before = (commit != wanted).then_some(wanted);
                continue;
            }
            if trail.steps.len() >= window.most || looks >= window.looks || begun.elapsed() > window.patience {
                trail.older = last;
                return Ok(trail);
            }
            looks += 1;
            last = Some(commit);
            if self.is_cut(commit) {
                trail.is_cut = true;
                continue;
            }
            let Changes { objects, others: _, is_cut } =
                self.changes(parents.first().copied(), commit, folder, &window.words)?;
            let mut objects = objects;
            for parent in parents.iter().skip(1).filter(|_| !is_branch) {
                let own = self.changes(Some(*parent), commit, folder, &window.words)?.objects;
                objects.retain(|one| own.iter().any(|own| own.key == one.key));
            }
            let objects = if objects.is_empty() { objects } else { concern(objects) };
            if !objects.is_empty() || is_cut {
                let takes_in = parents.len() > 1 && is_branch;
                trail.steps.push(Step { commit: info(&said), takes_in, objects, is_cut });
            }
        }
        Ok(trail)
    }

    /// What is different at a commit than at another, or than where there was nothing. Where that is many files, only those
    /// with one of the words are read.
    ///
    /// # Errors
    ///
    /// When the repository cannot be read.
    pub fn changes(
        &self,
        from: Option<CommitId>,
        to: CommitId,
        folder: &str,
        words: &[String],
    ) -> Result<Changes, TreeError> {
        let new = self.tree(to)?;
        let old = from.map(|from| self.tree(from)).transpose()?;
        let differing = match &old {
            Some(old) => self.differing(old, &new)?,
            None => self.listing(to)?,
        };
        let all = differing.len();
        let mut differing: Vec<Differing> =
            differing.into_iter().filter(|file| is_manifest_in(&file.path, folder)).collect();
        let mut others = all - differing.len();
        let is_cut = differing.len() > MOST;
        differing.truncate(MOST);
        differing.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        let is_many = differing.len() > FEW;
        let has_word = |bytes: &[u8]| words.iter().any(|word| contains(bytes, word.as_bytes()));
        let (mut before, mut after) = (Said::new(), Said::new());
        for Differing { path, now } in differing {
            let file: Arc<str> = path.into();
            let then = old.as_ref().map(|old| self.at(old, &file)).transpose()?.flatten();
            let (mut sides, mut is_unread) = ([None, None], false);
            for (entry, side) in [then, now].into_iter().zip(&mut sides) {
                let Some(Entry::File(id)) = entry else { continue };
                let bytes = self.bytes(&file, id)?;
                let is_of_others = is_many && !words.is_empty() && !has_word(&bytes);
                *side = (!is_of_others).then(|| read(&file, &bytes));
                is_unread |= is_of_others;
            }
            let [then, now] = sides.map(Option::unwrap_or_default);
            others += usize::from(!is_unread && then.documents.is_empty() && now.documents.is_empty());
            // Of what a file speaks that does not read, nobody knows: it goes on speaking of what it spoke of.
            let keys = |contents: &Contents, is_known: bool| -> Vec<ObjectKey> {
                contents.documents.iter().filter(|_| !is_known).map(|one| one.key.clone()).collect()
            };
            let unknown = [keys(&now, then.loose.is_empty()), keys(&then, now.loose.is_empty())];
            for (contents, said) in [(then, &mut before), (now, &mut after)] {
                for one in contents.documents {
                    said.entry(one.key).or_insert(one.object);
                }
            }
            for (keys, said) in unknown.into_iter().zip([&mut before, &mut after]) {
                for key in keys {
                    said.entry(key).or_insert(None);
                }
            }
        }
        Ok(Changes { objects: differences(before, after), others, is_cut })
    }
}

/// Objects by what the first document about each says; `None` where that does not read.
type Said = BTreeMap<ObjectKey, Option<Object>>;

fn differences(mut before: Said, mut after: Said) -> Vec<Changed> {
    let keys: BTreeSet<ObjectKey> = before.keys().chain(after.keys()).cloned().collect();
    let changed = keys.into_iter().filter_map(|key| {
        let (before, after) = (before.remove(&key), after.remove(&key));
        // What does not read says what it said before.
        let after = match after {
            Some(None) => return None,
            Some(Some(object)) => Some(object),
            None => None,
        };
        let was_unread = before == Some(None);
        let before = before.flatten();
        (before != after).then_some(Changed { key, before, was_unread, after })
    });
    changed.collect()
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    !word.is_empty() && bytes.windows(word.len()).any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found() {
        assert!(contains(b"name: web-open", b"web"));
        assert!(!contains(b"name", b"names"));
        assert!(!contains(b"name", b""));
    }
}
