//! Commits are noticed, however they come about.

mod common;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Repo, team};
use portico_git::watch::{Auth, Remote, Signal, Watch, WatchError, watch, watch_remote};
use portico_git::{CommitId, Repository};

/// Long enough that a test that needs it would fail.
const NEVER: Duration = Duration::from_hours(1);

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn next(watch: &mut Watch) -> Signal {
    let start = Instant::now();
    loop {
        match watch.signals.try_recv() {
            Ok(signal) => return signal,
            Err(_) if start.elapsed() < Duration::from_secs(10) => std::thread::sleep(Duration::from_micros(200)),
            Err(error) => panic!("nothing was said: {error}"),
        }
    }
}

#[track_caller]
fn head(watch: &mut Watch) -> (CommitId, bool) {
    match next(watch) {
        Signal::Head { commit, rewritten } => (commit, rewritten),
        Signal::Trouble(error) => panic!("{error}"),
    }
}

#[track_caller]
fn trouble(watch: &mut Watch) -> WatchError {
    match next(watch) {
        Signal::Trouble(error) => error,
        Signal::Head { commit, .. } => panic!("{commit}"),
    }
}

fn committed(folder: &Path, text: &str) -> CommitId {
    std::fs::write(folder.join("a.txt"), text).expect("written");
    git(folder, &["add", "."]);
    git(folder, &["commit", "-q", "-m", text]);
    git(folder, &["rev-parse", "HEAD"]).parse().expect("an id")
}

#[test]
fn a_work_tree_is_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    git(path, &["init", "-q"]);
    let mut watch = watch(path, None, NEVER).expect("watches");
    assert!(trouble(&mut watch).to_string().contains("no commit yet"));
    let one = committed(path, "one");
    assert_eq!(head(&mut watch), (one, false));
    let two = committed(path, "two");
    assert_eq!(head(&mut watch), (two, false));
    git(path, &["reset", "-q", "--hard", "HEAD~1"]);
    assert_eq!(head(&mut watch), (one, true));
    git(path, &["checkout", "-q", "-b", "feature/new"]);
    let three = committed(path, "three");
    assert_eq!(head(&mut watch), (three, false));
    git(path, &["checkout", "-q", "main"]);
    assert_eq!(head(&mut watch), (one, true));
}

#[test]
fn a_branch_is_followed_wherever_it_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    git(path, &["init", "-q"]);
    let one = committed(path, "one");
    git(path, &["branch", "live/eu"]);
    let mut watch = watch(path, Some("live/eu"), NEVER).expect("watches");
    assert_eq!(head(&mut watch), (one, false));
    let two = committed(path, "two");
    git(path, &["branch", "-f", "live/eu", "main"]);
    assert_eq!(head(&mut watch), (two, false));
    git(path, &["pack-refs", "--all"]);
    git(path, &["gc", "-q"]);
    let three = committed(path, "three");
    git(path, &["branch", "-f", "live/eu", "main"]);
    assert_eq!(head(&mut watch), (three, false));
    git(path, &["branch", "-D", "live/eu"]);
    assert!(trouble(&mut watch).to_string().contains("no branch `live/eu`"));
    git(path, &["branch", "live/eu", "main"]);
    assert_eq!(head(&mut watch), (three, false));
}

#[test]
fn a_push_into_a_bare_repository_and_a_linked_work_tree_are_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bare, clone, linked) = (folder.path().join("bare"), folder.path().join("clone"), folder.path().join("linked"));
    git(folder.path(), &["init", "-q", "--bare", "bare"]);
    git(folder.path(), &["clone", "-q", "bare", "clone"]);
    let one = committed(&clone, "one");
    git(&clone, &["push", "-q", "origin", "HEAD:main"]);
    let mut pushed = watch(&bare, Some("main"), NEVER).expect("watches");
    assert_eq!(head(&mut pushed).0, one);
    git(&clone, &["worktree", "add", "-q", "-b", "other", linked.to_str().expect("UTF-8")]);
    let mut other = watch(&linked, None, NEVER).expect("watches");
    assert_eq!(head(&mut other).0, one);
    let two = committed(&linked, "two");
    assert_eq!(head(&mut other), (two, false));
    git(&clone, &["push", "-q", "origin", "other:main"]);
    assert_eq!(head(&mut pushed), (two, false));
}

#[test]
fn a_watch_ends_with_its_listener() {
    let mut repo = Repo::new();
    repo.put("a.yaml", &team("a", "x")).commit("one");
    let mut watch = watch(repo.path(), None, NEVER).expect("watches");
    head(&mut watch);
    let trigger = watch.trigger();
    drop(watch);
    trigger.look();
    assert!(portico_git::watch::watch(&repo.path().join("nothing"), None, NEVER).is_err());
}

