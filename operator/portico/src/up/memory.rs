//! What the portal remembers besides Git: a folder a kind, a file a name, and all of it in memory.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use portico_portal::Remembered;

/// A file that is not whole yet ends with this.
const PART: &str = ".part";

/// What is remembered.
pub struct Memory {
    folder: PathBuf,
    known: Mutex<BTreeMap<String, Arc<Remembered>>>,
}

impl Memory {
    /// What a folder holds. It is made if it is not there.
    pub fn open(folder: &Path) -> io::Result<Memory> {
        make(folder)?;
        let mut known = BTreeMap::new();
        for kind in entries(folder)? {
            let mut remembered = Remembered::new();
            for name in entries(&folder.join(&kind))? {
                let path = folder.join(&kind).join(&name);
                if name.ends_with(PART) {
                    // Left by a crash.
                    fs::remove_file(&path)?;
                } else {
                    remembered.insert(name, fs::read_to_string(&path)?);
                }
            }
            known.insert(kind, Arc::new(remembered));
        }
        Ok(Memory { folder: folder.to_owned(), known: Mutex::new(known) })
    }

    /// Remembers a text, or forgets it. It is on the disk when this answers.
    pub fn remember(&self, kind: &str, name: &str, what: Option<String>) -> io::Result<()> {
        let is_word = |text: &str| {
            (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if !is_word(kind) || !is_word(name) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "that is no name to remember something by"));
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.folder.join(kind);
        make(&folder)?;
        let path = folder.join(name);
        let remembered = Arc::make_mut(known.entry(kind.to_owned()).or_default());
        if let Some(text) = what {
            // It gets its name when it is whole.
            let part = folder.join(format!("{name}{PART}"));
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&part, &path)?;
            remembered.insert(name.to_owned(), text);
        } else {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => remembered.remove(name),
            };
        }
        File::open(&folder)?.sync_all()?;
        Ok(())
    }

    /// All that is remembered of a kind.
    pub fn recall(&self, kind: &str) -> Arc<Remembered> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(kind).cloned().unwrap_or_default()
    }
}

/// A folder for its owner only.
fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The names in a folder.
fn entries(folder: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_outlives_a_restart_and_what_is_forgotten_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory");
        let memory = Memory::open(&path).unwrap();
        memory.remember("tokens", "a", Some("one".to_owned())).unwrap();
        memory.remember("tokens", "b", Some("two".to_owned())).unwrap();
        memory.remember("tokens", "a", None).unwrap();
        memory.remember("tokens", "never-there", None).unwrap();
        assert!(memory.remember("tokens", "../a", Some(String::new())).is_err());
        fs::write(path.join("tokens").join("c.part"), "half").unwrap();
        for memory in [memory, Memory::open(&path).unwrap()] {
            let known = memory.recall("tokens");
            assert_eq!(known.iter().map(|(name, text)| (&**name, &**text)).collect::<Vec<_>>(), [("b", "two")]);
            assert!(memory.recall("others").is_empty());
        }
    }
}
