//! Writing desired state: edits of people become commits.
//!
//! A [`Writer`] takes [`Request`]s and answers each when it has landed, or was refused. One request is one commit: its author
//! is the person, its committer the portal, and its trailers say which request it was. Those that wait at the same moment land
//! together, as a chain of commits that is written to the disk once. Whoever moves the branch in between, by hand or with another
//! Portico, has it: the edits are applied again to what stands there then, and previewed again.
//!
//! What is answered is on the disk, or in a repository elsewhere was taken by the other side. Asked again with the same
//! idempotency key, a request answers with the commit that it became. The key stands in that commit, so this holds after a
//! crash too, as long as the commit is among the newest [`REMEMBERED_COMMITS`] of the branch.
//!
//! This module knows documents and Git, and nothing of what edits mean. That is for the [`Preview`], which sees what would be
//! different and has the last word.

mod answer;
mod apply;
mod document;
mod elsewhere;
mod here;
mod known;
mod land;
mod layout;
mod merge;
mod message;
mod moving;
mod packs;
mod places;
mod request;
mod review;
mod stage;
mod store;
mod touched;

use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use portico_core::batch::Change;
use portico_core::diagnostic::Diagnostic;
use tokio::sync::oneshot;

use crate::commit::{CommitId, RepositoryError};
use crate::tree::TreeError;

pub use answer::{Conflict, Fate, Landed, Refused, Waiting};
pub use apply::FileChange;
pub use elsewhere::Elsewhere;
pub use known::REMEMBERED_COMMITS;
pub use request::{Edit, IdempotencyKey, NotAnId, Person, Request, RequestId};
pub use touched::Touched;

/// So many requests may wait to be written.
const QUEUE: usize = 4_096;

/// The repository cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The repository, or its branch.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// Files of a commit.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// No branch is checked out, and none was named.
    #[error("no branch is checked out in {path}: name the one to write to")]
    Detached {
        /// The repository.
        path: PathBuf,
    },
    /// The folder for what Portico keeps in the repository.
    #[error("cannot write in {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// New objects.
    #[error("cannot write new objects")]
    Objects(#[source] git2::Error),
    /// What landed before.
    #[error("cannot read the history of the branch")]
    History(#[source] git2::Error),
    /// The branch.
    #[error("cannot move `{branch}`")]
    Branch {
        /// The branch.
        branch: String,
        /// In the words of libgit2.
        source: git2::Error,
    },
    /// A work tree that has the branch checked out.
    #[error("cannot bring the work tree {path} up to date")]
    WorkTree {
        /// Where it is.
        path: PathBuf,
        /// In the words of libgit2.
        source: git2::Error,
    },
    /// The other side is not there, or does not let us in.
    #[error("cannot reach {url}: {}", source.message())]
    Unreachable {
        /// Where, without a password.
        url: String,
        /// In the words of libgit2.
        source: git2::Error,
    },
    /// The other side shows a host key that nobody has vouched for.
    #[error(
        "the host key of {url} is not known, or is another than before: if it is right, put it into `~/.ssh/known_hosts`, \
         as `ssh-keyscan` prints it"
    )]
    HostKey {
        /// Where, without a password.
        url: String,
    },
    /// The other side does not let us in.
    #[error("{url} refuses these credentials: check the token or key, and that it may write")]
    Credentials {
        /// Where, without a password.
        url: String,
    },
    /// The other side does not answer.
    #[error("{url} has not answered within {}s", limit.as_secs())]
    Slow {
        /// Where, without a password.
        url: String,
        /// How long it had.
        limit: std::time::Duration,
    },
}

/// Where to write.
#[derive(Clone, Debug)]
pub enum Target {
    /// A repository on this machine.
    Here {
        /// Its work tree or Git directory.
        path: PathBuf,
        /// The branch; absent for the one that is checked out when writing begins.
        branch: Option<String>,
    },
    /// A repository elsewhere.
    Elsewhere(Elsewhere),
}

/// How to write.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only manifests in this folder of the tree are looked at, and new ones are made there; empty for all.
    pub folder: String,
    /// Who commits: the portal.
    pub committer: Person,
}

/// What a request would change.
#[derive(Debug)]
pub struct Proposal<'a> {
    /// The commit that is on the branch.
    pub base: CommitId,
    /// What requests before this one change, which land together with it.
    pub before: &'a [Change],
    /// What this one changes: objects that are put or removed. An Approval and a Subscription have their author, of a commit
    /// without an id: there is none yet.
    pub changes: &'a [Change],
    /// Every file that becomes another.
    pub files: &'a [FileChange],
    /// The request.
    pub request: &'a RequestId,
    /// Who wants it.
    pub author: &'a Person,
    /// Who takes it in, where it has waited on a branch.
    pub approver: Option<&'a Person>,
    /// Whether it is to wait on a branch, and changes nothing yet.
    pub waits: bool,
}

