//! Writing to the repository that a Portal names, and following what was written into the cluster.
//!
//! Whoever syncs the repository brings objects, and no commits. So a commit counts as synced once the objects that it is about
//! stand in the cluster as it says, or as the branch says since. Until then a preview takes for there what it says.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portico_core::Core;
use portico_core::batch::{Author, Change, Object, Signature, Spec};
use portico_core::diagnostic::Diagnostic;
use portico_core::key::{Kind, Name, ObjectKey};
use portico_crds::PortalGit;
use portico_git::CommitId;
use portico_git::write::{Elsewhere, Options, Proposal, Target, Touched, Writer};
use portico_portal::{Asked, Fate, HostError, Landed, Past, Reading, Refused, Verdict, Waiting, Wish};

use crate::operator::held::Held;
use crate::operator::repository::{auth, credentials, folder, url};
use crate::portal::{aside, committer, past, preview, repository, review};
use crate::up::chain;

/// How long the repository may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// So long it is believed what a commit is about, and what the branch says since.
const FRESH: Duration = Duration::from_secs(1);
/// So often the repository is asked for commits that it is not known to have.
const ASKED: Duration = Duration::from_secs(10);
/// So old may be what is told of the branch's history.
const LATELY: Duration = Duration::from_secs(1);
/// So many commits are followed at once.
const MOST: usize = 1_024;

/// The repository, whichever it is now.
pub struct Written {
    reading: Reading,
    held: Arc<Held>,
    copies: PathBuf,
    branch: Mutex<Option<Arc<Branch>>>,
}

/// The objects that a commit is about; `None` where the branch has no such commit.
type About = Option<Arc<[Touched]>>;

