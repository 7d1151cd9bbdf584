//! How long it takes with 100,000 subscriptions and as many credentials.
//!
//! `cargo test --release -p portico-git --test scale -- --ignored --nocapture`

mod common;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use portico_git::{CommitId, Options, Reader, Repository};

const FILES: usize = 100_000;
const TEAMS: usize = 500;

fn path(number: usize) -> String {
    format!("teams/team-{:03}/app-{number}/access.yaml", number % TEAMS)
}

fn text(number: usize, suspend: bool) -> String {
    let namespace = format!("team-{:03}", number % TEAMS);
    format!(
        "apiVersion: portico.dev/v1alpha1\nkind: Subscription\nmetadata:\n  name: app-{number}\n  namespace: {namespace}\n\
         spec:\n  application:\n    name: app-{number}\n  plan:\n    name: gold\n    namespace: products\n  \
         acceptedTerms: 2026-01\n  suspend: {suspend}\n---\napiVersion: portico.dev/v1alpha1\nkind: Credential\nmetadata:\n  \
         name: app-{number}\n  namespace: {namespace}\nspec:\n  subscription:\n    name: app-{number}\n  environment:\n    \
         name: production\n    namespace: platform\n  generation: 1\n  deliverTo:\n    secret: app-{number}-key\n"
    )
}

/// Makes the repository with `git fast-import`, all in one pack; then a commit for each of `changes`.
fn repository(folder: &Path, changes: &[(usize, bool)]) -> Vec<CommitId> {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command
            .current_dir(folder)
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null");
        command
    };
    assert!(git(&["init", "-q", "--bare", "-b", "main"]).status().expect("git runs").success());
    let mut import = git(&["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().expect("git runs");
    let mut out = std::io::BufWriter::new(import.stdin.take().expect("piped"));
    let mut commit = |message: &str, files: &mut dyn Iterator<Item = (usize, bool)>| {
        let mut head = String::from("commit refs/heads/main\ncommitter Ann <ann@example.com> 1700000000 +0000\n");
        let _ = write!(head, "data {}\n{message}\n", message.len());
        out.write_all(head.as_bytes()).expect("written");
        for (number, suspend) in files {
            let text = text(number, suspend);
            write!(out, "M 644 inline {}\ndata {}\n{text}\n", path(number), text.len()).expect("written");
        }
    };
    commit("all", &mut (0..FILES).map(|number| (number, false)));
    for change in changes {
        commit("one", &mut std::iter::once(*change));
    }
    drop(out);
    assert!(import.wait().expect("ends").success());
    let log = git(&["rev-list", "--reverse", "main"]).output().expect("git runs");
    String::from_utf8_lossy(&log.stdout).lines().map(|id| id.parse().expect("an id")).collect()
}

/// Seconds of all cores since the process began, to the hundredth: a busy machine makes everything else take longer.
fn effort() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    let ticks: u32 = fields[11].parse::<u32>().expect("a number") + fields[12].parse::<u32>().expect("a number");
    f64::from(ticks) / 100.0
}

fn memory(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(what)).expect("a line");
    line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("a number") / 1024
}

#[test]
#[ignore = "measures"]
fn start_and_one_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let changes: Vec<_> = (0..201).map(|n| (n * 499 % FILES, true)).collect();
    let commits = repository(folder.path(), &changes);
    println!("before: {} MiB", memory("VmRSS"));
    for _ in 0..1 {
        let mut reader = Reader::new(Repository::open(folder.path()).expect("opens"), Options::default());
        let (start, before) = (Instant::now(), effort());
        let advance = reader.advance(commits[0]).expect("reads");
        let (took, effort) = (start.elapsed(), effort() - before);
        println!("start: {took:?} ({effort:.2} s of all cores), {} changes", advance.changes.len());
        println!("with all changes in hand: {} MiB", memory("VmRSS"));
        assert_eq!((advance.objects, advance.diagnostics.len()), (2 * FILES, 0));
        drop(advance);
        let mut took: Vec<Duration> = commits[1..]
            .iter()
            .map(|commit| {
                let start = Instant::now();
                let advance = reader.advance(*commit).expect("reads");
                assert_eq!((advance.files_read, advance.changes.len()), (1, 2));
                start.elapsed()
            })
            .collect();
        took.sort();
        println!("one file: median {:?}, longest {:?}; {} MiB", took[100], took[199], memory("VmRSS"));
        drop(reader);
    }
    println!("most: {} MiB", memory("VmHWM"));
}

#[test]
#[ignore = "measures"]
fn every_file_broken() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut repo = common::Repo::new();
    for number in 0..2_000 {
        repo.put(&path(number), &text(number, false));
    }
    repo.commit("good");
    for number in 0..2_000 {
        repo.put(&path(number), &text(number, false).replace("spec:", "sepc:"));
    }
    let commit = repo.commit("broken");
    let start = Instant::now();
    let advance = repo.reader().advance(commit).expect("reads");
    println!("2,000 broken files: {:?}, {} objects", start.elapsed(), advance.objects);
    drop(folder);
}
