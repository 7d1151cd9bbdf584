//! The `SQLite` side: settings, tables, and what its errors mean to an operator.

use std::path::{Path, PathBuf};

use portico_core::key::Name;
use rusqlite::{Connection, ErrorCode, OpenFlags};

/// A read or write of the store failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room.
    #[error("the disk of {path} is full: nothing was changed")]
    Full {
        /// The database.
        path: PathBuf,
        /// In `SQLite`'s words.
        source: rusqlite::Error,
    },
    /// Not writable.
    #[error("{path} cannot be written, it is read-only: nothing was changed")]
    ReadOnly {
        /// The database.
        path: PathBuf,
        /// In `SQLite`'s words.
        source: rusqlite::Error,
    },
    /// Not what was written.
    #[error("{path} is damaged: restore it from a backup, or delete it to make every key anew")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// In `SQLite`'s words.
        source: rusqlite::Error,
    },
    /// Written by a newer Portico.
    #[error("{path} has format {found}, this Portico knows {known}: use the version that wrote it, or a newer one")]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// Anything else that `SQLite` says.
    #[error("cannot {step} ({path})")]
    Database {
        /// What was being done.
        step: &'static str,
        /// The database.
        path: PathBuf,
        /// In `SQLite`'s words.
        source: rusqlite::Error,
    },
    /// A key that was sealed for something else, or bytes that changed.
    #[error("the stored key of credential {credential}, generation {generation}, does not open: its row was changed")]
    Sealed {
        /// The credential.
        credential: Name,
        /// The generation.
        generation: i64,
    },
    /// The operating system gives no randomness.
    #[error("no randomness to make keys of: nothing was changed")]
    Random,
}

/// The newest format of the file, kept in `PRAGMA user_version`.
const FORMAT: i64 = 4;

const TABLES: &str = "
CREATE TABLE keys (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    sealed BLOB NOT NULL,
    asked INTEGER,
    expires_at INTEGER,
    PRIMARY KEY (namespace, name, generation)
) STRICT, WITHOUT ROWID;
CREATE TABLE revoked (
    fingerprint TEXT NOT NULL PRIMARY KEY,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE first_seen (
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (kind, namespace, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE seal (id INTEGER PRIMARY KEY CHECK (id = 1), sealed BLOB NOT NULL) STRICT;
";

/// What format 2 has and format 1 had not. A key without `asked` was asked for as what it is.
const SECOND: &str = "
ALTER TABLE keys ADD COLUMN asked INTEGER;
ALTER TABLE keys ADD COLUMN expires_at INTEGER;
";

/// Since format 3.
const COUNTS: &str = "
CREATE TABLE counts (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    limit_name TEXT NOT NULL,
    application TEXT NOT NULL,
    begins INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (namespace, name, limit_name, application)
) STRICT, WITHOUT ROWID;
";

/// Since format 4: the plan that a subscription is on, as `namespace/name`.
const ON: &str = "ALTER TABLE first_seen ADD COLUMN plan TEXT;";

/// Opens the file and makes the tables that are missing.
pub(crate) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(at(path, "open the secret store"))?;
    prepare(&mut connection, path)?;
    Ok(connection)
}

fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = at(path, "prepare the secret store");
    // EXCLUSIVE: the lock file admits one process anyway, and WAL then needs no shared memory file.
    // secure_delete: what is destroyed is overwritten.
    connection
        .execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF;",
        )
        .map_err(&failed)?;
    connection.set_prepared_statement_cache_capacity(32);
    let transaction = connection.transaction().map_err(&failed)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(&failed)?;
    let missing = match found {
        0 => [TABLES, COUNTS, ON].as_slice(),
        1 => &[SECOND, COUNTS, ON],
        2 => &[COUNTS, ON],
        3 => &[ON],
        FORMAT => &[],
        _ => return Err(StoreError::Newer { path: path.to_owned(), found, known: FORMAT }),
    };
    for tables in missing {
        transaction.execute_batch(tables).map_err(&failed)?;
    }
    if found != FORMAT {
        transaction.pragma_update(None, "user_version", FORMAT).map_err(&failed)?;
    }
    transaction.commit().map_err(&failed)
}

/// Turns an error of `SQLite` into one that says what to do.
pub(crate) fn at(path: &Path, step: &'static str) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |source| {
        let path = path.clone();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full { path, source },
            Some(ErrorCode::ReadOnly) => StoreError::ReadOnly { path, source },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged { path, source },
            _ => StoreError::Database { step, path, source },
        }
    }
}
