//! One run of Envoy.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::process::{Child, Command};

use super::{Error, Settings, bootstrap, log};

/// How often a process that is not our child is looked at.
const PERIOD: Duration = Duration::from_millis(500);
/// How long Envoy may take to end of its own accord.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running Envoy: started by us, or left running by an earlier Portico.
#[derive(Debug)]
pub(super) struct Process {
    pid: i32,
    child: Option<Child>,
    /// When it was started, in the system's reckoning, so that another process with the same id is not taken for it.
    started: Option<String>,
}

impl Process {
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// The Envoy that runs with these settings. One with other settings is told to stop.
    pub(super) async fn left_running(settings: &Settings) -> Result<Option<Process>, Error> {
        let Ok(text) = fs::read_to_string(record(settings)) else { return Ok(None) };
        let Ok(noted) = serde_json::from_str::<Value>(&text) else { return Ok(None) };
        let Some(pid) = noted["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()) else { return Ok(None) };
        let started = noted["started"].as_str().map(str::to_owned);
        let process = Process { pid, child: None, started };
        if !process.is_alive() {
            return Ok(None);
        }
        if noted["settings"].as_str() == Some(&digest(settings)) {
            tracing::info!(environment = %settings.environment, pid, "taking over the Envoy that runs");
            return Ok(Some(process));
        }
        tracing::info!(environment = %settings.environment, pid, "stopping the Envoy that runs with other settings");
        process.signal(Signal::SIGTERM)?;
        for _ in 0..50 {
            if !process.is_alive() {
                return Ok(None);
            }
            tokio::time::sleep(PATIENCE / 50).await;
        }
        process.signal(Signal::SIGKILL)?;
        Ok(None)
    }

    /// Starts an Envoy.
    pub(super) fn start(settings: &Settings) -> Result<Process, Error> {
        let config = settings.directory.join("bootstrap.json");
        write(&config, &format!("{:#}\n", bootstrap::bootstrap(settings)))?;
        let log = log::path(&settings.directory);
        let output = File::create(&log).map_err(|source| Error::File { path: log.clone(), source })?;
        let errors = output.try_clone().map_err(|source| Error::File { path: log, source })?;
        let mut command = Command::new(&settings.binary);
        command
            .arg("--config-path")
            .arg(&config)
            // Nothing is shared with other Envoys of this machine.
            .arg("--disable-hot-restart")
            .args(["--log-level", "warning", "--component-log-level", "misc:error", "--log-format", log::FORMAT])
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            // What ends Portico, such as Ctrl-C in its terminal, is not to end Envoy.
            .process_group(0);
        if let Some(concurrency) = settings.concurrency {
            command.arg("--concurrency").arg(concurrency.to_string());
        }
        let start_error = |source| Error::Start { binary: settings.binary.clone(), source };
        let child = command.spawn().map_err(start_error)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| start_error(io::Error::other("it ended at once")))?;
        let started = started(pid);
        let noted = json!({ "pid": pid, "started": started, "settings": digest(settings), "admin": format!("{:?}", settings.admin) });
        write(&record(settings), &format!("{noted}\n"))?;
        tracing::info!(environment = %settings.environment, pid, binary = %settings.binary.display(), "started Envoy");
        Ok(Process { pid, child: Some(child), started })
    }

    /// Whether it was left running by an earlier Portico.
    pub(super) fn is_taken_over(&self) -> bool {
        self.child.is_none()
    }

    /// Waits until it is gone; how it ended.
    pub(super) async fn ended(&mut self) -> String {
        if let Some(child) = &mut self.child {
            // It cannot fail for a child that nobody else waits for.
            return child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
        }
        while self.is_alive() {
            tokio::time::sleep(PERIOD).await;
        }
        "it ended".to_owned()
    }

    /// Asks it to end, and makes it.
    pub(super) async fn stop(mut self, settings: &Settings) -> Result<(), Error> {
        self.signal(Signal::SIGTERM)?;
        if tokio::time::timeout(PATIENCE, self.ended()).await.is_err() {
            self.signal(Signal::SIGKILL)?;
            self.ended().await;
        }
        let _ = fs::remove_file(record(settings));
        Ok(())
    }

    fn is_alive(&self) -> bool {
        kill(Pid::from_raw(self.pid), None).is_ok() && started(self.pid) == self.started
    }

    fn signal(&self, signal: Signal) -> Result<(), Error> {
        match kill(Pid::from_raw(self.pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(Error::Signal { pid: self.pid, source: errno.into() }),
        }
    }
}

fn record(settings: &Settings) -> PathBuf {
    settings.directory.join("envoy.json")
}

/// Of everything that an Envoy cannot learn while it runs.
fn digest(settings: &Settings) -> String {
    let all = format!("{}{}{:?}", bootstrap::bootstrap(settings), settings.binary.display(), settings.concurrency);
    let digest = Sha256::digest(all.as_bytes());
    let first = digest.first_chunk::<16>().copied().unwrap_or_default();
    format!("{:032x}", u128::from_be_bytes(first))
}

/// When a process was started, where the system says so.
fn started(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may hold blanks.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    if fields.next() == Some("Z") {
        return Some("gone".to_owned());
    }
    fields.nth(18).map(str::to_owned)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let partial = path.with_extension("partial");
    fs::write(&partial, text)
        .and_then(|()| fs::rename(&partial, path))
        .map_err(|source| Error::File { path: path.to_owned(), source })
}
