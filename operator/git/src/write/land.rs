//! Landing requests: many that wait as one group, again and again until the branch has held still.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use git2::{Signature, Time};
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::answer::{Fate, Landed, Refused, Waiting};
use super::apply::FileChange;
use super::elsewhere::{FETCHED, Line, REVIEWS};
use super::here::{self, Checkout, Move, Unmoved};
use super::known::Known;
use super::message::{clean, reason};
use super::places::Places;
use super::request::{Person, Request, RequestId};
use super::review::{BRANCHES, Branches};
use super::stage::{Chain, Staged};
use super::store::{Store, durable, packs};
use super::{Options, Preview, Target, WriteError};
use crate::commit::{CommitId, Repository, RepositoryError, whole_name};

/// So many requests land together at most.
const GROUP: usize = 256;

/// After a group of several the next is given this long to come together: who was answered asks again.
const TOGETHER: Duration = Duration::from_millis(1);

/// After so many groups the repository is opened anew: libgit2 keeps what it has read in memory for as long as it is open.
const GROUPS: usize = 64;

/// How often a group is tried when others move the branch.
const TRIES: u32 = 12;

/// How long there are pauses between, at the most.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refused>>;

/// Something to do.
pub(crate) enum Job {
    Write(Write, Reply<Landed>),
    Close(RequestId, Reply<()>),
    List(Reply<Vec<Waiting>>),
    Follow(RequestId, Reply<Fate>),
}

/// What makes a commit.
pub(crate) enum Write {
    Land(Box<Request>),
    Merge { id: RequestId, by: Person, seen: Option<CommitId> },
    Decline { id: RequestId, by: Person, reason: String },
}

impl Write {
    fn waits(&self) -> bool {
        matches!(self, Write::Land(request) if request.review)
    }

    /// The commit that whoever asks saw.
    fn base(&self) -> Option<CommitId> {
        match self {
            Write::Land(request) => request.base,
            Write::Merge { .. } | Write::Decline { .. } => None,
        }
    }
}

/// Does jobs until nobody can ask any more.
pub(crate) fn run(target: &Target, options: Options, preview: Box<dyn Preview>, jobs: &Receiver<Job>) {
    let place = match target {
        Target::Here { path, branch } => Where::Here { path: path.clone(), branch: branch.clone() },
        Target::Elsewhere(elsewhere) => match elsewhere.url.strip_prefix("file://") {
            // libgit2 would push to it without looking where the branch is at that moment.
            Some(path) => Where::Here { path: path.into(), branch: elsewhere.branch.clone() },
            None => Where::There(Line::new(elsewhere.clone())),
        },
    };
    let mut state = State {
        place,
        options,
        preview,
        tip: None,
        places: Places::default(),
        known: Known::default(),
        branches: Branches::default(),
        gathering: Arc::default(),
    };
    let mut next = jobs.recv().ok();
    while let Some(first) = next {
        next = match session(&mut state, first, jobs) {
            Ok(next) => next,
            Err(unopened) => {
                let (first, refused) = *unopened;
                for job in std::iter::once(first).chain(jobs.try_iter()) {
                    match job {
                        Job::Write(_, reply) => drop(reply.send(Err(refused.clone()))),
                        Job::Close(_, reply) => drop(reply.send(Err(refused.clone()))),
                        Job::List(reply) => drop(reply.send(Err(refused.clone()))),
                        Job::Follow(_, reply) => drop(reply.send(Err(refused.clone()))),
                    }
                }
                jobs.recv().ok()
            }
        };
    }
}

/// Where the branch is kept that counts.
pub(crate) enum Where {
    Here { path: std::path::PathBuf, branch: Option<String> },
    There(Line),
}

/// What outlives the repository being open.
pub(crate) struct State {
    pub(crate) place: Where,
    pub(crate) options: Options,
    pub(crate) preview: Box<dyn Preview>,
    /// The commit that what follows is about.
    tip: Option<CommitId>,
    pub(crate) places: Places,
    pub(crate) known: Known,
    pub(crate) branches: Branches,
    /// Whether packs are being put together.
    gathering: Arc<AtomicBool>,
}

