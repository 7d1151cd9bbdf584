//! Opening a store: who may, and only one at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};

use crate::database::{StoreError, at, connect};
use crate::seal::{Binding, DataKeyError, KeyLocation, Seal};

/// A store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made or looked at.
    #[error("cannot use {path} as state directory")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder or one of its files can be read by others.
    #[error("{path} is open to others (mode {mode:03o}): make it {wanted:03o} with chmod")]
    Wide {
        /// The folder or file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they may be.
        wanted: u32,
    },
    /// Another process has it.
    #[error("{path} is in use by another Portico (process {holder})")]
    InUse {
        /// The state directory.
        path: PathBuf,
        /// The number of the process that holds it, as it wrote it down.
        holder: String,
    },
    /// A file cannot be made or locked.
    #[error("cannot open {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No data key.
    #[error("no data key for the secret store")]
    DataKey(#[from] DataKeyError),
    /// The data key is not the one that sealed this store.
    #[error("{key} is not the data key that sealed {database}: point to the right one, or restore both together")]
    WrongKey {
        /// The data key.
        key: PathBuf,
        /// The database.
        database: PathBuf,
    },
    /// The database.
    #[error("the secret store does not open")]
    Store(#[from] StoreError),
}

/// An open store. It is closed, and free for others, when it is dropped.
pub struct Store {
    pub(crate) connection: Connection,
    pub(crate) seal: Seal,
    pub(crate) path: PathBuf,
    // Dropped last: until then nobody else may open the files above.
    _lock: Lock,
}

impl Store {
    /// Opens the store in `dir`, and makes both if they are not there.
    ///
    /// # Errors
    ///
    /// Refuses a folder or file that others can read, a store that another process holds, and a data key that is missing
    /// or not the one that sealed it.
    pub fn open(dir: &Path, key: KeyLocation) -> Result<Store, OpenError> {
        private_folder(dir)?;
        let lock = lock(dir)?;
        let path = dir.join("secrets.db");
        let new = fs::metadata(&path).map_or(true, |file| file.len() == 0);
        private_file(&path)?;
        for side in ["secrets.db-wal", "secrets.db-shm", "secrets.db-journal"] {
            check_if_there(&dir.join(side))?;
        }
        let key = match key {
            KeyLocation::Beside => dir.join("secrets.key"),
            KeyLocation::File(path) => path,
        };
        if new {
            // Before there is a database: a store without its key would be lost, a key without a store does no harm.
            Seal::load(&key, true)?;
        }
        let connection = connect(&path)?;
        let failed = at(&path, "read the secret store");
        let check: Option<Vec<u8>> =
            connection.query_row("SELECT sealed FROM seal", [], |row| row.get(0)).optional().map_err(&failed)?;
        let seal = Seal::load(&key, check.is_none())?;
        match check {
            Some(check) if seal.open(Binding::Check, &check).is_none() => {
                return Err(OpenError::WrongKey { key, database: path });
            }
            Some(_) => {}
            None => {
                let check = seal.seal(Binding::Check, b"").ok_or(StoreError::Random)?;
                connection.execute("INSERT INTO seal VALUES (1, ?1)", [check]).map_err(&failed)?;
            }
        }
        Ok(Store { connection, seal, path, _lock: lock })
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

fn private_folder(dir: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Folder { path: dir.to_owned(), source };
    if !dir.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    }
    let found = fs::metadata(dir).map_err(failed)?;
    if !found.is_dir() {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    }
    narrow(dir, &found, 0o700)
}

fn private_file(path: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::File { path: path.to_owned(), source };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    narrow(path, &file.metadata().map_err(failed)?, 0o600)?;
    Ok(file)
}

fn check_if_there(path: &Path) -> Result<(), OpenError> {
    match fs::metadata(path) {
        Ok(found) => narrow(path, &found, 0o600),
        Err(_) => Ok(()),
    }
}

fn narrow(path: &Path, found: &fs::Metadata, wanted: u32) -> Result<(), OpenError> {
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(OpenError::Wide { path: path.to_owned(), mode, wanted }) }
}

/// The lock of a state directory. It ends when it is dropped, said outright: a child process that starts at this moment has
/// a copy of the file until it runs its own program, and closing ours alone would leave the directory in use until then.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // A file that cannot be unlocked is closed next, which ends the lock too.
        let _ = self.0.unlock();
    }
}

fn lock(dir: &Path) -> Result<Lock, OpenError> {
    let path = dir.join("secrets.lock");
    let mut file = private_file(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Who it is only helps the reader; that it is taken is certain.
            let _ = file.read_to_string(&mut holder);
            let holder = if holder.trim().is_empty() { "unknown".to_owned() } else { holder.trim().to_owned() };
            return Err(OpenError::InUse { path: dir.to_owned(), holder });
        }
        Err(TryLockError::Error(source)) => return Err(OpenError::File { path, source }),
    }
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(|source| OpenError::File { path, source })?;
    Ok(Lock(file))
}

#[cfg(test)]
mod tests {
    use super::{OpenError, lock};

    #[test]
    fn a_copy_that_a_starting_child_has_holds_nothing_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let held = lock(folder.path()).expect("locked");
        let copy = held.0.try_clone().expect("a copy, as fork makes one");
        assert!(matches!(lock(folder.path()), Err(OpenError::InUse { .. })));
        drop(held);
        lock(folder.path()).expect("free again");
        drop(copy);
    }
}
