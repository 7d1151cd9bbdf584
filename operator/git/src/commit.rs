//! A repository, its commits, and who made them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use git2::{ErrorCode, Oid};
use jiff::Timestamp;

/// The id of a commit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(pub(crate) Oid);

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A text that is not the id of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a commit: expected 40 hexadecimal digits")]
pub struct NotACommitId;

impl FromStr for CommitId {
    type Err = NotACommitId;

    fn from_str(text: &str) -> Result<Self, NotACommitId> {
        // libgit2 fills shorter ids up with zeros.
        let whole = text.len() == 40;
        Oid::from_str(text).ok().filter(|_| whole).map(CommitId).ok_or(NotACommitId)
    }
}

/// What a commit says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its id.
    pub id: CommitId,
    /// The commits before it; of a merge, the branch that was merged into comes first.
    pub parents: Vec<CommitId>,
    /// The name of who wrote the change.
    pub author: String,
    /// That person's mail address.
    pub mail: String,
    /// When it was written.
    pub written: Timestamp,
    /// The name of who put it into the repository.
    pub committer: String,
    /// When it was put into the repository.
    pub committed: Timestamp,
    /// The first line of its message.
    pub summary: String,
    /// Its whole message.
    pub message: String,
}

impl CommitInfo {
    /// The trailers at the end of the message, such as `Signed-off-by: Ann <ann@example.com>`, in order.
    pub fn trailers(&self) -> Vec<(String, String)> {
        let Ok(found) = git2::message_trailers_strs(&self.message) else { return Vec::new() };
        found.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// A repository cannot be opened, or says nothing about a commit.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// There is no repository.
    #[error("there is no Git repository at {path}")]
    Open {
        /// Where.
        path: PathBuf,
        /// In the words of libgit2.
        source: git2::Error,
    },
    /// The repository has no such branch.
    #[error("{path} has no branch `{branch}`")]
    NoBranch {
        /// The repository.
        path: PathBuf,
        /// The branch.
        branch: String,
    },
    /// The repository has no commit at all on the branch that is checked out.
    #[error("{path} has no commit yet")]
    NoCommit {
        /// The repository.
        path: PathBuf,
    },
    /// A commit cannot be read.
    #[error("cannot read commit {commit}")]
    Commit {
        /// The commit.
        commit: CommitId,
        /// In the words of libgit2.
        source: git2::Error,
    },
    /// A reference cannot be read.
    #[error("cannot tell which commit `{branch}` is in {path}")]
    Head {
        /// The repository.
        path: PathBuf,
        /// The branch, or `HEAD`.
        branch: String,
        /// In the words of libgit2.
        source: git2::Error,
    },
}

/// A repository on this machine: with a work tree or bare, or a work tree that is linked to one.
pub struct Repository {
    pub(crate) git: git2::Repository,
    pub(crate) path: PathBuf,
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Repository").field(&self.path).finish()
    }
}

impl Repository {
    /// Opens the repository whose work tree or Git directory is `path`, not one around it.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Open`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Repository, RepositoryError> {
        let path = path.into();
        match git2::Repository::open(&path) {
            Ok(git) => Ok(Repository { git, path }),
            Err(source) => Err(RepositoryError::Open { path, source }),
        }
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The newest commit of `branch`, or of what is checked out.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::NoBranch`], [`RepositoryError::NoCommit`] or [`RepositoryError::Head`].
    pub fn head(&self, branch: Option<&str>) -> Result<CommitId, RepositoryError> {
        let path = self.path.clone();
        let name = branch.map_or("HEAD".to_owned(), whole_name);
        let found = self.git.find_reference(&name).and_then(|reference| reference.peel_to_commit());
        match (found, branch) {
            (Ok(commit), _) => Ok(CommitId(commit.id())),
            (Err(error), Some(branch)) if error.code() == ErrorCode::NotFound => {
                Err(RepositoryError::NoBranch { path, branch: branch.to_owned() })
            }
            (Err(error), None) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::UnbornBranch) => {
                Err(RepositoryError::NoCommit { path })
            }
            (Err(source), _) => Err(RepositoryError::Head { path, branch: name, source }),
        }
    }

    /// What a commit says about itself.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Commit`].
    pub fn info(&self, commit: CommitId) -> Result<CommitInfo, RepositoryError> {
        let found = self.git.find_commit(commit.0).map_err(|source| RepositoryError::Commit { commit, source })?;
        Ok(info(&found))
    }

    /// Whether `old` comes before `new`, or is the same.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Commit`].
    pub fn follows(&self, new: CommitId, old: CommitId) -> Result<bool, RepositoryError> {
        if new == old {
            return Ok(true);
        }
        let found = self.git.graph_descendant_of(new.0, old.0);
        found.map_err(|source| RepositoryError::Commit { commit: new, source })
    }
}

/// The whole name of a branch that may have been named by its end alone.
pub(crate) fn whole_name(branch: &str) -> String {
    if branch.starts_with("refs/") { branch.to_owned() } else { format!("refs/heads/{branch}") }
}

pub(crate) fn info(commit: &git2::Commit<'_>) -> CommitInfo {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (author, committer) = (commit.author(), commit.committer());
    let message = lossy(commit.message_bytes());
    CommitInfo {
        id: CommitId(commit.id()),
        parents: commit.parent_ids().map(CommitId).collect(),
        author: lossy(author.name_bytes()),
        mail: lossy(author.email_bytes()),
        written: moment(author.when()),
        committer: lossy(committer.name_bytes()),
        committed: moment(committer.when()),
        summary: message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned(),
        message,
    }
}

fn moment(time: git2::Time) -> Timestamp {
    Timestamp::from_second(time.seconds()).unwrap_or(Timestamp::UNIX_EPOCH)
}
