//! Programs that make up a cluster, and the folder they work in.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;

/// A temporary folder that is gone when this is dropped, and also when this process ends without dropping anything, as
/// it does with what is in a `static`.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    keeper: Child,
    /// Closes with this process, at the latest.
    life: Option<ChildStdin>,
}

impl Folder {
    pub(crate) fn new() -> Folder {
        let path = tempfile::Builder::new().prefix("portico-cluster-").tempdir().expect("a temporary folder").keep();
        // Reads until its input ends, and takes the folder away. What uses it is killed at that moment, or a bit later.
        let script = "trap '' INT TERM HUP; read -r _; \
            for _ in 1 2 3 4 5 6 7 8 9; do rm -rf \"$0\" 2>/dev/null && exit; sleep 0.2; done";
        let mut keeper = Command::new("sh")
            .args(["-c", script])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        let life = keeper.stdin.take();
        Folder { path, keeper, life }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.life.take();
        // It fails only if it is gone already.
        let _ = self.keeper.wait();
    }
}

/// A running program. It is killed when this is dropped, and by the system when this process ends.
#[derive(Debug)]
pub(crate) struct Part {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Part {
    /// Starts a program of [`super::binaries`] in a folder.
    pub(super) fn start(folder: &Path, name: &'static str, arguments: &[String]) -> Part {
        Part::start_from(super::binaries(), folder, name, arguments, &[])
    }

    /// Starts a program of another folder of programs, with variables of its own.
    pub(crate) fn start_from(
        programs: &Path,
        folder: &Path,
        name: &'static str,
        arguments: &[String],
        variables: &[(&str, String)],
    ) -> Part {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let errors = output.try_clone().expect("a file can be shared");
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(programs.join(name))
            .args(arguments)
            .current_dir(folder)
            // etcd takes its settings from there, too.
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        let child = spawn(command).unwrap_or_else(|error| panic!("setpriv, of util-linux, does not start: {error}"));
        Part { name, child, log }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_some()
    }

    /// What to say of it when it does not do its work: the end of what it printed.
    pub(crate) fn complaint(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(30)..];
        format!("{} says:\n{}", self.name, last.join("\n"))
    }

    pub(crate) fn kill(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a program from a thread that lives as long as this process: `pdeathsig` comes when that thread ends, and a
/// test's own thread ends with the test.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static STARTER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (starter, orders) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in orders {
                // Who asked waits for it.
                let _ = answer.send(command.spawn());
            }
        });
        starter
    });
    let (answer, started) = mpsc::channel();
    starter.send((command, answer)).expect("the thread lives as long as the process");
    started.recv().expect("the thread answers")
}
