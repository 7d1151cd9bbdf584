//! A branch of a repository elsewhere: fetched into a copy on this machine, and pushed to.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use git2::{ErrorClass, ErrorCode, FetchOptions, FetchPrune, Oid, PushOptions, RemoteCallbacks, Repository as Git};

use super::WriteError;
use super::answer::Refused;
use super::here::{Move, Unmoved};
use crate::commit::whole_name;
use crate::watch::{Auth, callbacks, default_branch, shown};

/// A branch of a repository elsewhere.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    /// `https://…`, `ssh://…` or `git@host:…`. What `file://…` names is written to as a repository on this machine is.
    pub url: String,
    /// The branch; absent for the one that the other side has as its own.
    pub branch: Option<String>,
    /// The folder for the copy. It is made if it is not there, and must not be that of another writer.
    pub copy: PathBuf,
    /// How to be let in.
    pub auth: Auth,
    /// How long the other side may take to answer.
    pub limit: Duration,
}

/// Where the branch was when it was fetched last.
pub(crate) const FETCHED: &str = "refs/portico/written";

/// Where branches of requests were.
pub(crate) const REVIEWS: &str = "refs/portico/reviews/";

/// Questions that the other side has not answered, and that may still be answered after nobody waits any more.
const MAX_UNANSWERED: usize = 8;

/// Asks the other side, and does not wait for ever.
#[derive(Debug)]
pub(crate) struct Line {
    elsewhere: Elsewhere,
    url: String,
    branch: Option<String>,
    unanswered: Arc<AtomicUsize>,
}

/// Why a question was not answered well.
enum Failure {
    Git(git2::Error),
    NoBranch(String),
}

impl From<git2::Error> for Failure {
    fn from(error: git2::Error) -> Self {
        Failure::Git(error)
    }
}

/// Why there is no answer.
enum Silence {
    /// Too many questions are open already.
    NotAsked,
    /// The time is up.
    Late,
}

/// What came of a push.
enum Pushed {
    Taken,
    Moved,
    Rejected(String),
}

impl Line {
    pub(crate) fn new(elsewhere: Elsewhere) -> Line {
        let (url, branch) = (shown(&elsewhere.url), elsewhere.branch.clone());
        Line { elsewhere, url, branch, unanswered: Arc::default() }
    }

    /// The branch, once it is known.
    pub(crate) fn branch(&self) -> Option<&str> {
        self.branch.as_deref()
    }

    /// The copy, which is made if it is not there.
    pub(crate) fn copy(&self) -> Result<Git, WriteError> {
        let path = &self.elsewhere.copy;
        Git::open(path).or_else(|_| Git::init_bare(path)).map_err(WriteError::Objects)
    }

    /// Fetches the branch, and those of requests.
    pub(crate) fn fetch(&mut self) -> Result<Oid, Refused> {
        let (elsewhere, branch) = (self.elsewhere.clone(), self.branch.clone());
        match self.ask(move || fetch(&elsewhere, branch)) {
            Ok(Ok((branch, tip))) => {
                self.branch = Some(branch);
                Ok(tip)
            }
            Ok(Err(failure)) => Err(self.failed(failure)),
            Err(Silence::NotAsked | Silence::Late) => Err(self.slow()),
        }
    }

    /// Moves references on the other side; all of them are where they have to be, or nothing is sent.
    pub(crate) fn push(&self, moves: &[Move]) -> Result<(), Unmoved> {
        let (elsewhere, moves) = (self.elsewhere.clone(), moves.to_vec());
        match self.ask(move || push(&elsewhere, &moves)) {
            Ok(Ok(Pushed::Taken)) => Ok(()),
            Ok(Ok(Pushed::Moved)) => Err(Unmoved::Elsewhere),
            Ok(Ok(Pushed::Rejected(message))) => Err(Unmoved::Rejected(message)),
            Ok(Err(failure)) => Err(Unmoved::Refused(self.failed(failure))),
            Err(Silence::NotAsked) => Err(Unmoved::Refused(self.slow())),
            Err(Silence::Late) => {
                Err(Unmoved::Refused(Refused::Unsure { url: self.url.clone(), limit: self.elsewhere.limit }))
            }
        }
    }

    /// Notes in the copy where the branch is once the other side has taken a push.
    pub(crate) fn taken(&self, copy: &Git, moves: &[Move]) {
        let branch = moves.iter().find(|one| self.branch.as_deref() == Some(one.name.as_str()));
        let Some(to) = branch.and_then(|one| one.to) else { return };
        if let Err(error) = copy.reference(FETCHED, to, true, "pushed") {
            // It is noted with the next fetch.
            tracing::debug!(url = self.url, error = error.message(), "the copy does not say where the branch is");
        }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// libgit2 waits as long as the other side keeps the connection open, and cannot be told to stop. So it waits in a thread of
    /// its own, which is left alone when the time is up.
    fn ask<T: Send + 'static>(&self, question: impl FnOnce() -> T + Send + 'static) -> Result<T, Silence> {
        if self.unanswered.load(Ordering::Relaxed) >= MAX_UNANSWERED {
            return Err(Silence::NotAsked);
        }
        let (answer, answered) = mpsc::channel();
        let unanswered = self.unanswered.clone();
        unanswered.fetch_add(1, Ordering::Relaxed);
        std::thread::spawn(move || {
            // Nobody may be waiting any more.
            let _ = answer.send(question());
            unanswered.fetch_sub(1, Ordering::Relaxed);
        });
        answered.recv_timeout(self.elsewhere.limit).map_err(|_| Silence::Late)
    }

