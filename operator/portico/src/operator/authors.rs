//! Who wrote approvals, where Argo CD or Flux write to the cluster and a Portal says that authors in Git count.
//!
//! The repository of each such Portal is followed by a task of its own; nothing waits for it. What an object of the cluster
//! says is looked for in it by kind, namespace and name, and counts as its author's where it is the same. What was found once
//! holds for as long as the object says the same: it stands in the status of an Approval, so that a repository that cannot be
//! reached takes nothing away, not even after a restart.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portico_core::batch::{Author, Change, Object, Signature, Spec};
use portico_core::diagnostic::Diagnostic;
use portico_core::key::{Kind, Name, ObjectKey};
use portico_crds::{Decided, Identities, PortalGit, PortalSpec};
use portico_git::watch::{Remote, Signal, Trigger, watch_remote};
use portico_git::{Options, Reader, Repository};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, spawn_blocking};

use super::held::Held;
use super::repository::{auth, credentials, folder, url};
use crate::up::chain;

/// How often a repository is asked for new commits.
const INTERVAL: Duration = Duration::from_secs(30);

/// What a repository has to tell.
pub struct News {
    portal: Name,
    /// Which of the tasks for this Portal says so; those before it say nothing more.
    task: u64,
    said: Said,
}

impl News {
    /// Whose repository it is.
    pub fn portal(&self) -> &Name {
        &self.portal
    }
}

enum Said {
    /// It is followed, and this makes it look.
    Followed(Trigger),
    /// A commit was read: objects that say something else now, and those that are gone.
    Read(Vec<(ObjectKey, Option<Wrote>)>),
    /// It cannot be followed, or not be read.
    Trouble(String),
}

/// What an object says in Git, and who wrote that.
struct Wrote {
    spec: Spec,
    author: Arc<Author>,
}

/// A Portal's repository.
struct Followed {
    git: PortalGit,
    /// The credentials, if it needs any, or why there are none.
    credentials: Result<Option<String>, String>,
    task: u64,
    abort: Option<AbortHandle>,
    trigger: Option<Trigger>,
    wrote: HashMap<ObjectKey, Wrote>,
    is_read: bool,
    trouble: Option<String>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        if let Some(abort) = &self.abort {
            abort.abort();
        }
    }
}

/// The repositories of all Portals that say that authors in Git count.
pub struct Authors {
    portals: BTreeMap<Name, Followed>,
    copies: PathBuf,
    out: mpsc::UnboundedSender<News>,
    tasks: u64,
}

impl Authors {
    /// None yet. Copies of repositories are kept in the folder `copies`.
    pub fn new(copies: PathBuf, out: mpsc::UnboundedSender<News>) -> Self {
        Authors { portals: BTreeMap::new(), copies, out, tasks: 0 }
    }

    /// Whether it matters who wrote an object of this kind.
    pub fn matters(kind: Kind) -> bool {
        matches!(kind, Kind::Approval | Kind::Subscription)
    }

    /// A Portal says this now, or is gone. Answers whether that changes who is looked up where.
    pub fn portal(&mut self, name: &Name, spec: Option<&PortalSpec>, held: &Held) -> bool {
        let git = spec.and_then(|spec| spec.git.as_ref()).filter(|git| git.identities == Identities::GitAuthor);
        let Some(git) = git else { return self.portals.remove(name).is_some() };
        let credentials = credentials(name, git, held);
        let same = |known: &Followed| {
            let place = |git: &PortalGit| (git.repository.clone(), git.branch.clone(), git.path.clone());
            place(&known.git) == place(git) && known.credentials == credentials
        };
        if self.portals.get(name).is_some_and(same) {
            return false;
        }
        self.tasks += 1;
        let task = self.tasks;
        let before = self.portals.remove(name);
        let mut followed = Followed {
            git: git.clone(),
            credentials: credentials.clone(),
            task,
            abort: None,
            trigger: None,
            wrote: HashMap::new(),
            is_read: false,
            trouble: None,
        };
        match credentials {
            Ok(credentials) => {
                let news = Sender { portal: name.clone(), task, out: self.out.clone() };
                let run = follow(git.clone(), credentials, self.copies.join(folder(name, git)), news);
                followed.abort = Some(tokio::spawn(run).abort_handle());
            }
            Err(why) => followed.trouble = Some(why),
        }
        drop(before);
        self.portals.insert(name.clone(), followed);
        true
    }

