//! Where desired state comes from, and how Portico hears of a change.

use std::io::Write;
use std::net::TcpStream;
use std::process::{Child, Stdio};

use portico_tests::files;
use portico_tests::portico::Launch;
use portico_tests::repo::{self, Repo};
use portico_tests::scenario::{Bystander, SHOP, Scenario};
use portico_tests::{ports, wait};

/// A grant and its revert reach the gateway, each by `deliver`.
fn follows(scenario: &Scenario, deliver: impl Fn(&Repo)) {
    let portico = scenario.up();
    let mut bystander = Bystander::new(scenario);
    let granted = files::grant(&scenario.repo, "echo-basic");
    deliver(&scenario.repo);
    portico.wait_commit(&granted);
    let key = scenario.key(SHOP);
    scenario.wait_status(&key, 200);
    let reverted = scenario.repo.revert(&granted);
    deliver(&scenario.repo);
    portico.wait_commit(&reverted);
    scenario.wait_status(&key, 401);
    bystander.check("after a grant and its revert");
}

/// Far more than a test waits: what is seen is seen without polling.
const NO_POLL: [&str; 2] = ["--poll", "3600"];

#[test]
fn a_work_tree() {
    follows(&Scenario::with(|repo| Launch::new(repo.path()).arguments(NO_POLL)), |_| {});
}

#[test]
fn a_bare_repository_that_is_pushed_to() {
    follows(&Scenario::with(|repo| Launch::new(repo.publish()).arguments(NO_POLL)), Repo::push);
}

#[test]
fn a_bare_repository_whose_refs_are_packed() {
    let scenario = Scenario::with(|repo| Launch::new(repo.publish()).arguments(NO_POLL));
    follows(&scenario, |repo| {
        repo.push();
        let bare = repo.git(&["remote", "get-url", "origin"]);
        repo::git(bare.trim().as_ref(), &["pack-refs", "--all"]);
    });
}

#[test]
fn a_remote_that_is_polled() {
    let launch = |repo: &Repo| Launch::new(format!("file://{}", repo.publish().display())).arguments(["--poll", "1"]);
    follows(&Scenario::with(launch), Repo::push);
}

/// `git daemon`, for as long as it is not dropped.
struct Daemon(Child);

impl Daemon {
    fn serve(folder: &std::path::Path, port: u16) -> Daemon {
        let child = repo::command(folder)
            .args(["daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", &format!("--port={port}")])
            .arg(format!("--base-path={}", folder.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`git daemon` starts");
        wait::until("git daemon", || TcpStream::connect(("127.0.0.1", port)).ok());
        Daemon(child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // `git daemon` is a child of `git`: asked kindly, that one ends both.
        portico_tests::processes::signal(self.0.id(), "TERM");
        let _ = self.0.wait();
    }
}

#[test]
fn a_remote_with_a_webhook() {
    let port = ports::free();
    let scenario = Scenario::with(|repo| {
        repo.publish();
        Launch::new(format!("git://127.0.0.1:{port}/bare.git")).arguments(NO_POLL)
    });
    let bare = scenario.repo.git(&["remote", "get-url", "origin"]);
    let folder = std::path::Path::new(bare.trim()).parent().expect("the bare repository is in a folder");
    let _daemon = Daemon::serve(folder, port);
    let api = scenario.launch.api();
    follows(&scenario, |repo| {
        repo.push();
        let mut hook = TcpStream::connect(api).expect("Portico's API listens");
        hook.write_all(b"POST /hooks/git HTTP/1.1\r\nhost: portico\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .expect("the hook is sent");
        let answer = std::io::read_to_string(hook).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    });
}

#[test]
fn a_branch() {
    let scenario = Scenario::with(|repo| Launch::new(repo.path()).arguments(["--branch", "live"]));
    scenario.repo.git(&["branch", "live"]);
    let portico = scenario.up();
    let mut bystander = Bystander::new(&scenario);
    let granted = files::grant(&scenario.repo, "echo-basic");
    scenario.repo.git(&["branch", "--force", "live", "main"]);
    portico.wait_commit(&granted);
    scenario.wait_status(&scenario.key(SHOP), 200);
    // What happens on another branch is nobody's business.
    scenario.repo.remove(files::BYSTANDER);
    scenario.repo.commit("on main only");
    std::thread::sleep(std::time::Duration::from_millis(500));
    bystander.check("after a commit on another branch");
}

#[test]
fn files_that_are_not_committed_count_for_nothing() {
    let scenario = Scenario::new();
    let portico = scenario.up();
    let mut bystander = Bystander::new(&scenario);
    std::fs::write(scenario.repo.file(files::BYSTANDER), "half a fi").expect("the file can be written");
    std::thread::sleep(std::time::Duration::from_millis(500));
    bystander.check("while a file is half written");
    scenario.repo.git(&["checkout", "--", files::BYSTANDER]);
    let commit = files::grant(&scenario.repo, "echo-basic");
    portico.wait_commit(&commit);
}

#[test]
fn several_commits_at_once_and_history_that_is_rewritten() {
    let scenario = Scenario::with(|repo| Launch::new(repo.publish()));
    let portico = scenario.up();
    let mut bystander = Bystander::new(&scenario);
    let begin = scenario.repo.head();
    files::grant(&scenario.repo, "echo-basic");
    for number in 0..20 {
        scenario.repo.commit_file("README.md", &format!("{number}\n"));
    }
    scenario.repo.push();
    let key = scenario.key(SHOP);
    scenario.wait_status(&key, 200);
    scenario.repo.git(&["reset", "--quiet", "--hard", &begin]);
    scenario.repo.commit_file("README.md", "it never happened\n");
    scenario.repo.push();
    scenario.wait_status(&key, 401);
    bystander.check("after a forced push");
    // Denied is denied; what was done is said when Envoy has confirmed all of it.
    portico.wait_commit(&scenario.repo.head());
}
