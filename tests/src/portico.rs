//! The built program, started and watched.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::http::{self, Ask};
use crate::{ports, processes, scripts, wait};

/// The program, built from this tree in the profile of the test that asks. `PORTICO_BIN` names another one.
///
/// # Panics
///
/// When it does not build.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = env::var_os("PORTICO_BIN") {
            return path.into();
        }
        let this = env::current_exe().expect("this program has a path");
        // target/PROFILE/deps/NAME-HASH, or target/PROFILE/NAME
        let mut profile = this.parent().expect("a program is in a folder");
        if profile.ends_with("deps") {
            profile = profile.parent().expect("deps is in the profile's folder");
        }
        let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "--workspace", "--bins"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        build.env("CARGO_TARGET_DIR", profile.parent().expect("a profile is in the target folder"));
        let status = build.status().expect("cargo starts");
        assert!(status.success(), "portico does not build");
        profile.join("portico")
    })
}

/// The Envoy to test with: `PORTICO_ENVOY`, or what `scripts/envoy` prints.
///
/// # Panics
///
/// When there is none and none can be had.
pub fn envoy() -> &'static Path {
    scripts::path("envoy")
}

/// How to start Portico. It can be started again and again: on the same state folder and the same ports.
///
/// When it is dropped, everything that was started with its state folder is killed, and the folder is deleted.
#[derive(Debug)]
pub struct Launch {
    source: OsString,
    folder: TempDir,
    envoy: Option<PathBuf>,
    xds: SocketAddr,
    api: SocketAddr,
    portal: SocketAddr,
    arguments: Vec<OsString>,
    environment: BTreeMap<String, OsString>,
    disk: Option<u32>,
}