/// Does the first job and others, for as long as the repository should be open. Returns one that is left to do.
fn session(state: &mut State, first: Job, jobs: &Receiver<Job>) -> Result<Option<Job>, Box<(Job, Refused)>> {
    let opened = match &state.place {
        Where::Here { path, .. } => Repository::open(path).map_err(WriteError::from),
        Where::There(line) => line.copy().map(|git| Repository { path: git.path().to_owned(), git }),
    };
    let opened = opened.and_then(|repository| durable(&repository.git).map(|()| repository));
    let repository = match opened {
        Ok(repository) => repository,
        Err(error) => return Err(Box::new((first, error.into()))),
    };
    let odb = match repository.git.odb() {
        Ok(odb) => odb,
        Err(error) => return Err(Box::new((first, WriteError::Objects(error).into()))),
    };
    let store = match Store::new(&repository.git, &odb) {
        Ok(store) => store,
        Err(error) => return Err(Box::new((first, error.into()))),
    };
    let mut session = Session { repository: &repository, store, state };
    session.gather();
    let mut next = Some(first);
    let mut several = false;
    for _ in 0..GROUPS {
        let Some(first) = next.take().or_else(|| jobs.recv().ok()) else { return Ok(None) };
        if several {
            std::thread::sleep(TOGETHER);
        }
        let mut writes = Vec::new();
        let mut others = Vec::new();
        for job in std::iter::once(first).chain(jobs.try_iter()).take(GROUP) {
            match job {
                Job::Write(write, reply) => writes.push((write, reply)),
                other => others.push(other),
            }
        }
        several = writes.len() > 1;
        session.group(writes);
        for job in others {
            match job {
                Job::Write(..) => {}
                Job::Close(id, reply) => drop(reply.send(session.close(&id))),
                Job::List(reply) => drop(reply.send(session.waiting())),
                Job::Follow(id, reply) => drop(reply.send(session.fate(&id))),
            }
        }
    }
    Ok(jobs.recv().ok())
}

/// The repository while it is open.
pub(crate) struct Session<'s> {
    pub(crate) repository: &'s Repository,
    pub(crate) store: Store<'s>,
    pub(crate) state: &'s mut State,
}

