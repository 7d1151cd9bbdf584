//! What comes of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use portico_core::diagnostic::{Diagnostic, Place};
use portico_core::key::ObjectKey;

use super::request::{Person, RequestId};
use crate::changes::Changes;
use crate::commit::{CommitId, CommitInfo};

/// It is in the repository, and stays there whatever happens to this process or machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed {
    /// The commit that it is; where nothing had to change, the commit that says so already.
    pub commit: CommitId,
    /// Whether it waits on a branch of its own.
    pub waits: bool,
    /// Whether it landed when it was asked for before.
    pub again: bool,
    /// What the preview had to remark.
    pub remarks: Vec<Diagnostic>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It waits.
    Waiting(Waiting),
    /// It has landed, or was taken in, as this commit.
    Landed(Box<CommitInfo>),
    /// It was turned down by this commit, for this reason.
    Declined(Box<CommitInfo>, String),
    /// Nothing tells: it was never there, its branch was deleted, or it is long ago.
    Unknown,
}

/// A request that waits on its branch.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// Its id.
    pub id: RequestId,
    /// The newest commit of its branch.
    pub commit: CommitId,
    /// Who wants it.
    pub author: Person,
    /// When it was asked for.
    pub since: Timestamp,
    /// What it is.
    pub summary: String,
    /// What it would change.
    pub changes: Arc<Changes>,
}

/// Somebody else has changed the same since the commit that the person saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The object, where it is about one.
    pub object: Option<ObjectKey>,
    /// The field; empty for the whole document or file.
    pub path: String,
    /// Where it stands now, or the file where it stood.
    pub place: Place,
    /// The commit that changed it, and its author, where they can be made out.
    pub by: Option<(CommitId, Person)>,
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Conflict { object, path, place, by } = self;
        match (path.as_str(), object) {
            ("", Some(object)) => write!(f, "{object}")?,
            ("", None) => write!(f, "the file")?,
            (path, Some(object)) => write!(f, "`{path}` of {object}")?,
            (path, None) => write!(f, "`{path}`")?,
        }
        write!(f, " ({}:{}) has been changed in the meantime", place.file, place.line)?;
        if let Some((commit, Person { name, mail })) = by {
            write!(f, ", by {name} <{mail}> in commit {commit}")?;
        }
        Ok(())
    }
}

/// Nothing of it has been done, unless it says otherwise.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    /// It cannot be carried out, or what would come of it is not right.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Diagnostic>),
    /// Somebody else has changed the same.
    #[error("{0}")]
    Conflict(Box<Conflict>),
    /// The idempotency key belongs to other edits, or to somebody else's.
    #[error("this idempotency key was used before, for other edits, in commit {commit}")]
    KeyReused {
        /// The commit that has it.
        commit: CommitId,
    },
    /// The id belongs to another request.
    #[error("there is a request {id} already")]
    IdReused {
        /// The id.
        id: RequestId,
    },
    /// No such request waits.
    #[error("there is no open request {id}")]
    NoRequest {
        /// The id.
        id: RequestId,
    },
    /// It has changed since somebody looked at it.
    #[error("request {id} has changed in the meantime: look at it again")]
    Changed {
        /// The id.
        id: RequestId,
    },
    /// The commit that the person saw is in no history that is here.
    #[error("commit {base}, which this was made for, is gone: the history was rewritten")]
    Rewritten {
        /// The commit.
        base: CommitId,
    },
    /// A work tree has changes in this file that nobody has committed.
    #[error("`{file}` has changes in {work_tree} that are not committed: commit or discard them")]
    Uncommitted {
        /// The file.
        file: String,
        /// The work tree.
        work_tree: PathBuf,
    },
    /// The other side does not want it, such as by a hook or because the branch is protected.
    #[error("{url} does not take it: {message}")]
    Rejected {
        /// Where, without a password.
        url: String,
        /// In its words.
        message: String,
    },
    /// The other side did not answer in time. It may or may not have taken it: asked for again with the same idempotency key,
    /// it lands once.
    #[error("{url} has not answered within {}s, so it is not known whether it has taken the change: ask again", limit.as_secs())]
    Unsure {
        /// Where, without a password.
        url: String,
        /// How long it had.
        limit: Duration,
    },
    /// Others kept moving the branch.
    #[error("others keep changing the branch: try again")]
    Contended,
    /// Too many requests wait to be written.
    #[error("too many requests are waiting to be written: try again")]
    Busy,
    /// Writing has ended.
    #[error("writing has ended")]
    Ended,
    /// It failed.
    #[error("the repository cannot be written")]
    Failed(#[source] Arc<super::WriteError>),
}

impl From<super::WriteError> for Refused {
    fn from(error: super::WriteError) -> Self {
        Refused::Failed(Arc::new(error))
    }
}

impl From<crate::tree::TreeError> for Refused {
    fn from(error: crate::tree::TreeError) -> Self {
        Refused::Failed(Arc::new(error.into()))
    }
}
