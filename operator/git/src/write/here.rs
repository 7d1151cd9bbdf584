//! The branch of a repository on this machine, and the work trees that have it checked out.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::build::CheckoutBuilder;
use git2::{ErrorCode, Oid, Repository as Git, Signature, Status};

use super::WriteError;
use super::answer::Refused;
use super::apply::FileChange;
use super::moving::Moving;

/// How often, and with what pauses, a lock of somebody else is waited for.
const LOCKED: (usize, Duration) = (100, Duration::from_millis(20));

/// A reference that moves.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    /// Its whole name.
    pub(crate) name: String,
    /// Where it has to be; `None` where it must not be there.
    pub(crate) from: Option<Oid>,
    /// Where it goes; `None` where it goes away.
    pub(crate) to: Option<Oid>,
}

impl Move {
    /// Whether it is there afterwards.
    pub(crate) fn is_made(&self) -> bool {
        self.to.is_some()
    }
}

/// Why a reference has not moved.
#[derive(Debug)]
pub(crate) enum Unmoved {
    /// It is no longer where it was.
    Elsewhere,
    /// The other side does not want it, in its words.
    Rejected(String),
    /// For another reason.
    Refused(Refused),
}

impl From<WriteError> for Unmoved {
    fn from(error: WriteError) -> Self {
        Unmoved::Refused(error.into())
    }
}

/// The branch that is checked out.
pub(crate) fn checked_out(git: &Git, path: &Path) -> Result<String, WriteError> {
    let head = git.find_reference("HEAD").ok();
    let name = head.as_ref().and_then(|head| head.symbolic_target().ok().flatten()).map(str::to_owned);
    name.ok_or_else(|| WriteError::Detached { path: path.to_owned() })
}

/// A work tree that has the branch checked out.
pub(crate) struct Checkout {
    git: Git,
    path: PathBuf,
}

/// All of them: that of the repository itself, and linked ones.
pub(crate) fn checkouts(git: &Git, branch: &str) -> Vec<Checkout> {
    let mut found = Vec::new();
    if git.is_bare() && !git.commondir().join("worktrees").exists() {
        return found;
    }
    let main = Git::open(git.commondir()).ok();
    let linked = git.worktrees().ok();
    let linked =
        linked.iter().flat_map(|names| names.iter().flatten().flatten().map(str::to_owned).collect::<Vec<_>>());
    let linked = linked.filter_map(|name| Git::open_from_worktree(&git.find_worktree(&name).ok()?).ok());
    for git in main.into_iter().chain(linked) {
        let Some(path) = git.workdir().map(Path::to_owned) else { continue };
        if checked_out(&git, &path).is_ok_and(|head| head == branch) {
            found.push(Checkout { git, path });
        }
    }
    found
}

impl Checkout {
    /// Refuses a change of a file in which somebody has something that is not committed. Other files are left as they are.
    pub(crate) fn allows(&self, change: &FileChange) -> Result<(), Refused> {
        let path = Path::new(&*change.path);
        let taken = match self.git.status_file(path) {
            Ok(status) => status != Status::CURRENT,
            Err(error) if error.code() == ErrorCode::NotFound => false,
            // A folder of that name, or the like.
            Err(_) => true,
        };
        // After a crash in the middle of it, the file says already what it is to say.
        let done = || std::fs::read(self.path.join(path)).ok().as_deref() == change.text.as_deref();
        if taken && !done() {
            let (file, work_tree) = (change.path.to_string(), self.path.clone());
            return Err(Refused::Uncommitted { file, work_tree });
        }
        Ok(())
    }

    /// Brings these files to what they are at a commit.
    fn bring(&self, to: Oid, files: &[FileChange]) -> Result<(), WriteError> {
        // Without paths it would bring all there are.
        if files.is_empty() {
            return Ok(());
        }
        let failed = |source| WriteError::WorkTree { path: self.path.clone(), source };
        let tree = self.git.find_commit(to).map_err(failed)?;
        let mut last = Ok(());
        for _ in 0..LOCKED.0 {
            let mut builder = CheckoutBuilder::new();
            builder.force().disable_pathspec_match(true);
            for file in files {
                builder.path(&*file.path);
            }
            last = self.git.checkout_tree(tree.as_object(), Some(&mut builder));
            match &last {
                Err(error) if error.code() == ErrorCode::Locked => std::thread::sleep(LOCKED.1),
                _ => break,
            }
        }
        last.map_err(failed)
    }
}

/// Moves a branch if it is where it has to be, and work trees with it. It is on the disk when this returns.
///
/// Work trees come first, while nobody else can move the branch: after a crash in between, files say what nobody has answered
/// for yet. The other way round, the next commit by hand would take back what was answered.
pub(crate) fn advance(
    git: &Git,
    moved: &Move,
    checkouts: &[Checkout],
    files: &[FileChange],
    committer: &Signature<'_>,
) -> Result<(), Unmoved> {
    let Move { name, from, to } = moved;
    let failed = |source| WriteError::Branch { branch: name.clone(), source };
    let Some(to) = *to else { return remove(git, moved) };
    let _moving = Moving::begin(git, name)?;
    for _ in 0..LOCKED.0 {
        let mut transaction = git.transaction().map_err(failed)?;
        match transaction.lock_ref(name) {
            Ok(()) => {}
            Err(error) if error.code() == ErrorCode::Locked => {
                drop(transaction);
                std::thread::sleep(LOCKED.1);
                continue;
            }
            Err(error) => return Err(failed(error).into()),
        }
        if target(git, name).map_err(failed)? != *from {
            return Err(Unmoved::Elsewhere);
        }
        for checkout in checkouts {
            checkout.bring(to, files)?;
        }
        transaction.set_target(name, to, Some(committer), "portico: requests").map_err(failed)?;
        transaction.commit().map_err(failed)?;
        if from.is_none() {
            settle(git, name)?;
        }
        return Ok(());
    }
    Err(Unmoved::Elsewhere)
}

fn remove(git: &Git, moved: &Move) -> Result<(), Unmoved> {
    let Move { name, from, to: _ } = moved;
    let failed = |source| WriteError::Branch { branch: name.clone(), source };
    let _moving = Moving::begin(git, name)?;
    let mut reference = match git.find_reference(name) {
        Ok(reference) => reference,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(()),
        Err(error) => return Err(failed(error).into()),
    };
    if reference.target() != *from {
        return Err(Unmoved::Elsewhere);
    }
    reference.delete().map_err(failed)?;
    Ok(())
}

/// Where a reference is; `None` where there is none.
pub(crate) fn target(git: &Git, name: &str) -> Result<Option<Oid>, git2::Error> {
    match git.find_reference(name) {
        Ok(reference) => Ok(reference.target()),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts the folders of a new reference on the disk.
fn settle(git: &Git, name: &str) -> Result<(), WriteError> {
    let mut path = git.commondir().join(name);
    while path.pop() && path.starts_with(git.commondir().join("refs")) {
        let folder = File::open(&path).and_then(|folder| folder.sync_all());
        folder.map_err(|source| WriteError::Folder { path: path.clone(), source })?;
    }
    Ok(())
}