/// The branch that a Portal names, and how it is reached.
struct Branch {
    portal: Name,
    git: PortalGit,
    credentials: Option<String>,
    target: Target,
    folder: String,
    writer: Writer,
    landed: Arc<Mutex<Vec<CommitId>>>,
    known: Mutex<HashMap<CommitId, (Instant, About)>>,
    asked: tokio::sync::Mutex<Option<Instant>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Written {
    pub fn new(reading: Reading, held: Arc<Held>, copies: PathBuf) -> Written {
        Written { reading, held, copies, branch: Mutex::default() }
    }

    /// Carries out a wish.
    pub async fn submit(&self, wish: Wish) -> Result<Landed, Refused> {
        let branch = self.branch().map_err(Refused::Unavailable)?;
        // Pages are made from what is in the cluster, which is no commit.
        let wish = Wish { base: None, ..wish };
        let (commit, waits) = review::submit(&branch.writer, wish).await?;
        if waits.is_none() {
            branch.follow(commit);
        }
        Ok(Landed { commit: commit.to_string(), waits })
    }

    /// Wishes that wait on branches.
    pub async fn waiting(&self) -> Result<Vec<Waiting>, HostError> {
        review::waiting(&self.branch().map_err(HostError)?.writer).await
    }

    /// Takes one of them in, or turns it down.
    pub async fn answer(&self, verdict: Verdict) -> Result<Landed, Refused> {
        let branch = self.branch().map_err(Refused::Unavailable)?;
        let commit = review::answer(&branch.writer, verdict).await?;
        branch.follow(commit);
        Ok(Landed { commit: commit.to_string(), waits: None })
    }

    /// What became of one.
    pub async fn fate(&self, id: &str) -> Result<Fate, HostError> {
        review::fate(&self.branch().map_err(HostError)?.writer, id).await
    }

    /// A part of the history of the branch. It may be ahead of what is synced.
    pub async fn history(&self, asked: Asked) -> Result<Past, HostError> {
        let branch = self.branch().map_err(HostError)?;
        branch.fetch(LATELY).await?;
        let (target, folder) = (branch.target.clone(), branch.folder.clone());
        aside(move || match target.newest().map_err(|error| HostError(chain(&error)))? {
            Some((repository, head)) => past::read(&repository, head, &folder, asked),
            None => Ok(Past::default()),
        })
        .await
    }

    /// Whether the objects that a commit is about stand in the cluster as it says, or as the branch says since.
    pub async fn is_synced(&self, commit: &str) -> Result<bool, HostError> {
        let Ok(commit) = commit.parse::<CommitId>() else { return Ok(false) };
        let branch = self.branch().map_err(HostError)?;
        let Some(touched) = branch.touched(commit).await? else { return Ok(false) };
        Ok(self.reading.look(|core| touched.iter().all(|one| stands(core, one))))
    }

    /// The branch as the Portal names it now.
    fn branch(&self) -> Result<Arc<Branch>, String> {
        let named = self.reading.look(repository);
        let (portal, git) =
            named.ok_or("no Portal names a repository to write to: `spec.git` of the Portal does".to_owned())?;
        let credentials = credentials(&portal, &git, &self.held)?;
        let mut known = lock(&self.branch);
        let same = |known: &Branch| known.portal == portal && known.git == git && known.credentials == credentials;
        if let Some(branch) = known.as_ref().filter(|known| same(known)) {
            return Ok(branch.clone());
        }
        let place = self.copies.join(folder(&portal, &git)).join("portal");
        let auth =
            auth(credentials.as_deref(), &place).map_err(|error| format!("cannot use {}: {error}", place.display()))?;
        let target = Target::Elsewhere(Elsewhere {
            url: url(&git),
            branch: Some(git.branch.clone()),
            copy: place.join("written.git"),
            auth,
            limit: PATIENCE,
        });
        let folder = git.path.clone().unwrap_or_default();
        let landed: Arc<Mutex<Vec<CommitId>>> = Arc::default();
        let mut foresight = Foresight {
            reading: self.reading.clone(),
            portal: portal.clone(),
            target: target.clone(),
            folder: folder.clone(),
            landed: landed.clone(),
            said: None,
        };
        let options = Options { folder: folder.clone(), committer: committer(Some(&git)) };
        let writer = Writer::new(target.clone(), options, move |proposal: &Proposal<'_>| foresight.preview(proposal));
        let (known_commits, asked) = Default::default();
        let branch = Branch { portal, git, credentials, target, folder, writer, landed, known: known_commits, asked };
        Ok(known.insert(Arc::new(branch)).clone())
    }
}

impl Branch {
    /// What a commit is about.
    async fn touched(self: &Arc<Self>, commit: CommitId) -> Result<About, HostError> {
        if let Some((at, touched)) = lock(&self.known).get(&commit)
            && at.elapsed() < FRESH
        {
            return Ok(touched.clone());
        }
        let mut found = self.read(commit).await?;
        if found.is_none() {
            // Another replica may have written it.
            self.fetch(ASKED).await?;
            found = self.read(commit).await?;
        }
        let found: About = found.map(Arc::from);
        let mut known = lock(&self.known);
        if known.len() >= MOST {
            known.retain(|_, (at, _)| at.elapsed() < FRESH);
        }
        known.insert(commit, (Instant::now(), found.clone()));
        Ok(found)
    }

    /// Fetches the branch, unless that was done a moment ago.
    async fn fetch(&self, fresh: Duration) -> Result<(), HostError> {
        let mut asked = self.asked.lock().await;
        if asked.is_none_or(|at| at.elapsed() > fresh) {
            // It is fetched to list what waits there.
            let answer = self.writer.waiting().await;
            *asked = Some(Instant::now());
            answer.map_err(|refused| HostError(chain(&refused)))?;
        }
        Ok(())
    }

    /// Takes for there what a commit says, until it is in the cluster.
    fn follow(&self, commit: CommitId) {
        let mut all = lock(&self.landed);
        if !all.contains(&commit) {
            if all.len() == MOST {
                all.remove(0);
            }
            all.push(commit);
        }
    }

    async fn read(self: &Arc<Self>, commit: CommitId) -> Result<Option<Vec<Touched>>, HostError> {
        let branch = self.clone();
        aside(move || branch.target.touched(commit, &branch.folder).map_err(|error| HostError(chain(&error)))).await
    }
}

/// Whether an object stands in the cluster as it was written.
fn stands(core: &Core, touched: &Touched) -> bool {
    let Touched { key, then, now } = touched;
    let there = core.object(key).map(|object| object.spec);
    there == *then || there == *now
}

/// Finds out what a wish would come to, before it is written.
struct Foresight {
    reading: Reading,
    portal: Name,
    target: Target,
    folder: String,
    /// What was written here and may not be in the cluster yet.
    landed: Arc<Mutex<Vec<CommitId>>>,
    said: Option<Said>,
}

/// What those commits are about, with one commit on the branch: requests that land together ask once.
struct Said {
    base: CommitId,
    landed: Vec<CommitId>,
    touched: Vec<(CommitId, Vec<Touched>)>,
}

impl Foresight {
    fn preview(&mut self, proposal: &Proposal<'_>) -> Vec<Diagnostic> {
        let written = self.written(proposal.base);
        let mut problems: Vec<Diagnostic> = proposal
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::Put(object) => Some(object.key()),
                _ => None,
            })
            .filter(|key| written.iter().any(|(known, spec)| known == key && spec.is_some()))
            .filter(|key| !self.reading.look(|core| core.has(key)))
            .map(|key| waits(&key))
            .collect();
        if !problems.is_empty() {
            return problems;
        }
        let before: Vec<Change> = written
            .into_iter()
            .map(|(key, spec)| match spec {
                Some(spec) => {
                    Change::Put(Object { name: key.name, generation: None, created: None, author: None, spec })
                }
                None => Change::Remove(key),
            })
            .chain(proposal.before.iter().cloned())
            .collect();
        let changes: Vec<Change> = proposal.changes.iter().cloned().map(|change| self.signed(change)).collect();
        problems.extend(preview(&self.reading, &before, &changes));
        problems
    }