    /// Takes news in; answers the objects that it is about, and whether any others may be concerned too.
    pub fn hear(&mut self, news: News) -> (BTreeSet<ObjectKey>, bool) {
        let News { portal, task, said } = news;
        let Some(followed) = self.portals.get_mut(&portal).filter(|followed| followed.task == task) else {
            return (BTreeSet::new(), false);
        };
        match said {
            Said::Followed(trigger) => {
                followed.trigger = Some(trigger);
                (BTreeSet::new(), false)
            }
            Said::Read(changes) => {
                followed.trouble = None;
                let is_first = !std::mem::replace(&mut followed.is_read, true);
                let mut keys = BTreeSet::new();
                for (key, wrote) in changes {
                    keys.insert(key.clone());
                    match wrote {
                        Some(wrote) => _ = followed.wrote.insert(key, wrote),
                        None => _ = followed.wrote.remove(&key),
                    }
                }
                (keys, is_first)
            }
            Said::Trouble(why) => {
                tracing::warn!(%portal, error = why, "the repository cannot be followed; what is known of it still holds");
                followed.trouble = Some(why);
                (BTreeSet::new(), !followed.is_read)
            }
        }
    }

    /// What is wrong with a Portal's repository.
    pub fn findings(&self, portal: &Name) -> Vec<Diagnostic> {
        let trouble = self.portals.get(portal).and_then(|followed| followed.trouble.as_ref());
        let about = |why: &String| {
            let key = portal.clone().of(Kind::Portal);
            let message = format!("it cannot be told who wrote new Approvals: {why}");
            Diagnostic::error("repository-unreachable", &key, "spec.git", message)
                .help("those that were known before stay in effect, and it is tried again")
        };
        trouble.map(about).into_iter().collect()
    }

    /// Who wrote what an object says: `seen` is whom the API server saw, `before` who was found to have written the same, and
    /// `is_void` whether that was against it.
    ///
    /// A Portal that goes takes nothing away and gives nothing: what was found by it holds for as long as the object says the same.
    pub fn of(
        &self,
        object: &Object,
        seen: Option<&Arc<Author>>,
        before: Option<Arc<Author>>,
        is_void: bool,
    ) -> Option<Arc<Author>> {
        let key = object.key();
        if !Authors::matters(key.kind) || (key.kind == Kind::Approval && seen.is_some()) {
            return seen.cloned();
        }
        if self.portals.is_empty() {
            let why = "it had no effect by what its repository says, and no Portal names that any more";
            let void = is_void.then(|| Arc::new(Author::Unknown(why.into())));
            return void.or(before).or_else(|| seen.cloned());
        }
        let wrote = |followed: &Followed| {
            followed.wrote.get(&key).filter(|wrote| wrote.spec == object.spec).map(|wrote| wrote.author.clone())
        };
        let found = self.portals.values().find_map(wrote).or(before);
        if found.is_some() || key.kind == Kind::Subscription {
            return found.or_else(|| seen.cloned());
        }
        // There may be a commit that was not read yet.
        for trigger in self.portals.values().filter_map(|followed| followed.trigger.as_ref()) {
            trigger.look();
        }
        let unread = self.portals.iter().find(|(_, followed)| !followed.is_read).map(|(portal, followed)| {
            let why = followed.trouble.as_deref().unwrap_or("it is being fetched");
            format!("the repository of Portal {portal} was not read yet: {why}")
        });
        let why = unread.unwrap_or_else(|| {
            let all: Vec<String> = self.portals.keys().map(Name::to_string).collect();
            format!("the repository of Portal {} does not say what stands here", all.join(", "))
        });
        Some(Arc::new(Author::Unknown(why.into())))
    }
}