    fn slow(&self) -> Refused {
        WriteError::Slow { url: self.url.clone(), limit: self.elsewhere.limit }.into()
    }

    fn failed(&self, failure: Failure) -> Refused {
        let url = self.url.clone();
        let error = match failure {
            Failure::NoBranch(branch) => {
                return WriteError::Repository(crate::RepositoryError::NoBranch { path: url.into(), branch }).into();
            }
            Failure::Git(source) => match (source.code(), source.class()) {
                (ErrorCode::Certificate, ErrorClass::Ssh) => WriteError::HostKey { url },
                (ErrorCode::Auth, _) => WriteError::Credentials { url },
                _ => WriteError::Unreachable { url, source },
            },
        };
        error.into()
    }
}

fn fetch(elsewhere: &Elsewhere, branch: Option<String>) -> Result<(String, Oid), Failure> {
    let Elsewhere { url, copy, auth, branch: _, limit: _ } = elsewhere;
    let git = Git::open(copy)?;
    let mut other = git.remote_anonymous(url)?;
    let branch = match branch {
        Some(branch) => branch,
        None => default_branch(&mut other, auth, &git)?,
    };
    let name = whole_name(&branch);
    let mut options = FetchOptions::new();
    options.remote_callbacks(callbacks(auth, &git)).download_tags(git2::AutotagOption::None).prune(FetchPrune::On);
    let wanted = [format!("+{name}:{FETCHED}"), format!("+refs/heads/portico/*:{REVIEWS}*")];
    other.fetch(&wanted, Some(&mut options), None)?;
    // A branch that is gone is not an error to libgit2.
    let there = other.list()?.iter().find(|head| head.name() == name).map(git2::RemoteHead::oid);
    match there {
        Some(tip) => Ok((name, tip)),
        None => Err(Failure::NoBranch(name)),
    }
}

fn push(elsewhere: &Elsewhere, moves: &[Move]) -> Result<Pushed, Failure> {
    let Elsewhere { url, copy, auth, branch: _, limit: _ } = elsewhere;
    let git = Git::open(copy)?;
    let mut other = git.remote_anonymous(url)?;
    let moved = Cell::new(false);
    let (refused, remarks) = (RefCell::new(Vec::new()), RefCell::new(String::new()));
    let outcome = {
        let mut said: RemoteCallbacks<'_> = callbacks(auth, &git);
        // The other side compares with what it told us itself. Here that is compared with what the commits were made for.
        said.push_negotiation(|updates| {
            let fits = |one: &Move| {
                let update = updates.iter().find(|update| update.dst_refname() == Ok(one.name.as_str()));
                update.is_some_and(|update| update.src() == one.from.unwrap_or(Oid::ZERO_SHA1))
            };
            if moves.iter().all(fits) {
                return Ok(());
            }
            moved.set(true);
            Err(git2::Error::from_str("a branch has moved"))
        });
        said.push_update_reference(|name, message| {
            if let Some(message) = message {
                refused.borrow_mut().push((name.to_owned(), message.to_owned()));
            }
            Ok(())
        });
        said.sideband_progress(|text| {
            let mut remarks = remarks.borrow_mut();
            if remarks.len() < 4_096 {
                remarks.push_str(&String::from_utf8_lossy(text));
            }
            true
        });
        let mut options = PushOptions::new();
        options.remote_callbacks(said);
        let specs: Vec<String> = moves
            .iter()
            .map(|one| format!("{}:{}", one.to.map(|to| to.to_string()).unwrap_or_default(), one.name))
            .collect();
        other.push(&specs, Some(&mut options))
    };
    match outcome {
        _ if moved.get() => Ok(Pushed::Moved),
        Err(error) if error.code() == ErrorCode::NotFastForward => Ok(Pushed::Moved),
        Err(error) => Err(error.into()),
        Ok(()) => {
            // A branch that was taken in has landed, whatever becomes of it.
            let lands = moves.iter().any(Move::is_made);
            let counts = |name: &str| !lands || moves.iter().any(|one| one.name == *name && one.is_made());
            let refused = refused.into_inner();
            let Some((_, message)) = refused.iter().find(|(name, _)| counts(name)) else {
                for (branch, message) in refused {
                    tracing::warn!(branch, message, "the branch of a request that has landed stays");
                }
                return Ok(Pushed::Taken);
            };
            let remarks = remarks.into_inner();
            let remarks: Vec<&str> = remarks.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let remarks = remarks.join("; ");
            let message = if remarks.is_empty() { message.clone() } else { format!("{message}: {remarks}") };
            Ok(Pushed::Rejected(message))
        }
    }
}
