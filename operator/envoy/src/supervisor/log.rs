//! What Envoy writes to its log file, passed on.
//!
//! A file and no pipe: an Envoy that is left running has to have somewhere to write to.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use portico_core::key::Name;

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_millis(250);

/// The form of a line, for Envoy's command line: level, component, text.
pub(super) const FORMAT: &str = "%l|%n|%v";

/// Said by every Envoy that is set up as intended.
const EXPECTED: [&str; 2] = ["'descriptors' is set but only used by route configuration", "marked as work-in-progress"];

/// Where Envoy writes.
pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join("envoy.log")
}

/// Reads the file as it grows.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    environment: Name,
    offset: u64,
    rest: String,
    last: String,
}

impl Tail {
    /// From the beginning of the file.
    pub(super) fn new(path: PathBuf, environment: Name) -> Tail {
        Tail { path, environment, offset: 0, rest: String::new(), last: String::new() }
    }

    /// Leaves out what is there already: an earlier Portico has passed it on.
    pub(super) fn skip(&mut self) {
        self.offset = std::fs::metadata(&self.path).map(|metadata| metadata.len()).unwrap_or_default();
    }

    /// Begins again, with the file of another run.
    pub(super) fn restart(&mut self) {
        self.offset = 0;
        self.rest.clear();
        self.last.clear();
    }

    /// Passes on what comes, without end.
    pub(super) async fn follow(&mut self) {
        loop {
            self.read();
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// The last complaint.
    pub(super) fn last(&self) -> &str {
        &self.last
    }

    /// Passes on what has come.
    pub(super) fn read(&mut self) {
        let Ok(mut file) = File::open(&self.path) else { return };
        let length = file.metadata().map(|metadata| metadata.len()).unwrap_or_default();
        if length < self.offset {
            self.offset = 0;
        }
        if length == self.offset || file.seek(SeekFrom::Start(self.offset)).is_err() {
            return;
        }
        let mut bytes = Vec::new();
        let Ok(read) = file.take(1 << 20).read_to_end(&mut bytes) else { return };
        self.offset += u64::try_from(read).unwrap_or_default();
        self.rest.push_str(&String::from_utf8_lossy(&bytes));
        while let Some((line, rest)) = self.rest.split_once('\n') {
            let (line, rest) = (line.to_owned(), rest.to_owned());
            self.rest = rest;
            self.line(&line);
        }
    }

    fn line(&mut self, line: &str) {
        if EXPECTED.iter().any(|expected| line.contains(expected)) {
            return;
        }
        let mut parts = line.splitn(3, '|');
        let (level, component, message) = match (parts.next(), parts.next(), parts.next()) {
            (Some(level), Some(component), Some(message)) => (level, component, message),
            _ => ("warning", "", line),
        };
        let environment = &self.environment;
        match level {
            "critical" | "error" => tracing::error!(%environment, component, "Envoy: {message}"),
            _ => tracing::warn!(%environment, component, "Envoy: {message}"),
        }
        message.clone_into(&mut self.last);
    }
}