impl Launch {
    /// Portico on a folder or a URL, with a state folder of its own.
    pub fn new(source: impl Into<OsString>) -> Launch {
        Launch {
            source: source.into(),
            folder: tempfile::Builder::new().prefix("portico-state-").tempdir().expect("a temporary folder"),
            envoy: Some(envoy().to_owned()),
            xds: ports::free_address(),
            api: ports::free_address(),
            portal: ports::free_address(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            disk: None,
        }
    }

    /// With another Envoy.
    #[must_use]
    pub fn envoy(mut self, path: &Path) -> Launch {
        self.envoy = Some(path.to_owned());
        self
    }

    /// Without starting an Envoy.
    #[must_use]
    pub fn no_envoy(mut self) -> Launch {
        self.envoy = None;
        self
    }

    /// With its API at a given address.
    #[must_use]
    pub fn api_at(mut self, address: SocketAddr) -> Launch {
        self.api = address;
        self
    }

    /// With its xDS server at a given address.
    #[must_use]
    pub fn xds_at(mut self, address: SocketAddr) -> Launch {
        self.xds = address;
        self
    }

    /// With more on its command line.
    #[must_use]
    pub fn arguments<T: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = T>) -> Launch {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// With a variable in its environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Launch {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// With its state on a disk of so many mebibytes, which is there for as long as Portico runs. See
    /// [`Portico::path_of`]. It needs user namespaces.
    #[must_use]
    pub fn disk(mut self, mebibytes: u32) -> Launch {
        self.disk = Some(mebibytes);
        self
    }

    /// Its state folder.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Where it serves xDS.
    pub fn xds(&self) -> SocketAddr {
        self.xds
    }

    /// Where its API is.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// Where its portal is.
    pub fn portal(&self) -> SocketAddr {
        self.portal
    }

    /// The Envoys that run now for this state folder.
    pub fn envoys(&self) -> Vec<u32> {
        let state = self.folder.path();
        processes::that_mention(state)
            .into_iter()
            .filter(|id| {
                processes::is_alive(*id)
                    && fs::read_link(format!("/proc/{id}/exe"))
                        .is_ok_and(|exe| exe.file_name().is_some_and(|name| name != "portico"))
            })
            .collect()
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// When the program cannot be started at all.
    pub fn start(&self) -> Portico {
        let mut command = match self.disk {
            None => program(self.folder.path()),
            Some(mebibytes) => {
                fs::create_dir_all(self.state()).expect("a folder for the disk");
                let mut command = isolated(Command::new("unshare"), self.folder.path());
                let script = format!("mount -t tmpfs -o mode=700,size={mebibytes}m tmpfs \"$0\" && exec \"$@\"");
                command.args(["--map-root-user", "--mount", "sh", "-c", &script]).arg(self.state()).arg(binary());
                command
            }
        };
        command.arg("up").arg(&self.source).arg("--state").arg(self.state());
        command.arg("--xds").arg(self.xds.to_string()).arg("--api").arg(self.api.to_string());
        command.arg("--portal").arg(self.portal.to_string());
        match &self.envoy {
            Some(path) => command.arg("--envoy").arg(path),
            None => command.arg("--no-envoy"),
        };
        command.args(&self.arguments).envs(&self.environment);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", binary().display()));
        let lines = Lines::default();
        lines.follow(child.stdout.take().expect("stdout is piped"));
        lines.follow(child.stderr.take().expect("stderr is piped"));
        Portico { child, lines, api: self.api }
    }

    /// Starts it, and waits until it says that it is ready.
    ///
    /// # Panics
    ///
    /// When it ends, or is not ready in time; with all it printed.
    pub fn ready(&self) -> Portico {
        let mut portico = self.start();
        portico.wait_ready();
        portico
    }

    /// Runs another of its commands on the same source and state.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = program(self.folder.path());
        command.args(arguments).arg("--dir").arg(&self.source).arg("--state").arg(self.state());
        Outcome::of(command)
    }

    /// The same with something on its standard input.
    pub fn feed(&self, arguments: &[&str], input: &str) -> Outcome {
        let file = self.folder.path().join("input");
        fs::write(&file, input).expect("a file");
        let mut command = program(self.folder.path());
        command.args(arguments).arg("--dir").arg(&self.source).arg("--state").arg(self.state());
        Outcome::with(command, fs::File::open(file).expect("it was written").into())
    }

    /// The key of a credential, `NAMESPACE/NAME`, as `portico credential reveal` prints it; `None` if there is none.
    pub fn reveal(&self, credential: &str) -> Option<String> {
        let outcome = self.run(&["credential", "reveal", credential]);
        let key = outcome.stdout.split_ascii_whitespace().find(|word| word.starts_with("ptk_"))?;
        outcome.status.success().then(|| key.to_owned())
    }
}

impl Drop for Launch {
    fn drop(&mut self) {
        let mut ids = processes::that_mention(self.folder.path());
        ids.extend(pid_files(self.folder.path()));
        for id in ids {
            processes::signal(id, "KILL");
        }
    }
}

/// The ids in files named `*.pid` below a folder, of processes that are still there and are an Envoy.
fn pid_files(folder: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .flat_map(|entry| {
            let path = entry.path();
            if path.is_dir() {
                return pid_files(&path);
            }
            let id = path
                .extension()
                .filter(|extension| *extension == "pid")
                .and_then(|_| fs::read_to_string(&path).ok()?.split_ascii_whitespace().next()?.parse().ok());
            id.into_iter().filter(|id: &u32| is_envoy(*id)).collect()
        })
        .collect()
}

fn is_envoy(id: u32) -> bool {
    fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.starts_with("envoy"))
}

/// A running Portico. Dropping it kills it; its Envoy goes with the [`Launch`].
#[derive(Debug)]
pub struct Portico {
    child: Child,
    lines: Lines,
    api: SocketAddr,
}

impl Portico {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its API is.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// A path as this process sees it, from outside: its disk may be its own.
    pub fn path_of(&self, path: &Path) -> PathBuf {
        let path = path.strip_prefix("/").expect("an absolute path");
        PathBuf::from(format!("/proc/{}/root", self.id())).join(path)
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        self.lines.all().join("\n")
    }

    /// Whether it says that it is ready.
    pub fn is_ready(&self) -> bool {
        http::once(self.api, &Ask::get("/readyz")).is_ok_and(|answer| answer.status == 200)
    }

