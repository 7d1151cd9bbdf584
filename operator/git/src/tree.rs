//! Files of a commit's tree: which there are, which differ, and what is in them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use git2::{ErrorCode, ObjectType, Oid, Tree, TreeEntry};

use crate::commit::{CommitId, Repository};

/// A commit cannot be read; nothing of it has been taken over.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The commit or its tree.
    #[error("cannot read the tree of commit {commit}")]
    Commit {
        /// The commit.
        commit: CommitId,
        /// In the words of libgit2.
        source: git2::Error,
    },
    /// A folder.
    #[error("cannot read the folder `{path}`")]
    Folder {
        /// The folder.
        path: String,
        /// In the words of libgit2.
        source: git2::Error,
    },
    /// A file.
    #[error("cannot read the file `{path}`")]
    File {
        /// The file.
        path: String,
        /// In the words of libgit2.
        source: git2::Error,
    },
    /// A repository cannot be opened once more, for another thread.
    #[error("cannot open the repository")]
    Open(#[source] git2::Error),
}

/// What stands at a path. Submodules are none of our business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    File(Oid),
    Link,
}

/// A path where two trees differ, and what the new one has there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Differing {
    pub(crate) path: String,
    pub(crate) now: Option<Entry>,
}

/// Does it once more when an object is not there: a pack may just have been put in another's place.
pub(crate) fn retried<T>(mut read: impl FnMut() -> Result<T, git2::Error>) -> Result<T, git2::Error> {
    match read() {
        Err(error) if error.code() == ErrorCode::NotFound => {
            std::thread::sleep(Duration::from_millis(10));
            read()
        }
        result => result,
    }
}

