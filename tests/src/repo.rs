//! Git repositories that see nothing of the machine's own settings.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A repository with a work tree, in a temporary folder.
#[derive(Debug)]
pub struct Repo {
    folder: TempDir,
    path: PathBuf,
}

impl Repo {
    /// A new one, without a commit, on the branch `main`.
    pub fn new() -> Repo {
        let folder = tempfile::Builder::new().prefix("portico-repo-").tempdir().expect("a temporary folder");
        let path = folder.path().join("work");
        git(folder.path(), &["init", "--quiet", "--initial-branch=main", "work"]);
        Repo { folder, path }
    }

    /// One whose first commit holds these files.
    pub fn with(files: &[(&str, &str)]) -> Repo {
        let repo = Repo::new();
        for (path, text) in files {
            repo.write(path, text);
        }
        repo.commit("the beginning");
        repo
    }

    /// A copy of `examples/NAME`, with its gateway at another port and its upstream at another address, committed.
    ///
    /// # Panics
    ///
    /// When there is no such example.
    pub fn example(name: &str, gateway: u16, upstream: SocketAddr) -> Repo {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
        let repo = Repo::new();
        for path in files_below(&source) {
            let content = fs::read(&path).unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
            let content = String::from_utf8(content).expect("examples are text");
            let content = content
                .replace("127.0.0.1:18080", &upstream.to_string())
                .replace(":10000", &format!(":{gateway}"))
                .replace("port: 10000", &format!("port: {gateway}"));
            let path = path.strip_prefix(&source).expect("it was found below");
            repo.write(&path.display().to_string(), content);
        }
        // Who may approve has done so.
        repo.git(&["add", "--all"]);
        repo.git(&["reset", "--quiet", "--", "*/approvals/*"]);
        repo.git(&["commit", "--quiet", "--allow-empty", "--message", name]);
        repo.commit_as("olga@acme.example", "approvals");
        repo
    }

    /// Where the work tree is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path in the work tree.
    pub fn file(&self, path: &str) -> PathBuf {
        self.path.join(path)
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let file = self.file(path);
        fs::create_dir_all(file.parent().expect("a file is in a folder")).expect("folders in the work tree");
        fs::write(file, content).expect("a file in the work tree");
    }

    /// What a file says.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.file(path)).unwrap_or_else(|error| panic!("{path} cannot be read: {error}"))
    }

    /// Writes a file with one text in the place of another.
    ///
    /// # Panics
    ///
    /// When the old text is not there: the test would then try nothing.
    pub fn replace(&self, path: &str, old: &str, new: &str) {
        let text = self.read(path);
        assert!(text.contains(old), "{path} has no {old:?}:\n{text}");
        self.write(path, text.replace(old, new));
    }

    /// Takes a file or a folder away.
    pub fn remove(&self, path: &str) {
        self.git(&["rm", "-r", "--quiet", "--force", "--", path]);
    }

    /// Commits all there is, and returns the commit.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.head()
    }

    /// Commits all there is in somebody's name, and returns the commit.
    pub fn commit_as(&self, mail: &str, message: &str) -> String {
        self.git(&["add", "--all"]);
        let author = format!("--author=Somebody <{mail}>");
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message, &author]);
        self.head()
    }

    /// Writes one file and commits it.
    pub fn commit_file(&self, path: &str, content: &str) -> String {
        self.write(path, content);
        self.commit(&format!("write {path}"))
    }

    /// Reverts a commit, and returns the commit that does so.
    pub fn revert(&self, commit: &str) -> String {
        self.git(&["revert", "--no-edit", commit]);
        self.head()
    }

    /// The commit that is checked out.
    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Makes a bare repository beside this one, as the remote `origin`, with what there is now.
    pub fn publish(&self) -> PathBuf {
        let bare = self.folder.path().join("bare.git");
        git(self.folder.path(), &["init", "--quiet", "--bare", "--initial-branch=main", "bare.git"]);
        self.git(&["remote", "add", "origin", &bare.display().to_string()]);
        self.push();
        bare
    }

    /// Pushes to `origin`.
    pub fn push(&self) {
        self.git(&["push", "--quiet", "--force", "origin", "main"]);
    }

    /// Runs `git` here, and returns what it prints.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn git(&self, arguments: &[&str]) -> String {
        git(&self.path, arguments)
    }
}

impl Default for Repo {
    fn default() -> Self {
        Repo::new()
    }
}

/// A `git` command that sees no settings but its own, and always knows the same author.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"GIT_") {
            command.env_remove(name);
        }
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_EDITOR", "true")
        .env("GIT_AUTHOR_NAME", "Ann Author")
        .env("GIT_AUTHOR_EMAIL", "ann@example.com")
        .env("GIT_COMMITTER_NAME", "Ann Author")
        .env("GIT_COMMITTER_EMAIL", "ann@example.com")
        .env("GIT_ADVICE", "0");
    command
}

/// Runs `git` in a folder, and returns what it prints.
///
/// # Panics
///
/// When it fails, with what it said.
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } =
        command(folder).args(arguments).output().expect("`git` is on the path and starts");
    assert!(status.success(), "git {arguments:?} in {}: {}", folder.display(), String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).into_owned()
}

/// All files below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}