    /// Waits until it says that it is ready.
    ///
    /// # Panics
    ///
    /// When it ends before, or takes too long; with all it printed.
    pub fn wait_ready(&mut self) {
        self.wait_ready_for(wait::PATIENCE);
    }

    /// The same, with a patience of the caller's choice.
    ///
    /// # Panics
    ///
    /// As for [`Portico::wait_ready`].
    pub fn wait_ready_for(&mut self, patience: Duration) {
        let ready = wait::within(patience, || {
            if let Some(status) = self.child.try_wait().expect("the child can be asked") {
                panic!("portico ended with {status} before it was ready:\n{}", self.output());
            }
            self.is_ready().then_some(())
        });
        assert!(ready.is_some(), "portico is not ready after {patience:?}:\n{}", self.output());
    }

    /// Waits for a line that has all of these words in it, and returns it.
    ///
    /// # Panics
    ///
    /// When there is none in time; with all it printed.
    pub fn wait_line(&self, words: &[&str]) -> String {
        let found = wait::within(wait::PATIENCE, || {
            self.lines.all().into_iter().find(|line| words.iter().all(|word| line.contains(word)))
        });
        found.unwrap_or_else(|| panic!("no line with {words:?} in:\n{}", self.output()))
    }

    /// Waits until it says of a commit what became of it, and returns that line.
    pub fn wait_commit(&self, commit: &str) -> String {
        self.wait_line(&[&commit[..7]])
    }

    /// Ends it as a power cut would. Its Envoy is not touched.
    pub fn kill(mut self) {
        self.end();
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn stop(mut self) -> ExitStatus {
        processes::signal(self.id(), "TERM");
        self.wait_end()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    ///
    /// When it goes on.
    pub fn wait_end(&mut self) -> ExitStatus {
        let ended = wait::within(wait::PATIENCE, || self.child.try_wait().expect("the child can be asked"));
        let status = ended.unwrap_or_else(|| panic!("portico goes on:\n{}", self.output()));
        // What it said last is read by then or a moment later.
        thread::sleep(Duration::from_millis(50));
        status
    }

    fn end(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Portico {
    fn drop(&mut self) {
        self.end();
        if thread::panicking() {
            eprintln!("portico printed:\n{}", self.output());
        }
    }
}

/// What a command that ends by itself printed.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Outcome {
    fn of(command: Command) -> Outcome {
        Outcome::with(command, Stdio::null())
    }

    fn with(mut command: Command, input: Stdio) -> Outcome {
        let output = command
            .stdin(input)
            .output()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", binary().display()));
        Outcome {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The exit status and both texts, for a snapshot.
    pub fn transcript(&self) -> String {
        let status = self.status.code().map_or_else(|| "killed".to_owned(), |code| code.to_string());
        let mut text = format!("exit status {status}\n");
        for (name, output) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !output.is_empty() {
                writeln!(text, "--- {name}\n{}", output.trim_end()).expect("memory takes all");
            }
        }
        text
    }
}

/// Runs a command of the program in a folder.
pub fn run_in(folder: &Path, arguments: &[&str]) -> Outcome {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut command = program(home.path());
    command.current_dir(folder).args(arguments);
    Outcome::of(command)
}

/// The program, seeing nothing of this machine's settings.
fn program(home: &Path) -> Command {
    isolated(Command::new(binary()), home)
}

pub(crate) fn isolated(mut command: Command, home: &Path) -> Command {
    for (name, _) in env::vars_os() {
        let name_bytes = name.as_encoded_bytes();
        if [b"PORTICO_".as_slice(), b"GIT_", b"XDG_", b"RUST_LOG"].iter().any(|start| name_bytes.starts_with(start)) {
            command.env_remove(&name);
        }
    }
    command
        .env("HOME", home)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("NO_COLOR", "1")
        .env("COLUMNS", "120")
        .env("TZ", "UTC");
    command
}

/// The lines that a program prints, on both its outputs, in the order they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub(crate) fn follow(&self, output: impl Read + Send + 'static) {
        let lines = self.0.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
