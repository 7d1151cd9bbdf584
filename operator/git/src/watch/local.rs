//! A repository on this machine.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::Sender;

use super::{Signal, Trigger, WAITING, Wake, Watch, WatchError};
use crate::commit::{CommitId, Repository};

/// Git writes a reference in several steps; this long nothing more must have happened.
const QUIET: Duration = Duration::from_millis(1);

/// However much happens, it looks after this time.
const LONGEST: Duration = Duration::from_millis(10);

/// Follows `branch`, or whatever is checked out, of the repository at `path`. It looks again every `poll` in case it is not
/// told.
///
/// The first signal is the commit that is there now.
///
/// # Errors
///
/// When there is no repository. All that happens later is told by signals.
pub fn watch(path: &Path, branch: Option<&str>, poll: Duration) -> Result<Watch, WatchError> {
    let repository = Repository::open(path)?;
    let (wake, woken) = mpsc::channel();
    let (signals, receiver) = tokio::sync::mpsc::channel(WAITING);
    let (git, common) = (repository.git.path().to_owned(), repository.git.commondir().to_owned());
    let (watcher, trouble) = match listen(&git, &common, wake.clone()) {
        Ok(watcher) => (Some(watcher), None),
        Err(source) => (None, Some(WatchError::Notify { path: git, source })),
    };
    let mut local = Local { repository, branch: branch.map(str::to_owned), last: None, commit: None, signals };
    std::thread::spawn(move || {
        // Dropped with the thread, it stops listening.
        let _watcher = watcher;
        if let Some(trouble) = trouble
            && local.signals.blocking_send(Signal::Trouble(trouble)).is_err()
        {
            return;
        }
        while local.look() && wait(&woken, poll, &mut local) {}
    });
    Ok(Watch { signals: receiver, trigger: Trigger(wake) })
}

struct Local {
    repository: Repository,
    branch: Option<String>,
    /// What was said last: a commit, or in words what is wrong.
    last: Option<Result<CommitId, String>>,
    commit: Option<CommitId>,
    signals: Sender<Signal>,
}

impl Local {
    /// Looks where the branch is; `false` when nobody listens any more.
    fn look(&mut self) -> bool {
        if self.signals.is_closed() {
            return false;
        }
        let found = self.repository.head(self.branch.as_deref());
        let now = found.as_ref().map(|commit| *commit).map_err(ToString::to_string);
        if self.last.as_ref() == Some(&now) {
            return true;
        }
        let signal = match found {
            Ok(commit) => {
                let before = self.commit.replace(commit);
                let rewritten = before.is_some_and(|before| !self.repository.follows(commit, before).unwrap_or(false));
                Signal::Head { commit, rewritten }
            }
            Err(error) => Signal::Trouble(error.into()),
        };
        self.last = Some(now);
        self.signals.blocking_send(signal).is_ok()
    }
}

/// Waits until there may be something new; `false` when nobody listens any more.
fn wait(woken: &mpsc::Receiver<Wake>, poll: Duration, local: &mut Local) -> bool {
    match woken.recv_timeout(poll) {
        Ok(Wake::Look) => {}
        Ok(Wake::Lost(source)) => {
            let path: PathBuf = local.repository.git.path().to_owned();
            let trouble = Signal::Trouble(WatchError::Notify { path, source });
            return local.signals.blocking_send(trouble).is_ok();
        }
        Err(RecvTimeoutError::Timeout) => return true,
        // Nothing is told, and nobody can: what is left is to ask.
        Err(RecvTimeoutError::Disconnected) => {
            std::thread::sleep(poll);
            return true;
        }
    }
    let since = Instant::now();
    while since.elapsed() < LONGEST && woken.recv_timeout(QUIET).is_ok() {}
    true
}

/// Listens to what tells of a moved branch: `HEAD` of this work tree, and references, packed or not, of the repository.
fn listen(git: &Path, common: &Path, wake: mpsc::Sender<Wake>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let wake_up = match event {
            Ok(event) if matters(&event) => Wake::Look,
            Ok(_) => return,
            Err(error) => Wake::Lost(error),
        };
        // The thread that would listen may have ended before this watcher.
        let _ = wake.send(wake_up);
    })?;
    watcher.watch(git, RecursiveMode::NonRecursive)?;
    if common != git {
        watcher.watch(common, RecursiveMode::NonRecursive)?;
    }
    for folder in ["refs", "reftable"] {
        let folder = common.join(folder);
        if folder.is_dir() {
            watcher.watch(&folder, RecursiveMode::Recursive)?;
        }
    }
    Ok(watcher)
}

/// Whether an event can mean that a branch has moved. Lock files come and go around each real change.
fn matters(event: &Event) -> bool {
    let reading = matches!(event.kind, EventKind::Access(_));
    let lasting = |path: &PathBuf| {
        let lock = path.extension().is_some_and(|extension| extension == "lock");
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let inside = path.components().any(|part| part.as_os_str() == "refs" || part.as_os_str() == "reftable");
        !lock && (inside || name == "HEAD" || name == "packed-refs")
    };
    // An overflow has no paths: then anything may have happened.
    !reading && (event.need_rescan() || event.paths.iter().any(lasting))
}
