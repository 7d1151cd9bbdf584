//! What the tests have in common: a repository with a few objects, and a writer.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use portico_core::batch::Object;
use portico_core::diagnostic::Diagnostic;
use portico_core::key::{Kind, ObjectKey};
use portico_git::CommitId;
use portico_git::text::read;
use portico_git::write::{
    Edit, IdempotencyKey, Landed, Options, Person, Preview, Proposal, Refused, Request, RequestId, Target, Writer,
};
use serde_json::Value as Json;

pub const TEAM: &str = "\
# The shop.
apiVersion: portico.dev/v1alpha1
kind: Team
metadata: {name: shop, namespace: shop} # all on one line
spec:
  title: Shop # what people read
  members:
    # who sells
    - mail: sara@acme.example
      access: {teams: Full}
    - mail: sven@acme.example
";

pub fn application(name: &str) -> String {
    format!(
        "apiVersion: portico.dev/v1alpha1\nkind: Application\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec:\n  title: {name}-app # the title\n"
    )
}

pub fn subscription(name: &str, application: &str, plan: &str) -> String {
    format!(
        "apiVersion: portico.dev/v1alpha1\nkind: Subscription\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec:\n  application: {{name: {application}}}\n  plan: {{name: {plan}, namespace: echo}}\n"
    )
}

pub fn object(text: &str) -> Object {
    let read = read(&Arc::from("x.yaml"), text.as_bytes());
    assert_eq!(read.loose, []);
    let said = read.documents.into_iter().next().expect("a document");
    assert_eq!(said.findings, []);
    said.object.expect("an object")
}

pub fn put(text: &str) -> Edit {
    Edit::Put(Box::new(object(text)))
}

pub fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey::new(kind, "shop", name)
}

pub fn set(kind: Kind, name: &str, path: &str, value: impl Into<Json>) -> Edit {
    Edit::Set { key: key(kind, name), path: path.parse().expect("a path"), value: value.into() }
}

pub fn person(name: &str) -> Person {
    Person { name: name.to_owned(), mail: format!("{}@acme.example", name.to_lowercase()) }
}

/// A request of Ann's with an id that nobody else has.
pub fn request(edits: Vec<Edit>) -> Request {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Request {
        id: RequestId::new(&format!("r-{number}")).expect("an id"),
        once: IdempotencyKey::new(&format!("k-{number}")).expect("a key"),
        author: person("Ann"),
        summary: "Ask for something".to_owned(),
        base: None,
        edits,
        review: false,
    }
}

pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = try_git(folder, arguments);
    assert!(output.0, "git {arguments:?}: {}", output.1);
    output.1
}

pub fn try_git(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=Hand", "-c", "user.email=hand@acme.example", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .expect("git runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() { (true, text(&output.stdout)) } else { (false, text(&output.stderr)) }
}

/// A repository with a work tree, in which a person commits by hand.
pub struct Hand {
    folder: tempfile::TempDir,
    pub path: PathBuf,
}

impl Hand {
    /// One with these files.
    pub fn with(files: &[(&str, &str)]) -> Hand {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("work");
        git(folder.path(), &["init", "-q", "work"]);
        let hand = Hand { folder, path };
        for (file, text) in files {
            hand.write(file, text);
        }
        hand.commit("the beginning");
        hand
    }

    pub fn new() -> Hand {
        Hand::with(&[("teams/shop/team.yaml", TEAM), ("teams/shop/web/application.yaml", &application("web"))])
    }

    /// A bare copy, which the work tree pushes to.
    pub fn bare(&self) -> PathBuf {
        let bare = self.folder.path().join("bare.git");
        git(self.folder.path(), &["clone", "-q", "--bare", "work", "bare.git"]);
        git(&self.path, &["remote", "add", "origin", bare.to_str().expect("UTF-8")]);
        bare
    }

    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.path.join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, text).expect("written");
    }

    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    pub fn commit(&self, message: &str) -> CommitId {
        git(&self.path, &["add", "-A"]);
        git(&self.path, &["commit", "-q", "--allow-empty", "-m", message]);
        self.head()
    }

    pub fn head(&self) -> CommitId {
        git(&self.path, &["rev-parse", "HEAD"]).parse().expect("an id")
    }

    pub fn writer(&self) -> Writing {
        Writing::new(here(&self.path), |_: &Proposal<'_>| Vec::new())
    }
}

pub fn here(path: &Path) -> Target {
    Target::Here { path: path.to_owned(), branch: Some("main".to_owned()) }
}

pub fn options() -> Options {
    let committer = Person { name: "Portico".to_owned(), mail: "portico@acme.example".to_owned() };
    Options { folder: String::new(), committer }
}

/// A writer, for tests that wait.
#[derive(Clone)]
pub struct Writing {
    pub writer: Writer,
    runtime: Arc<tokio::runtime::Runtime>,
}

impl Writing {
    pub fn new(target: Target, preview: impl Preview + 'static) -> Writing {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Writing { writer: Writer::new(target, options(), preview), runtime: Arc::new(runtime.expect("a runtime")) }
    }

    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub fn submit(&self, request: &Request) -> Result<Landed, Refused> {
        self.wait(self.writer.submit(request.clone()))
    }

    #[track_caller]
    pub fn land(&self, edits: Vec<Edit>) -> CommitId {
        let landed = self.submit(&request(edits)).unwrap_or_else(|refused| panic!("{refused:?}"));
        assert!(!landed.again && !landed.waits, "{landed:?}");
        landed.commit
    }

    #[track_caller]
    pub fn refused(&self, edits: Vec<Edit>) -> Refused {
        self.submit(&request(edits)).expect_err("it is refused")
    }

    /// What is wrong with edits.
    #[track_caller]
    pub fn invalid(&self, edits: Vec<Edit>) -> Diagnostic {
        match self.refused(edits) {
            Refused::Invalid(mut found) => found.remove(0),
            other => panic!("{other:?}"),
        }
    }
}

/// What a file says at the branch.
pub fn show(repository: &Path, file: &str) -> String {
    let (found, mut text) = try_git(repository, &["show", &format!("main:{file}")]);
    assert!(found, "{text}");
    text.push('\n');
    text
}

pub fn files(repository: &Path) -> Vec<String> {
    git(repository, &["ls-tree", "-r", "--name-only", "main"]).lines().map(str::to_owned).collect()
}
