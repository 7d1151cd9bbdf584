//! How many requests a second become commits, each acknowledged when it is on the disk.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portico_core::key::{Kind, ObjectKey};
use portico_git::write::{Edit, IdempotencyKey, Options, Person, Proposal, Request, RequestId, Target, Writer};
use portico_tests::generate::{Generated, Place};
use portico_tests::repo;

use crate::table::{Table, count, quantile, time};

/// How long each measurement takes.
const LONG: Duration = Duration::from_secs(15);
/// How many commits are made with `git commit`.
const BY_GIT: usize = 20;

/// What was measured with so many writers.
struct Written {
    writers: usize,
    took: Duration,
    answers: Vec<Duration>,
}

/// Measures writing into a repository of so many subscriptions, a file each, and says what came of it.
pub(crate) fn run(subscriptions: usize) -> String {
    eprintln!("{}: writing", count(subscriptions as u64));
    let many = Generated::new(subscriptions, 10_000, "http://127.0.0.1:18080");
    let listed = repo::git(many.path(), &["ls-tree", "-r", "--name-only", "main"]);
    let files = listed.lines().count();
    let by_git = git_commit(&many);
    let (begun, first) = open(&many);
    let written: Vec<Written> = [1, 64].into_iter().map(|writers| write(&begun, subscriptions, writers)).collect();
    let commits = repo::git(many.path(), &["rev-list", "--count", "main"]);
    let answered: usize = written.iter().map(|written| written.answers.len()).sum();
    assert_eq!(commits.trim(), (answered + 2).to_string(), "each request is one commit");

    let mut text = format!(
        "### Requests that become commits, in a repository of {} files\n\nThe first, with everything read: {}.\n\n",
        count(files as u64),
        time(first)
    );
    let mut table = Table::new(["", "commits a second", "p50", "p99"]);
    let row = |table: &mut Table, name: String, took: Duration, mut each: Vec<Duration>| {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let rate = each.len() as f64 / took.as_secs_f64();
        table.row([name, format!("{rate:.1}"), time(quantile(&mut each, 0.5)), time(quantile(&mut each, 0.99))]);
    };
    row(&mut table, "`git commit` in a work tree, `core.fsync=all`".to_owned(), by_git.iter().sum(), by_git);
    for Written { writers, took, answers } in written {
        let name = if writers == 1 { "1 writer".to_owned() } else { format!("{writers} writers") };
        row(&mut table, name, took, answers);
    }
    text.push_str(&table.markdown());
    text
}

/// How long `git commit` takes for one file, in a work tree of its own.
fn git_commit(many: &Generated) -> Vec<Duration> {
    let folder = tempfile::Builder::new().prefix("portico-work-").tempdir().expect("a temporary folder");
    repo::git(folder.path(), &["clone", "--quiet", "--shared", &many.path().display().to_string(), "work"]);
    let work = folder.path().join("work");
    let commit = |index: usize| {
        let file = Place::of(index * 100).file();
        let text = fs::read_to_string(work.join(&file)).expect("it is there");
        fs::write(work.join(&file), format!("{text}# {index}\n")).expect("a file in the work tree");
        let begun = Instant::now();
        repo::git(&work, &["-c", "core.fsync=all", "commit", "--quiet", "--message", "x", "--", &file]);
        begun.elapsed()
    };
    // The first one reads everything.
    commit(0);
    (1..=BY_GIT).map(commit).collect()
}

/// A writer that has landed one request, and how long that took.
fn open(many: &Generated) -> (Writer, Duration) {
    let target = Target::Here { path: many.path().to_owned(), branch: Some("main".to_owned()) };
    let committer = Person { name: "Portico".to_owned(), mail: "portico@acme.example".to_owned() };
    let options = Options { folder: String::new(), committer };
    let writer = Writer::new(target, options, |_: &Proposal<'_>| Vec::new());
    let begun = Instant::now();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(writer.submit(request(0, 0))).expect("it lands");
    (writer, begun.elapsed())
}

/// Another title for one application.
fn request(application: usize, number: usize) -> Request {
    let place = Place::of(application * 10);
    let credential = place.credential();
    let (namespace, name) = credential.split_once('/').expect("a namespace and a name");
    let name = name.split_once('-').map_or(name, |(name, _)| name);
    let key = ObjectKey::new(Kind::Application, namespace, name);
    let path = "spec.title".parse().expect("a path");
    let id = format!("{application}-{number}");
    Request {
        id: RequestId::new(&id).expect("an id"),
        once: IdempotencyKey::new(&id).expect("a key"),
        author: Person { name: "Ann".to_owned(), mail: "ann@acme.example".to_owned() },
        summary: "Another title".to_owned(),
        base: None,
        edits: vec![Edit::Set { key, path, value: format!("Title {id}").into() }],
        review: false,
    }
}

/// So many writers ask again as soon as they are answered.
fn write(writer: &Writer, subscriptions: usize, writers: usize) -> Written {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (over, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(1)));
    let begun = Instant::now();
    let answers = runtime.block_on(async {
        let all: Vec<_> = (0..writers)
            .map(|_| {
                let (writer, over, next) = (writer.clone(), over.clone(), next.clone());
                tokio::spawn(async move {
                    let mut answers = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        // Applications all over the repository, one after the other.
                        let application = number * 7_919 % (subscriptions / 10).max(1);
                        let asked = Instant::now();
                        writer.submit(request(application, number * 100 + writers)).await.expect("it lands");
                        answers.push(asked.elapsed());
                    }
                    answers
                })
            })
            .collect();
        tokio::time::sleep(LONG).await;
        over.store(true, Ordering::Relaxed);
        let mut answers = Vec::new();
        for one in all {
            answers.extend(one.await.expect("it ends"));
        }
        answers
    });
    Written { writers, took: begun.elapsed(), answers }
}
