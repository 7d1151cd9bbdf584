//! Which keys were shown to somebody: a key is shown once. A line a key, its fingerprint, written before it is shown.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The keys that were shown.
pub struct ShownKeys {
    known: BTreeSet<String>,
    file: File,
}

impl ShownKeys {
    /// Those that a file tells of. It is made if it is not there.
    pub fn open(path: &Path) -> io::Result<ShownKeys> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        if !text.is_empty() && !text.ends_with('\n') {
            // The last line was cut off by a crash.
            file.write_all(b"\n")?;
        }
        Ok(ShownKeys { known: text.lines().map(str::to_owned).collect(), file })
    }

    /// Whether a key was shown.
    pub fn knows(&self, fingerprint: &str) -> bool {
        self.known.contains(fingerprint)
    }

    /// Remembers that a key is shown now, and answers whether that is the first time.
    pub fn show(&mut self, fingerprint: &str) -> io::Result<bool> {
        if self.known.contains(fingerprint) {
            return Ok(false);
        }
        self.file.write_all(format!("{fingerprint}\n").as_bytes())?;
        self.file.sync_data()?;
        Ok(self.known.insert(fingerprint.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_once_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shown");
        let mut keys = ShownKeys::open(&path).unwrap();
        assert!(keys.show("aa").unwrap());
        assert!(!keys.show("aa").unwrap());
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"bb").unwrap();
        let mut keys = ShownKeys::open(&path).unwrap();
        assert!(!keys.show("aa").unwrap());
        assert!(keys.show("cc").unwrap());
        assert!(!ShownKeys::open(&path).unwrap().show("cc").unwrap(), "what was cut off took nothing with it");
    }
}
