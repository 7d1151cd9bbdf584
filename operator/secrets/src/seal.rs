//! The data key, and what is sealed under it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use portico_core::key::Name;
use zeroize::Zeroizing;

const KEY: usize = 32;
const NONCE: usize = 24;

/// Where the data key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyLocation {
    /// In `secrets.key` beside the database.
    Beside,
    /// In a file of its own, for example on another disk or in a mounted secret.
    File(PathBuf),
}

/// The data key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DataKeyError {
    /// There are sealed keys already, and a new data key would not open them.
    #[error("the data key {path} is missing, and the store has keys sealed with it: put the file back from a backup")]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file can be read by others.
    #[error("{path} can be read by others (mode {mode:03o}): chmod 600 it, and consider the keys in it as known")]
    Wide {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds something else.
    #[error("{path} is not a data key: it should have 64 hexadecimal digits")]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read the data key {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be made.
    #[error("cannot write the data key {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The operating system gives no randomness.
    #[error("no randomness to make a data key of")]
    Random(#[source] getrandom::Error),
}

/// The data key in use.
pub(crate) struct Seal {
    cipher: XChaCha20Poly1305,
}

/// What a sealed text belongs to; it opens only together with the same binding.
#[derive(Clone, Copy)]
pub(crate) enum Binding<'a> {
    /// The one text that tells whether a data key is the right one.
    Check,
    /// The key of a credential's generation.
    Key(&'a Name, i64),
}

impl Binding<'_> {
    fn bytes(self) -> Vec<u8> {
        match self {
            Binding::Check => b"portico check".to_vec(),
            Binding::Key(credential, generation) => {
                // Neither part can contain a NUL (they are DNS names), so no two bindings have the same bytes.
                let mut bytes = b"portico key\0".to_vec();
                bytes.extend_from_slice(credential.namespace().as_bytes());
                bytes.push(0);
                bytes.extend_from_slice(credential.name().as_bytes());
                bytes.push(0);
                bytes.extend_from_slice(&generation.to_be_bytes());
                bytes
            }
        }
    }
}

impl Seal {
    /// Reads the data key, or makes one when `may_make` says that nothing has been sealed yet.
    pub(crate) fn load(path: &Path, may_make: bool) -> Result<Seal, DataKeyError> {
        match File::open(path) {
            Ok(file) => Seal::read(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound && may_make => Seal::make(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(DataKeyError::Missing { path: path.to_owned() })
            }
            Err(source) => Err(DataKeyError::Read { path: path.to_owned(), source }),
        }
    }

    fn read(path: &Path, file: File) -> Result<Seal, DataKeyError> {
        let failed = |source| DataKeyError::Read { path: path.to_owned(), source };
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(DataKeyError::Wide { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(Vec::with_capacity(KEY * 2 + 2));
        file.take(1024).read_to_end(&mut text).map_err(failed)?;
        let digits = text.trim_ascii();
        let mut key = Zeroizing::new([0; KEY]);
        if digits.len() != KEY * 2 {
            return Err(DataKeyError::Form { path: path.to_owned() });
        }
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
                return Err(DataKeyError::Form { path: path.to_owned() });
            };
            *byte = high << 4 | low;
        }
        Ok(Seal { cipher: XChaCha20Poly1305::new((&*key).into()) })
    }

    /// Writes a new data key so that the file is either whole or not there.
    fn make(path: &Path) -> Result<Seal, DataKeyError> {
        let failed = |source| DataKeyError::Write { path: path.to_owned(), source };
        let mut key = Zeroizing::new([0; KEY]);
        getrandom::fill(&mut *key).map_err(DataKeyError::Random)?;
        let mut text = Zeroizing::new(hex(&*key));
        text.push('\n');
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".new");
        let unfinished = PathBuf::from(unfinished);
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished).map_err(failed)?;
        file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&unfinished, path).map_err(failed)?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        Ok(Seal { cipher: XChaCha20Poly1305::new((&*key).into()) })
    }

    /// Nonce and sealed text in one. `None` where no randomness is to be had.
    pub(crate) fn seal(&self, binding: Binding<'_>, text: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).ok()?;
        let payload = Payload { msg: text, aad: &binding.bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        let mut row = Vec::with_capacity(NONCE + sealed.len());
        row.extend_from_slice(&nonce);
        row.extend_from_slice(&sealed);
        Some(row)
    }

    /// What was sealed. `None` for another data key, another binding, or changed bytes.
    pub(crate) fn open(&self, binding: Binding<'_>, row: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = row.split_first_chunk::<NONCE>()?;
        let payload = Payload { msg: sealed, aad: &binding.bytes() };
        self.cipher.decrypt(&XNonce::from(*nonce), payload).ok().map(Zeroizing::new)
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|half| char::from(DIGITS[usize::from(half)])).collect()
}
