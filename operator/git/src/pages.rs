//! Files that objects name besides OpenAPI documents, for whoever shows them.

use portico_core::key::ObjectKey;

use crate::commit::{CommitId, Repository, RepositoryError};
use crate::documents::target;
use crate::reader::Reader;
use crate::tree::{Entry, TreeError, retried};

impl Reader {
    /// The file that a relative path means in the file of an object, from the root of the tree.
    ///
    /// # Errors
    ///
    /// Why there is none, in a sentence.
    pub fn beside(&self, object: &ObjectKey, path: &str) -> Result<String, String> {
        let place = self.place(object).ok_or_else(|| format!("{object} is in no file"))?;
        target(&place.file, path)
    }
}

impl Repository {
    /// The same once more, for another thread.
    ///
    /// # Errors
    ///
    /// When it is no longer there.
    pub fn again(&self) -> Result<Repository, RepositoryError> {
        Repository::open(&self.path)
    }

    /// The bytes of a file of a commit; `None` where there is no file, or one that is longer than `most`.
    ///
    /// # Errors
    ///
    /// When the repository cannot be read.
    pub fn file(&self, commit: CommitId, path: &str, most: usize) -> Result<Option<Vec<u8>>, TreeError> {
        let tree = self.tree(commit)?;
        match self.at(&tree, path)? {
            Some(Entry::File(id)) => {
                let failed = |source| TreeError::File { path: path.to_owned(), source };
                let odb = self.git.odb().map_err(failed)?;
                let (length, _) = retried(|| odb.read_header(id)).map_err(failed)?;
                if length > most { Ok(None) } else { self.bytes(path, id).map(Some) }
            }
            Some(Entry::Link) | None => Ok(None),
        }
    }
}
