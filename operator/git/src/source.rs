//! Where files come from: a commit, or a folder as it is now.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::{Oid, Tree};

use crate::commit::Repository;
use crate::text::{Contents, is_manifest, read};
use crate::tree::{Differing, Entry, TreeError};

/// A folder cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}")]
pub struct FolderError {
    /// The folder or file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Files cannot be read; nothing has been taken over.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Those of a commit.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Those of a folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// Files at one moment.
pub(crate) enum Files<'a> {
    Commit(&'a Repository, Tree<'a>),
    Folder(&'a Path),
}

impl Files<'_> {
    /// What stands at a path.
    pub(crate) fn at(&self, path: &str) -> Result<Option<Entry>, SourceError> {
        match self {
            Files::Commit(repository, tree) => Ok(repository.at(tree, path)?),
            Files::Folder(folder) => {
                let mut whole = folder.to_path_buf();
                for part in path.split('/') {
                    whole.push(part);
                    // A link in the middle would lead out just as one at the end.
                    match fs::symlink_metadata(&whole) {
                        Ok(found) if found.is_symlink() => return Ok(Some(Entry::Link)),
                        Ok(_) => {}
                        Err(error) if is_absent(&error) => return Ok(None),
                        Err(source) => return Err(FolderError { path: whole, source }.into()),
                    }
                }
                Ok(whole.is_file().then_some(Entry::File(Oid::ZERO_SHA1)))
            }
        }
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&self, path: &str, id: Oid) -> Result<Vec<u8>, SourceError> {
        match self {
            Files::Commit(repository, _) => Ok(repository.bytes(path, id)?),
            Files::Folder(folder) => Ok(file(&folder.join(path))?),
        }
    }

    /// Reads manifests.
    pub(crate) fn contents(&self, files: &[(Arc<str>, Oid)]) -> Result<Vec<Contents>, SourceError> {
        match self {
            Files::Commit(repository, _) => Ok(repository.many(files, read)?),
            Files::Folder(folder) => {
                let one = |(path, _): &(Arc<str>, Oid)| Ok(read(path, &file(&folder.join(&**path))?));
                files.iter().map(one).collect()
            }
        }
    }

    /// The manifest at a path, if there is one.
    pub(crate) fn manifest(&self, path: &Arc<str>) -> Result<Option<Contents>, SourceError> {
        match self.at(path)? {
            Some(Entry::File(id)) => Ok(Some(read(path, &self.bytes(path, id)?))),
            Some(Entry::Link) | None => Ok(None),
        }
    }
}

fn file(path: &Path) -> Result<Vec<u8>, FolderError> {
    fs::read(path).map_err(|source| FolderError { path: path.to_owned(), source })
}

/// Every manifest of a folder, in order of the paths. Links are not followed, `.git` is left out.
pub(crate) fn listing(folder: &Path) -> Result<Vec<Differing>, FolderError> {
    let mut found = Vec::new();
    list(folder, "", &mut found)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn list(folder: &Path, path: &str, found: &mut Vec<Differing>) -> Result<(), FolderError> {
    let failed = |source| FolderError { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = entry.file_type().map_err(failed)?;
        let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        if kind.is_dir() {
            if name != ".git" {
                list(&entry.path(), &path, found)?;
            }
        } else if is_manifest(&path) {
            let now = if kind.is_symlink() {
                Some(Entry::Link)
            } else {
                kind.is_file().then_some(Entry::File(Oid::ZERO_SHA1))
            };
            found.extend(now.map(|now| Differing { path, now: Some(now) }));
        }
    }
    Ok(())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