impl Session<'_> {
    /// Lands all that can be landed, and answers.
    fn group(&mut self, writes: Vec<(Write, Reply<Landed>)>) {
        // Those that wait on a branch begin at what is there, and not at what lands with them.
        let (waiting, landing): (Vec<_>, Vec<_>) = writes.into_iter().partition(|(write, _)| write.waits());
        let mut open: Vec<Vec<(Write, Reply<Landed>)>> = vec![waiting.into_iter().chain(landing).collect()];
        while let Some(group) = open.pop() {
            if group.is_empty() {
                continue;
            }
            match self.land(&group) {
                Ok(answers) => group.into_iter().zip(answers).for_each(|((_, reply), answer)| drop(reply.send(answer))),
                // The other side says no to all of them, which may be because of one.
                Err(Refused::Rejected { .. }) if group.len() > 1 => {
                    open.extend(group.into_iter().rev().map(|write| vec![write]));
                }
                Err(refused) => group.into_iter().for_each(|(_, reply)| drop(reply.send(Err(refused.clone())))),
            }
        }
    }

    fn land(&mut self, group: &[(Write, Reply<Landed>)]) -> Result<Vec<Result<Landed, Refused>>, Refused> {
        for attempt in 0..TRIES {
            if attempt > 0 {
                std::thread::sleep(LONGEST_PAUSE.min(Duration::from_millis(1 << attempt.min(16))));
            }
            // What waits elsewhere may have come, moved or gone since it was looked at.
            let takes_in = group.iter().any(|(write, _)| matches!(write, Write::Merge { .. } | Write::Decline { .. }));
            // Who reads may know of a commit earlier than who writes.
            let is_behind = group.iter().filter_map(|(write, _)| write.base()).any(|base| !self.has(base));
            let tip = self.tip(attempt > 0 || takes_in || is_behind)?;
            self.follow(tip)?;
            let staged = match self.stage(tip, group) {
                // A pack may just have been put in another's place.
                Err(Refused::Failed(_)) if attempt == 0 => continue,
                staged => staged?,
            };
            let Staged { answers, chain, checkouts } = staged;
            let Chain { changes: _, files, known: _, landed, undo, moves, head, .. } = chain;
            let published = if moves.is_empty() {
                Ok(())
            } else {
                self.store.flush().map_err(Unmoved::from).and_then(|()| self.publish(&moves, &files, &checkouts))
            };
            self.store.forget()?;
            match published {
                Ok(()) => {
                    self.state.tip = Some(CommitId(head));
                    for (commit, trailers) in landed {
                        self.state.known.note(commit, trailers);
                    }
                    return Ok(answers);
                }
                Err(unmoved) => {
                    self.state.places.undo(undo);
                    match unmoved {
                        Unmoved::Elsewhere => {}
                        Unmoved::Rejected(message) => {
                            // A hook that speaks of a branch which has moved meanwhile is not the last word.
                            if self.tip(true)? == tip {
                                return Err(Refused::Rejected { url: self.url(), message });
                            }
                        }
                        Unmoved::Refused(refused) => return Err(refused),
                    }
                }
            }
        }
        Err(Refused::Contended)
    }

    fn publish(&mut self, moves: &[Move], files: &[FileChange], checkouts: &[Checkout]) -> Result<(), Unmoved> {
        match &self.state.place {
            Where::There(line) => {
                line.push(moves)?;
                line.taken(&self.repository.git, moves);
                Ok(())
            }
            Where::Here { .. } => {
                let committer = signature(&self.state.options.committer)?;
                // Files change with the branch, and with no other.
                let branch = self.branch()?;
                // What is asked to go away alone has to; a branch that was taken in has landed, whatever becomes of it.
                let lands = moves.iter().any(Move::is_made);
                for one in moves {
                    let (checkouts, files) = if one.name == branch { (checkouts, files) } else { (&[][..], &[][..]) };
                    match here::advance(&self.repository.git, one, checkouts, files, &committer) {
                        // That it has got another commit meanwhile is told by its being there.
                        Err(Unmoved::Elsewhere) if lands && !one.is_made() => {}
                        Err(unmoved) if lands && !one.is_made() => {
                            tracing::warn!(
                                branch = one.name,
                                ?unmoved,
                                "the branch of a request that has landed stays"
                            );
                        }
                        moved => moved?,
                    }
                }
                Ok(())
            }
        }
    }

    /// Where the branch is.
    fn tip(&mut self, ask: bool) -> Result<CommitId, Refused> {
        let git = &self.repository.git;
        if let Where::There(line) = &mut self.state.place {
            if ask || line.branch().is_none() || self.state.tip.is_none() {
                return line.fetch().map(CommitId);
            }
            if let Some(tip) = self.state.tip {
                return Ok(tip);
            }
        }
        let branch = self.branch()?;
        let found =
            here::target(git, &branch).map_err(|source| WriteError::Branch { branch: branch.clone(), source })?;
        let path = self.repository.path.clone();
        found.map(CommitId).ok_or_else(|| WriteError::Repository(RepositoryError::NoBranch { path, branch }).into())
    }

    /// The branch, by its whole name on the side where it counts.
    pub(crate) fn branch(&mut self) -> Result<String, WriteError> {
        match &mut self.state.place {
            Where::There(line) => Ok(line.branch().unwrap_or(FETCHED).to_owned()),
            Where::Here { path, branch } => {
                let name = match branch.take() {
                    Some(name) => whole_name(&name),
                    None => here::checked_out(&self.repository.git, path)?,
                };
                *branch = Some(name.clone());
                Ok(name)
            }
        }
    }

    pub(crate) fn reviews(&self) -> &'static str {
        match &self.state.place {
            Where::Here { .. } => BRANCHES,
            Where::There(_) => REVIEWS,
        }
    }

    fn url(&self) -> String {
        match &self.state.place {
            Where::Here { path, .. } => path.display().to_string(),
            Where::There(line) => line.url(),
        }
    }

    /// Takes over what others have done.
    fn follow(&mut self, tip: CommitId) -> Result<(), Refused> {
        let State { tip: before, places, known, options: Options { folder, .. }, .. } = &mut *self.state;
        if *before == Some(tip) {
            return Ok(());
        }
        let git = &self.repository.git;
        let forward = before.filter(|before| self.repository.follows(tip, *before).unwrap_or(false));
        // What was taken back has not landed any more, and may land again.
        let mut learned = if forward.is_some() { std::mem::take(known) } else { Known::default() };
        let learning = learned.learn(git, tip, forward);
        *known = learned;
        let placed = match *before {
            Some(before) if git.odb().is_ok_and(|odb| odb.exists(before.0)) => {
                places.follow(self.repository, before, tip, folder)
            }
            _ => Places::read(self.repository, tip, folder).map(|read| *places = read),
        };
        // What is half learned is learned anew the next time.
        *before = None;
        learning?;
        placed?;
        *before = Some(tip);
        Ok(())
    }

    fn close(&mut self, id: &RequestId) -> Result<(), Refused> {
        for _ in 0..TRIES {
            self.tip(true)?;
            let branches = Branches::read(&self.repository.git, self.reviews(), &self.state.branches)?;
            let Some(branch) = branches.get(id) else { return Err(Refused::NoRequest { id: id.clone() }) };
            let gone = Move { name: format!("{BRANCHES}{id}"), from: Some(branch.commit.0), to: None };
            match self.publish(&[gone], &[], &[]) {
                Ok(()) => return Ok(()),
                Err(Unmoved::Elsewhere) => {}
                Err(Unmoved::Rejected(message)) => return Err(Refused::Rejected { url: self.url(), message }),
                Err(Unmoved::Refused(refused)) => return Err(refused),
            }
        }
        Err(Refused::Contended)
    }

    fn waiting(&mut self) -> Result<Vec<Waiting>, Refused> {
        let tip = self.tip(true)?;
        self.state.branches = Branches::read(&self.repository.git, self.reviews(), &self.state.branches)?;
        Ok(self.state.branches.waiting(self.repository, tip, &self.state.options.folder)?)
    }

    fn fate(&mut self, id: &RequestId) -> Result<Fate, Refused> {
        let tip = self.tip(true)?;
        self.follow(tip)?;
        let repository = self.repository;
        let info = |commit| repository.info(commit).map(Box::new).map_err(WriteError::from);
        if let Some(commit) = self.state.known.request(id) {
            return Ok(Fate::Landed(info(commit)?));
        }
        if let Some(commit) = self.state.known.declined(id) {
            let commit = info(commit)?;
            let reason = reason(&commit);
            return Ok(Fate::Declined(commit, reason));
        }
        self.state.branches = Branches::read(&self.repository.git, self.reviews(), &self.state.branches)?;
        match self.state.branches.get(id) {
            Some(branch) if !self.repository.follows(tip, branch.commit).unwrap_or(false) => {
                Ok(Fate::Waiting(branch.waiting(id, self.repository, tip, &self.state.options.folder)?))
            }
            Some(branch) => Ok(Fate::Landed(info(branch.commit)?)),
            None => Ok(Fate::Unknown),
        }
    }

    /// Whether a commit is here.
    pub(crate) fn has(&self, commit: CommitId) -> bool {
        self.repository.git.odb().is_ok_and(|odb| odb.exists(commit.0))
    }

    /// Puts packs together where there are many, while writing goes on.
    fn gather(&self) {
        let path = self.repository.git.commondir().to_owned();
        if super::packs::count(&packs(&self.repository.git)) < super::packs::MANY
            || self.state.gathering.swap(true, Ordering::Relaxed)
        {
            return;
        }
        let gathering = self.state.gathering.clone();
        std::thread::spawn(move || {
            tidy(&path);
            gathering.store(false, Ordering::Relaxed);
        });
    }
}

fn tidy(path: &Path) {
    if let Err(error) = super::packs::gather(path) {
        tracing::warn!(path = %path.display(), error = error.message(), "packs are not put together");
    }
}

pub(crate) fn signature(person: &Person) -> Result<Signature<'static>, WriteError> {
    let Person { name, mail } = clean(person);
    Signature::new(&name, &mail, &Time::new(Timestamp::now().as_second(), 0)).map_err(WriteError::Objects)
}