/// What a status remembers.
pub fn remembered(decided: Decided) -> Option<Arc<Author>> {
    let Decided { by, commit, signed_with } = decided;
    let signature = signed_with.map_or(Signature::None, |key| Signature::Good(key.into()));
    Some(Arc::new(Author::Commit { mail: by.into(), commit: commit?.into(), signature, portal: None }))
}

/// Where news go.
struct Sender {
    portal: Name,
    task: u64,
    out: mpsc::UnboundedSender<News>,
}

impl Sender {
    fn say(&self, said: Said) {
        // Nobody listens while the program stops.
        let _ = self.out.send(News { portal: self.portal.clone(), task: self.task, said });
    }
}

async fn follow(git: PortalGit, credentials: Option<String>, copy: PathBuf, news: Sender) {
    let (mut watch, mut reader) = loop {
        let (git, credentials, copy) = (git.clone(), credentials.clone(), copy.clone());
        match spawn_blocking(move || begin(&git, credentials.as_deref(), &copy)).await {
            Ok(Ok(begun)) => break begun,
            Ok(Err(why)) => news.say(Said::Trouble(why)),
            Err(_) => return,
        }
        tokio::time::sleep(INTERVAL).await;
    };
    news.say(Said::Followed(watch.trigger()));
    while let Some(signal) = watch.signals.recv().await {
        let commit = match signal {
            Signal::Head { commit, .. } => commit,
            Signal::Trouble(error) => {
                news.say(Said::Trouble(chain(&error)));
                continue;
            }
        };
        let read = spawn_blocking(move || {
            let advance = reader.advance(commit);
            (reader, advance)
        });
        let Ok((back, advance)) = read.await else { return };
        reader = back;
        news.say(match advance {
            Ok(advance) => {
                Said::Read(advance.changes.into_iter().filter_map(|change| wrote(&news.portal, change)).collect())
            }
            Err(error) => Said::Trouble(chain(&error)),
        });
    }
}

fn begin(
    git: &PortalGit,
    credentials: Option<&str>,
    copy: &Path,
) -> Result<(portico_git::watch::Watch, Reader), String> {
    let auth = auth(credentials, copy).map_err(|error| format!("cannot use {}: {error}", copy.display()))?;
    let url = url(git);
    let repository = copy.join("copy.git");
    let branch = Some(git.branch.clone());
    let remote = Remote { url, branch, copy: repository.clone(), auth, interval: INTERVAL };
    let watch = watch_remote(remote).map_err(|error| chain(&error))?;
    let repository = Repository::open(&repository).map_err(|error| chain(&error))?;
    Ok((watch, Reader::new(repository, Options { folder: git.path.clone().unwrap_or_default(), allow_empty: true })))
}

/// What a change says of who wrote what.
fn wrote(portal: &Name, change: Change) -> Option<(ObjectKey, Option<Wrote>)> {
    match change {
        Change::Put(object) if Authors::matters(object.spec.kind()) => {
            let key = object.key();
            let author = object.author.as_deref().and_then(|author| match author.clone() {
                Author::Commit { mail, commit, signature, portal: _ } => {
                    Some(Author::Commit { mail, commit, signature, portal: Some(portal.clone()) })
                }
                Author::User { .. } | Author::Unknown(_) => None,
            });
            Some((key, author.map(|author| Wrote { spec: object.spec, author: Arc::new(author) })))
        }
        Change::Remove(key) if Authors::matters(key.kind) => Some((key, None)),
        Change::Put(_) | Change::Remove(_) | Change::Delete { .. } | Change::Document { .. } | Change::Findings(..) => {
            None
        }
    }
}