/// Has the last word on what lands.
pub trait Preview: Send {
    /// What there is to be said of a proposal. It lands unless something of that is an error. The same request is previewed
    /// again when the branch has moved in the meantime.
    fn preview(&mut self, proposal: &Proposal<'_>) -> Vec<Diagnostic>;
}

impl<F: FnMut(&Proposal<'_>) -> Vec<Diagnostic> + Send> Preview for F {
    fn preview(&mut self, proposal: &Proposal<'_>) -> Vec<Diagnostic> {
        self(proposal)
    }
}

/// Writes to one branch of one repository. Clones write with the same one; it ends with the last of them.
#[derive(Clone)]
pub struct Writer {
    jobs: SyncSender<land::Job>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    /// Begins to write. The repository is read, and a copy of one elsewhere is fetched, when there is something to write or
    /// [`Writer::waiting`] is asked; what is wrong with it is said then.
    pub fn new(target: Target, options: Options, preview: impl Preview + 'static) -> Writer {
        let (jobs, queue) = sync_channel(QUEUE);
        std::thread::spawn(move || land::run(&target, options, Box::new(preview), &queue));
        Writer { jobs }
    }

    /// Lands a request, or puts it on a branch to wait. Dropped, it may land all the same.
    ///
    /// # Errors
    ///
    /// [`Refused`]: then nothing has landed.
    pub async fn submit(&self, request: Request) -> Result<Landed, Refused> {
        self.ask(|reply| land::Job::Write(land::Write::Land(Box::new(request)), reply)).await
    }

    /// Takes in a request that has waited, as a merge whose author is whoever lets it. What it changes is merged with what has
    /// changed on the branch, and previewed again.
    ///
    /// # Errors
    ///
    /// [`Refused`]: then it goes on waiting.
    pub async fn merge(&self, id: RequestId, by: Person) -> Result<Landed, Refused> {
        self.ask(|reply| land::Job::Write(land::Write::Merge { id, by, seen: None }, reply)).await
    }

    /// The same for whoever has looked at it as it was at a commit: another one that is there now is not taken in.
    ///
    /// # Errors
    ///
    /// [`Refused`]: then it goes on waiting.
    pub async fn merge_seen(&self, id: RequestId, by: Person, seen: CommitId) -> Result<Landed, Refused> {
        self.ask(|reply| land::Job::Write(land::Write::Merge { id, by, seen: Some(seen) }, reply)).await
    }

    /// Turns down a request that waits: its branch goes, and a commit that changes nothing says who has turned it down and why.
    ///
    /// # Errors
    ///
    /// [`Refused`]: then it goes on waiting.
    pub async fn decline(&self, id: RequestId, by: Person, reason: String) -> Result<Landed, Refused> {
        self.ask(|reply| land::Job::Write(land::Write::Decline { id, by, reason }, reply)).await
    }

    /// What became of a request, as far as the branches and [`REMEMBERED_COMMITS`] tell.
    ///
    /// # Errors
    ///
    /// [`Refused::Failed`].
    pub async fn fate(&self, id: RequestId) -> Result<Fate, Refused> {
        self.ask(|reply| land::Job::Follow(id, reply)).await
    }

    /// Deletes the branch of a request that waits. What was asked for is then nowhere, and nothing says why.
    ///
    /// # Errors
    ///
    /// [`Refused`]: then it goes on waiting.
    pub async fn close(&self, id: RequestId) -> Result<(), Refused> {
        self.ask(|reply| land::Job::Close(id, reply)).await
    }

    /// The requests that wait, by what branches there are.
    ///
    /// # Errors
    ///
    /// [`Refused::Failed`].
    pub async fn waiting(&self) -> Result<Vec<Waiting>, Refused> {
        self.ask(land::Job::List).await
    }

    async fn ask<T>(&self, job: impl FnOnce(land::Reply<T>) -> land::Job) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        match self.jobs.try_send(job(reply)) {
            Ok(()) => answer.await.unwrap_or(Err(Refused::Ended)),
            Err(TrySendError::Full(_)) => Err(Refused::Busy),
            Err(TrySendError::Disconnected(_)) => Err(Refused::Ended),
        }
    }
}