    /// What was written and is not in the cluster yet, as the branch has it now.
    fn written(&mut self, base: CommitId) -> Vec<(ObjectKey, Option<Spec>)> {
        let landed = lock(&self.landed).clone();
        let known = self.said.take().filter(|said| said.base == base && said.landed == landed);
        let said = known.unwrap_or_else(|| self.look(base, landed));
        let mut waiting: HashMap<ObjectKey, Option<Spec>> = HashMap::new();
        let mut done = Vec::new();
        self.reading.look(|core| {
            for (commit, touched) in &said.touched {
                let mut open = touched.iter().filter(|one| !stands(core, one)).peekable();
                if open.peek().is_none() {
                    done.push(*commit);
                }
                waiting.extend(open.map(|one| (one.key.clone(), one.now.clone())));
            }
        });
        lock(&self.landed).retain(|commit| !done.contains(commit));
        self.said = Some(said);
        waiting.into_iter().collect()
    }

    fn look(&self, base: CommitId, landed: Vec<CommitId>) -> Said {
        let about = |commit: &CommitId| match self.target.touched(*commit, &self.folder) {
            Ok(touched) => Some((*commit, touched.unwrap_or_default())),
            Err(error) => {
                tracing::debug!(%commit, error = chain(&error), "it cannot be told what a commit is about");
                None
            }
        };
        let touched = landed.iter().filter_map(about).collect();
        Said { base, landed, touched }
    }

    /// With the Portal of whose repository its author is, which may want signatures.
    fn signed(&self, change: Change) -> Change {
        let Change::Put(mut object) = change else { return change };
        let mail = match object.author.as_deref() {
            Some(Author::Commit { mail, .. }) => mail.clone(),
            _ => return Change::Put(object),
        };
        let portal = Some(self.portal.clone());
        let author = Author::Commit { mail, commit: "".into(), signature: Signature::None, portal };
        object.author = Some(Arc::new(author));
        Change::Put(object)
    }
}

/// Somebody asks for something new by a name that was asked for a moment ago.
fn waits(key: &ObjectKey) -> Diagnostic {
    let what = match key.kind {
        Kind::Approval => "an answer",
        _ => "the same",
    };
    let message = format!("{what} was written a moment ago as {key}, and is not in the cluster yet");
    Diagnostic::error("waits-for-sync", key, "", message).help("wait until it is synced, and load the page anew")
}
