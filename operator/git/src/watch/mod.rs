//! Noticing new commits: at once in a repository on this machine, by asking and by being told in one elsewhere.

mod local;
mod remote;

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;

use crate::commit::{CommitId, RepositoryError};

pub use local::watch;
pub use remote::{Auth, Remote, watch_remote};
pub(crate) use remote::{callbacks, default_branch, shown};

/// What a watcher has to say. Only the newest counts: what is behind it need not be read.
#[derive(Debug)]
pub enum Signal {
    /// The branch is at this commit now.
    Head {
        /// The commit.
        commit: CommitId,
        /// Whether commits were taken back: the one before is not among those that led here.
        rewritten: bool,
    },
    /// The branch cannot be followed for now. The state before still holds, and the watcher goes on trying.
    Trouble(WatchError),
}

/// Why a branch cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The repository on this machine.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// Changes of files are not told; the watcher asks every few seconds instead.
    #[error("changes in {path} are not told at once")]
    Notify {
        /// The Git directory.
        path: PathBuf,
        /// Why.
        source: notify::Error,
    },
    /// The other side does not answer.
    #[error("cannot reach {url}")]
    Unreachable {
        /// Where, without a password.
        url: String,
        /// In the words of libgit2.
        source: git2::Error,
    },
    /// The other side does not let us in.
    #[error("{url} refuses these credentials: check the token or key")]
    Refused {
        /// Where, without a password.
        url: String,
        /// In the words of libgit2.
        source: git2::Error,
    },
    /// The other side has no such branch.
    #[error("{url} has no branch `{branch}`")]
    NoBranch {
        /// Where, without a password.
        url: String,
        /// The branch.
        branch: String,
    },
    /// What was fetched cannot be stored.
    #[error("cannot keep a copy of {url} in {path}")]
    Store {
        /// Where, without a password.
        url: String,
        /// The folder.
        path: PathBuf,
        /// In the words of libgit2.
        source: git2::Error,
    },
}

/// A running watcher. It ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    /// What it has to say.
    pub signals: Receiver<Signal>,
    trigger: Trigger,
}

impl Watch {
    /// A way to make it look at once.
    pub fn trigger(&self) -> Trigger {
        self.trigger.clone()
    }
}

/// Makes a watcher look at once, as when somebody else has been told of a push.
#[derive(Clone, Debug)]
pub struct Trigger(mpsc::Sender<Wake>);

impl Trigger {
    /// Look now.
    pub fn look(&self) {
        // A watcher that has ended has nothing to look for.
        let _ = self.0.send(Wake::Look);
    }
}

/// Why a watcher wakes up.
#[derive(Debug)]
enum Wake {
    Look,
    Lost(notify::Error),
}

/// How many signals wait before a watcher does.
const WAITING: usize = 16;

/// The first pause after a failure; each further one is twice as long, up to the interval of asking.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