impl Repository {
    pub(crate) fn tree(&self, commit: CommitId) -> Result<Tree<'_>, TreeError> {
        let failed = |source| TreeError::Commit { commit, source };
        retried(|| self.git.find_commit(commit.0)?.tree()).map_err(failed)
    }

    /// The first parent of a commit, and `None` for the first commit or the end of a shallow clone.
    pub(crate) fn parent(&self, commit: CommitId) -> Result<Option<CommitId>, TreeError> {
        let failed = |source| TreeError::Commit { commit, source };
        let found = retried(|| self.git.find_commit(commit.0)).map_err(failed)?;
        let Ok(parent) = found.parent_id(0) else { return Ok(None) };
        Ok(self.git.odb().is_ok_and(|odb| odb.exists(parent)).then_some(CommitId(parent)))
    }

    /// Whether a shallow clone ends at a commit, of which libgit2 then says that it has no parents.
    pub(crate) fn is_cut(&self, commit: CommitId) -> bool {
        self.git.is_shallow()
            && std::fs::read_to_string(self.git.commondir().join("shallow"))
                .is_ok_and(|text| text.lines().any(|line| line.trim() == commit.to_string()))
    }

    /// Where two trees differ, in no order worth relying on. Only folders that differ are read.
    pub(crate) fn differing(&self, old: &Tree<'_>, new: &Tree<'_>) -> Result<Vec<Differing>, TreeError> {
        let mut found = Vec::new();
        if old.id() != new.id() {
            self.compare(Some(old), Some(new), &mut String::new(), &mut found)?;
        }
        Ok(found)
    }

    fn compare(
        &self,
        old: Option<&Tree<'_>>,
        new: Option<&Tree<'_>>,
        path: &mut String,
        found: &mut Vec<Differing>,
    ) -> Result<(), TreeError> {
        let mut before = old.into_iter().flat_map(Tree::iter).peekable();
        let mut now = new.into_iter().flat_map(Tree::iter).peekable();
        loop {
            let order = match (before.peek(), now.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(before), Some(now)) => sorted(before).cmp(sorted(now)),
            };
            let old = if order.is_le() { before.next() } else { None };
            let new = if order.is_ge() { now.next() } else { None };
            if let (Some(old), Some(new)) = (&old, &new)
                && old.id() == new.id()
                && old.filemode() == new.filemode()
            {
                continue;
            }
            self.entry(old.as_ref(), new.as_ref(), path, found)?;
        }
    }

    /// Two entries that sort alike: both of the same name, and both a folder or neither.
    fn entry(
        &self,
        old: Option<&TreeEntry<'_>>,
        new: Option<&TreeEntry<'_>>,
        path: &mut String,
        found: &mut Vec<Differing>,
    ) -> Result<(), TreeError> {
        let Some(either) = new.or(old) else { return Ok(()) };
        // A name that is not UTF-8 is no file of ours: manifests and documents are named in UTF-8 text.
        let Ok(name) = std::str::from_utf8(either.name_bytes()) else { return Ok(()) };
        let length = path.len();
        if length > 0 {
            path.push('/');
        }
        path.push_str(name);
        if either.kind() == Some(ObjectType::Tree) {
            let tree = |entry: Option<&TreeEntry<'_>>| {
                let read = |id| retried(|| self.git.find_tree(id));
                entry.map(|entry| read(entry.id())).transpose()
            };
            let failed = |source| TreeError::Folder { path: path.clone(), source };
            let (old, new) = (tree(old).map_err(failed)?, tree(new).map_err(failed)?);
            self.compare(old.as_ref(), new.as_ref(), path, found)?;
        } else {
            let (before, now) = (old.and_then(entry), new.and_then(entry));
            if before != now {
                found.push(Differing { path: path.clone(), now });
            }
        }
        path.truncate(length);
        Ok(())
    }

    /// What stands at a path of a tree.
    pub(crate) fn at(&self, tree: &Tree<'_>, path: &str) -> Result<Option<Entry>, TreeError> {
        match tree.get_path(Path::new(path)) {
            Ok(found) => Ok(entry(&found)),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(source) => Err(TreeError::File { path: path.to_owned(), source }),
        }
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&self, path: &str, id: Oid) -> Result<Vec<u8>, TreeError> {
        let failed = |source| TreeError::File { path: path.to_owned(), source };
        let odb = self.git.odb().map_err(failed)?;
        retried(|| odb.read(id)).map(|object| object.data().to_vec()).map_err(failed)
    }

    /// Every file of a commit, in order of the paths.
    ///
    /// It takes handles of its own: libgit2 would keep every folder it has read in the memory of this one.
    pub(crate) fn listing(&self, commit: CommitId) -> Result<Vec<Differing>, TreeError> {
        let failed = |source| TreeError::Commit { commit, source };
        let git = git2::Repository::open(self.git.path()).map_err(TreeError::Open)?;
        let root = retried(|| Ok(git.find_commit(commit.0)?.tree_id())).map_err(failed)?;
        let mut found = Vec::new();
        let mut folders = vec![(String::new(), root)];
        // A few folders are opened here, so that there are enough to share out.
        for _ in 0..3 {
            if folders.len() >= 64 {
                break;
            }
            let mut below = Vec::new();
            for (path, id) in folders {
                below.extend(open(&git, &path, id, &mut found)?);
            }
            folders = below;
        }
        let shares = self.shared(&folders, 8, |git, (path, id)| {
            let mut found = Vec::new();
            let mut folders = vec![(path.clone(), *id)];
            while let Some((path, id)) = folders.pop() {
                folders.extend(open(git, &path, id, &mut found)?);
            }
            Ok(found)
        })?;
        found.extend(shares.into_iter().flatten());
        found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// Reads many files on all cores, and makes of each what `make` makes of it. Results come in the order of `files`.
    pub(crate) fn many<T: Send>(
        &self,
        files: &[(Arc<str>, Oid)],
        make: impl Fn(&Arc<str>, &[u8]) -> T + Sync,
    ) -> Result<Vec<T>, TreeError> {
        self.shared(files, 256, |git, (path, id)| {
            let failed = |source| TreeError::File { path: path.to_string(), source };
            let odb = git.odb().map_err(TreeError::Open)?;
            retried(|| odb.read(*id)).map(|object| make(path, object.data())).map_err(failed)
        })
    }

    /// Does `work` for all of `items`, `share` of them at a time, on all cores.
    fn shared<I: Sync, T: Send>(
        &self,
        items: &[I],
        share: usize,
        work: impl Fn(&git2::Repository, &I) -> Result<T, TreeError> + Sync,
    ) -> Result<Vec<T>, TreeError> {
        if items.len() <= share {
            return items.iter().map(|item| work(&self.git, item)).collect();
        }
        let next = AtomicUsize::new(0);
        let path = self.git.path();
        let take = || -> Result<Vec<(usize, Vec<T>)>, TreeError> {
            // A repository of libgit2 belongs to one thread at a time.
            let git = git2::Repository::open(path).map_err(TreeError::Open)?;
            let mut done = Vec::new();
            loop {
                let start = next.fetch_add(share, Ordering::Relaxed);
                if start >= items.len() {
                    return Ok(done);
                }
                let share = &items[start..(start + share).min(items.len())];
                done.push((start, share.iter().map(|item| work(&git, item)).collect::<Result<_, _>>()?));
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let shares = std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(take)).collect();
            let mut shares = vec![take()];
            for helper in helpers {
                match helper.join() {
                    Ok(share) => shares.push(share),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            shares
        });
        let mut done = Vec::new();
        for share in shares {
            done.append(&mut share?);
        }
        done.sort_unstable_by_key(|(start, _)| *start);
        Ok(done.into_iter().flat_map(|(_, made)| made).collect())
    }
}

/// Puts the files of a folder into `found`, and returns its folders.
fn open(
    git: &git2::Repository,
    path: &str,
    id: Oid,
    found: &mut Vec<Differing>,
) -> Result<Vec<(String, Oid)>, TreeError> {
    let failed = |source| TreeError::Folder { path: path.to_owned(), source };
    let tree = retried(|| git.find_tree(id)).map_err(failed)?;
    let mut folders = Vec::new();
    for child in &tree {
        let Ok(name) = std::str::from_utf8(child.name_bytes()) else { continue };
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        if child.kind() == Some(ObjectType::Tree) {
            folders.push((path, child.id()));
        } else {
            found.extend(entry(&child).map(|now| Differing { path, now: Some(now) }));
        }
    }
    Ok(folders)
}

/// Git sorts a folder as if its name ended in `/`.
fn sorted<'a>(entry: &'a TreeEntry<'_>) -> impl Iterator<Item = u8> + use<'a> {
    let folder = entry.kind() == Some(ObjectType::Tree);
    entry.name_bytes().iter().copied().chain(folder.then_some(b'/'))
}

fn entry(entry: &TreeEntry<'_>) -> Option<Entry> {
    const LINK: i32 = 0o120_000;
    match entry.kind() {
        Some(ObjectType::Blob) if entry.filemode() == LINK => Some(Entry::Link),
        Some(ObjectType::Blob) => Some(Entry::File(entry.id())),
        _ => None,
    }
}