fn remote(url: String, copy: &Path) -> Remote {
    Remote { url, branch: Some("main".to_owned()), copy: copy.to_owned(), auth: Auth::Git, interval: NEVER }
}

#[test]
fn a_repository_elsewhere_is_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy");
    let mut repo = Repo::new();
    let one = repo.put("a.yaml", &team("a", "x")).commit("one");
    let url = format!("file://{}", repo.path().display());
    let mut watch = watch_remote(remote(url.clone(), &copy)).expect("watches");
    assert_eq!(head(&mut watch), (one, false));
    let two = repo.put("a.yaml", &team("a", "y")).commit("two");
    watch.trigger().look();
    assert_eq!(head(&mut watch), (two, false));
    // A copy can be read while it is followed.
    let mut reader = portico_git::Reader::new(Repository::open(&copy).expect("opens"), portico_git::Options::default());
    assert_eq!(reader.advance(two).expect("reads").objects, 1);
    // Somebody takes a commit back.
    let parent = repo.git.refname_to_id("refs/heads/main").and_then(|id| repo.git.find_commit(id)?.parent_id(0));
    let forced = repo.put("a.yaml", &team("a", "z")).commit_on("forced", &[parent.expect("a parent")]);
    watch.trigger().look();
    assert_eq!(head(&mut watch), (forced, true));
    assert_eq!(reader.advance(forced).expect("reads").objects, 1);
    // The branch is deleted, and comes back.
    repo.git.find_reference("refs/heads/main").and_then(|mut branch| branch.delete()).expect("deleted");
    watch.trigger().look();
    assert!(matches!(trouble(&mut watch), WatchError::NoBranch { .. }));
    let back = repo.commit("back");
    watch.trigger().look();
    assert_eq!(head(&mut watch).0, back);
    // Deleted again and put back as it was: that it can be followed again is told, though nothing is new.
    let branch = |id| repo.git.reference("refs/heads/main", id, true, "test").expect("a branch");
    repo.git.find_reference("refs/heads/main").and_then(|mut branch| branch.delete()).expect("deleted");
    watch.trigger().look();
    assert!(matches!(trouble(&mut watch), WatchError::NoBranch { .. }));
    branch(repo.head.expect("a commit"));
    watch.trigger().look();
    assert_eq!(head(&mut watch), (back, false));
    drop(watch);
    // The next run has the copy before it has the other side.
    let gone = remote("file:///nowhere/at/all".to_owned(), &copy);
    let mut watch = watch_remote(gone).expect("watches");
    assert_eq!(head(&mut watch).0, back);
    assert!(matches!(trouble(&mut watch), WatchError::Unreachable { .. }));
    // Without a branch it is the one that the other side has as its own.
    let own = Remote { branch: None, ..remote(url, &folder.path().join("own")) };
    assert_eq!(head(&mut watch_remote(own).expect("watches")).0, back);
}

#[test]
fn who_is_not_let_in_is_told() {
    use std::io::{Read, Write};
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("listens");
    let address = server.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut connection in server.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let _ = connection.read(&mut request);
            let _ = connection.write_all(
                b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let token = Auth::Token { user: "ann".to_owned(), token: "secret".to_owned() };
    let remote =
        Remote { auth: token, ..remote(format!("http://ann:secret@{address}/a.git"), &folder.path().join("copy")) };
    let mut watch = watch_remote(remote).expect("watches");
    let error = trouble(&mut watch);
    assert!(matches!(error, WatchError::Refused { .. }), "{error:?}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
#[ignore = "measures: cargo test --release -p portico-git --test watch -- --ignored --nocapture"]
fn measure_from_commit_to_signal() {
    let mut repo = Repo::new();
    repo.put("a.yaml", &team("a", "x")).commit("one");
    let mut watch = watch(repo.path(), None, NEVER).expect("watches");
    head(&mut watch);
    let mut took: Vec<Duration> = (0..300)
        .map(|number| {
            let commit = repo.put("a.yaml", &team("a", &format!("v{number}"))).commit("next");
            let start = Instant::now();
            let signal = watch.signals.blocking_recv().expect("a signal");
            assert!(matches!(signal, Signal::Head { commit: seen, .. } if seen == commit));
            start.elapsed()
        })
        .collect();
    took.sort();
    println!(
        "from a moved branch to the signal: median {:?}, 99 % {:?}, longest {:?}",
        took[150], took[296], took[299]
    );
}
