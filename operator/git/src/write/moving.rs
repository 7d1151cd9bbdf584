//! Moving a reference so that the end of the process in the middle of it stops nobody.
//!
//! Git locks a reference by a file beside it, which stays behind when its maker is killed, and then nobody can move the
//! reference any more. So it is written down first which one is about to be locked, under a lock that the system takes away from
//! the dead. Who gets that one next and finds such a note cleans up.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use git2::Repository as Git;

use super::WriteError;

/// How often, and with what pauses, another Portico is waited for.
const BUSY: (usize, Duration) = (2_000, Duration::from_millis(5));

/// A lock file that the dead may have left is watched for this long: that of a living Git changes, or goes.
const STILL: Duration = Duration::from_millis(200);

/// While it is there, this process moves a reference.
#[derive(Debug)]
pub(crate) struct Moving {
    note: PathBuf,
    /// The system's lock ends with it.
    _lock: File,
}

impl Moving {
    /// Begins to move a reference, once nobody else does.
    pub(crate) fn begin(git: &Git, name: &str) -> Result<Moving, WriteError> {
        let folder = git.commondir().join("portico");
        let begun = begin(git.commondir(), &folder, name);
        begun.map_err(|source| WriteError::Folder { path: folder, source })
    }
}

fn begin(git: &Path, folder: &Path, name: &str) -> io::Result<Moving> {
    let (lock, note) = (File::create(folder.join("lock"))?, folder.join("moving"));
    let mut left = BUSY.0;
    while let Err(error) = lock.try_lock() {
        match error {
            TryLockError::WouldBlock if left > 0 => left -= 1,
            TryLockError::WouldBlock => return Err(io::ErrorKind::ResourceBusy.into()),
            TryLockError::Error(error) => return Err(error),
        }
        std::thread::sleep(BUSY.1);
    }
    if let Ok(said) = fs::read_to_string(&note) {
        for left_behind in [format!("{}.lock", said.trim_end()), "packed-refs.lock".to_owned()] {
            clean(&git.join(left_behind))?;
        }
    }
    fs::write(&note, name)?;
    Ok(Moving { note, _lock: lock })
}

impl Drop for Moving {
    fn drop(&mut self) {
        // A note that stays costs the next one a moment.
        let _ = fs::remove_file(&self.note);
    }
}

/// Takes a lock file away that nobody holds any more.
fn clean(file: &Path) -> io::Result<()> {
    let Some(before) = touched(file) else { return Ok(()) };
    let age = SystemTime::now().duration_since(before.0).unwrap_or_default();
    std::thread::sleep(STILL.saturating_sub(age));
    if touched(file) != Some(before) {
        return Ok(());
    }
    tracing::warn!(file = %file.display(), "removing a lock that was left behind");
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn touched(file: &Path) -> Option<(SystemTime, u64)> {
    let found = fs::symlink_metadata(file).ok()?;
    Some((found.modified().ok()?, found.len()))
}
