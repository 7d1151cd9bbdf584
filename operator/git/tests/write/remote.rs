//! A repository elsewhere, which Git itself serves.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use portico_core::key::Kind;
use portico_git::watch::Auth;
use portico_git::write::{Elsewhere, Preview, Proposal, Refused, Request, RequestId, Target};

use crate::stage::{Hand, Writing, application, files, git, person, put, request, set, show};

/// `git daemon` for a bare repository, with its hooks. It ends when this is dropped.
struct Served {
    daemon: Child,
    hand: Hand,
    bare: PathBuf,
    port: u16,
}

impl Served {
    fn new() -> Served {
        let hand = Hand::new();
        let bare = hand.bare();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let daemon = Command::new("git")
            .args(["daemon", "--reuseaddr", "--export-all", "--enable=receive-pack", "--listen=127.0.0.1"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", bare.parent().expect("a folder").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`git daemon` starts");
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "`git daemon` does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Served { daemon, hand, bare, port }
    }

    fn elsewhere(&self, copy: &str) -> Elsewhere {
        Elsewhere {
            url: format!("git://127.0.0.1:{}/bare.git", self.port),
            branch: None,
            copy: self.hand.beside(copy),
            auth: Auth::Git,
            limit: Duration::from_secs(20),
        }
    }

    fn writer(&self, copy: &str, preview: impl Preview + 'static) -> Writing {
        Writing::new(Target::Elsewhere(self.elsewhere(copy)), preview)
    }

    fn hook(&self, name: &str, text: &str) {
        let path = self.bare.join("hooks").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    }

    fn push(&self, message: &str) {
        self.hand.commit(message);
        git(&self.hand.path, &["push", "-q", "origin", "main"]);
    }

    fn head(&self) -> String {
        git(&self.bare, &["rev-parse", "main"])
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // `git daemon` is a child of `git`: asked kindly, that one ends both.
        let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
        let _ = self.daemon.wait();
    }
}

fn yes(_: &Proposal<'_>) -> Vec<portico_core::diagnostic::Diagnostic> {
    Vec::new()
}

#[test]
fn what_is_answered_was_taken_by_the_other_side() {
    let served = Served::new();
    let writer = served.writer("copy", yes);
    let asked = request(vec![set(Kind::Team, "shop", "spec.title", "X")]);
    let landed = writer.submit(&asked).expect("lands");
    assert_eq!(served.head(), landed.commit.to_string());
    // Another one, with the same copy later or with one of its own, knows it.
    for copy in ["copy", "other"] {
        let again = served.writer(copy, yes).submit(&asked).expect("known");
        assert_eq!((again.commit, again.again), (landed.commit, true));
    }
    assert_eq!(served.head(), landed.commit.to_string());
}

#[test]
fn a_push_that_loses_is_made_again_on_what_won() {
    let served = Served::new();
    let asked = Arc::new(AtomicU32::new(0));
    let (path, counted) = (served.hand.path.clone(), asked.clone());
    let writer = served.writer("copy", move |_: &Proposal<'_>| {
        if counted.fetch_add(1, Ordering::Relaxed) < 2 {
            std::fs::write(path.join("n.txt"), counted.load(Ordering::Relaxed).to_string()).expect("written");
            git(&path, &["add", "-A"]);
            git(&path, &["commit", "-q", "-m", "by hand"]);
            git(&path, &["push", "-q", "origin", "main"]);
        }
        Vec::new()
    });
    let commit = writer.land(vec![set(Kind::Team, "shop", "spec.title", "X")]);
    assert_eq!(asked.load(Ordering::Relaxed), 3, "it is previewed again each time");
    assert_eq!(served.head(), commit.to_string());
    assert_eq!(git(&served.bare, &["rev-parse", "main~1"]), served.hand.head().to_string());
}

#[test]
fn two_portals_that_write_to_one_repository_lose_nothing() {
    let served = Served::new();
    let writers = [served.writer("one", yes), served.writer("two", yes)];
    std::thread::scope(|scope| {
        for (number, writer) in writers.iter().enumerate() {
            scope.spawn(move || {
                writer.wait(async {
                    let all: Vec<_> = (0..12)
                        .map(|turn| {
                            let writer = writer.writer.clone();
                            let asked = request(vec![put(&application(&format!("a-{number}-{turn}")))]);
                            tokio::spawn(async move { writer.submit(asked).await.expect("lands") })
                        })
                        .collect();
                    for one in all {
                        one.await.expect("it ends");
                    }
                });
            });
        }
    });
    assert_eq!(files(&served.bare).len(), 2 + 24);
    assert_eq!(git(&served.bare, &["rev-list", "--count", "main"]), "25");
}

#[test]
fn a_hook_that_says_no_is_heard_and_only_by_whom_it_means() {
    let served = Served::new();
    // Eve's commits are not taken, whoever's are beside them.
    served.hook(
        "pre-receive",
        "while read old new name; do git log --format=%ae $old..$new | grep -q eve && echo 'not from Eve' >&2 && exit 1; done; exit 0",
    );
    let writer = served.writer("copy", yes);
    let answers = writer.wait(async {
        let all: Vec<_> = ["Ann", "Eve", "Bob", "Eve", "Zoe"]
            .iter()
            .enumerate()
            .map(|(number, name)| {
                let asked = Request { author: person(name), ..request(vec![put(&application(&format!("a{number}")))]) };
                let writer = writer.writer.clone();
                tokio::spawn(async move { writer.submit(asked).await })
            })
            .collect();
        let mut answers = Vec::new();
        for one in all {
            answers.push(one.await.expect("it ends"));
        }
        answers
    });
    for (number, answer) in answers.iter().enumerate() {
        match answer {
            Ok(_) => assert!([0, 2, 4].contains(&number)),
            Err(Refused::Rejected { message, .. }) => {
                assert!([1, 3].contains(&number), "{message}");
                assert!(message.contains("hook declined") && message.contains("not from Eve"), "{message}");
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(files(&served.bare).len(), 2 + 3);
}

#[test]
fn a_forced_push_is_followed() {
    let served = Served::new();
    let writer = served.writer("copy", yes);
    let asked = request(vec![set(Kind::Team, "shop", "spec.title", "X")]);
    writer.submit(&asked).expect("lands");
    served.hand.write("other.txt", "x");
    served.hand.commit("another history");
    git(&served.hand.path, &["push", "-q", "--force", "origin", "main"]);
    let commit = writer.land(vec![put(&application("new"))]);
    assert_eq!(git(&served.bare, &["rev-parse", &format!("{commit}~1")]), served.hand.head().to_string());
    assert!(
        show(&served.bare, "teams/shop/team.yaml").contains("title: Shop"),
        "what was taken back is not brought back"
    );
    let again = writer.submit(&asked).expect("lands");
    assert!(!again.again, "and lands when it is asked for again");
    // Back to an older commit of the same history: nothing of what was taken back comes along.
    git(&served.bare, &["update-ref", "refs/heads/main", &format!("{commit}~1")]);
    writer.land(vec![put(&application("newer"))]);
    assert_eq!(git(&served.bare, &["rev-list", "--count", "main"]), "3");
}

#[test]
fn it_waits_on_a_branch_of_the_other_side() {
    let served = Served::new();
    let writer = served.writer("copy", yes);
    let asked = Request { review: true, ..request(vec![put(&application("new"))]) };
    let landed = writer.submit(&asked).expect("waits");
    assert_eq!(git(&served.bare, &["rev-parse", &format!("portico/{}", asked.id)]), landed.commit.to_string());
    let other = served.writer("other", yes);
    assert_eq!(other.wait(other.writer.waiting()).expect("told").len(), 1);
    assert!(other.submit(&asked).expect("known").again);
    served.hand.write("by.txt", "hand");
    served.push("by hand");
    let merged = other.wait(other.writer.merge(asked.id.clone(), person("Olga"))).expect("taken in");
    assert_eq!(served.head(), merged.commit.to_string());
    assert_eq!(git(&served.bare, &["branch", "--list", "portico/*"]), "");
    assert_eq!(writer.wait(writer.writer.waiting()).expect("told"), []);
    let closed = Request { review: true, ..request(vec![put(&application("newer"))]) };
    writer.submit(&closed).expect("waits");
    other.wait(other.writer.close(closed.id)).expect("closed");
    assert_eq!(git(&served.bare, &["branch", "--list", "portico/*"]), "");
}

#[test]
fn what_waits_elsewhere_is_taken_in_as_it_is_there_now() {
    let served = Served::new();
    let (one, two) = (served.writer("one", yes), served.writer("two", yes));
    let ask = |name: &str| {
        let asked = Request { review: true, ..request(vec![put(&application(name))]) };
        two.submit(&asked).expect("waits");
        asked.id
    };
    // It has fetched before any of it was there.
    one.land(vec![set(Kind::Team, "shop", "spec.title", "X")]);
    let merge = |id: &RequestId| one.wait(one.writer.merge(id.clone(), person("Olga")));
    let new = ask("new");
    assert!(!merge(&new).expect("taken in").again);
    // Somebody adds to it.
    let added = ask("added");
    one.wait(one.writer.waiting()).expect("told");
    let hand = &served.hand.path;
    git(hand, &["fetch", "-q", "origin"]);
    git(hand, &["checkout", "-q", &format!("portico/{added}")]);
    served.hand.write("teams/shop/added/README.md", "by hand\n");
    served.hand.commit("more");
    git(hand, &["push", "-q", "origin", &format!("HEAD:portico/{added}")]);
    let taken = merge(&added).expect("taken in");
    assert_eq!(git(&served.bare, &["show", "main:teams/shop/added/README.md"]), "by hand");
    assert_eq!(served.head(), taken.commit.to_string());
    // Somebody else has taken it in, or closed it.
    let taken = ask("taken");
    let closed = ask("closed");
    one.wait(one.writer.waiting()).expect("told");
    let elsewhere = two.wait(two.writer.merge(taken.clone(), person("Olga"))).expect("taken in");
    two.wait(two.writer.close(closed.clone())).expect("closed");
    let again = merge(&taken).expect("known");
    assert_eq!((again.commit, again.again), (elsewhere.commit, true));
    assert!(matches!(merge(&closed), Err(Refused::NoRequest { .. })));
    assert_eq!(served.head(), elsewhere.commit.to_string());
}

#[test]
fn a_branch_that_must_not_be_deleted_does_not_make_what_has_landed_refused() {
    let served = Served::new();
    git(&served.bare, &["config", "receive.denyDeletes", "true"]);
    let writer = served.writer("copy", yes);
    let asked = Request { review: true, ..request(vec![put(&application("new"))]) };
    writer.submit(&asked).expect("waits");
    let landed = writer.wait(writer.writer.merge(asked.id.clone(), person("Olga"))).expect("it has landed");
    assert!(!landed.again);
    assert_eq!(served.head(), landed.commit.to_string());
    assert_eq!(writer.wait(writer.writer.waiting()).expect("told"), [], "its branch is there, and waits for nothing");
    // To close one is to delete its branch, and nothing else.
    let other = Request { review: true, ..request(vec![put(&application("newer"))]) };
    writer.submit(&other).expect("waits");
    assert!(matches!(writer.wait(writer.writer.close(other.id)), Err(Refused::Rejected { .. })));
}

#[test]
fn one_that_hangs_has_a_limit() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in silent.incoming().flatten() {
            open.push(stream);
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let limit = Duration::from_millis(300);
    for scheme in ["git", "http", "https"] {
        let elsewhere = Elsewhere {
            url: format!("{scheme}://127.0.0.1:{port}/x.git"),
            branch: None,
            copy: folder.path().join(scheme),
            auth: Auth::Git,
            limit,
        };
        let writer = Writing::new(Target::Elsewhere(elsewhere), yes);
        let start = Instant::now();
        let refused = writer.refused(vec![put(&application("a"))]);
        assert!(format!("{refused:?}").contains("Slow"), "{refused:?}");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}

/// A way to the daemon that stops carrying answers at some time.
fn proxy(to: u16, stops: Arc<AtomicU32>) -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = socket.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for client in socket.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", to)).expect("the daemon listens");
            let (mut from, mut into) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
            std::thread::spawn(move || std::io::copy(&mut from, &mut into));
            let (mut from, mut into, stops) = (server, client, stops.clone());
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = from.read(&mut buffer) {
                    if stops.load(Ordering::Relaxed) > 0 && buffer[..count].windows(6).any(|part| part == b"unpack") {
                        // The push was taken, and nobody hears of it.
                        std::thread::sleep(Duration::from_secs(3));
                        return;
                    }
                    if std::io::Write::write_all(&mut into, &buffer[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[test]
fn where_the_answer_is_lost_it_is_not_known_and_lands_once() {
    let served = Served::new();
    let stops = Arc::new(AtomicU32::new(0));
    let port = proxy(served.port, stops.clone());
    let mut elsewhere = served.elsewhere("copy");
    elsewhere.url = format!("git://127.0.0.1:{port}/bare.git");
    elsewhere.limit = Duration::from_millis(1_500);
    let writer = Writing::new(Target::Elsewhere(elsewhere), yes);
    writer.land(vec![put(&application("first"))]);
    stops.store(1, Ordering::Relaxed);
    let asked = request(vec![put(&application("second"))]);
    let refused = writer.submit(&asked).expect_err("nobody answers");
    assert!(matches!(refused, Refused::Unsure { .. }), "{refused:?}");
    stops.store(0, Ordering::Relaxed);
    let again = writer.submit(&asked).expect("known");
    assert!(again.again, "the other side had taken it");
    assert_eq!(served.head(), again.commit.to_string());
    assert_eq!(git(&served.bare, &["rev-list", "--count", "main"]), "3");
}

#[test]
fn one_that_is_not_there_is_named_without_its_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let elsewhere = Elsewhere {
        url: format!("http://ann:secret@127.0.0.1:{port}/x.git"),
        branch: Some("main".to_owned()),
        copy: folder.path().join("copy"),
        auth: Auth::Git,
        limit: Duration::from_secs(10),
    };
    let refused = Writing::new(Target::Elsewhere(elsewhere), yes).refused(vec![put(&application("a"))]);
    let Refused::Failed(error) = &refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("cannot reach http://127.0.0.1"), "{error}");
    assert!(!format!("{error}").contains("secret"));
}

#[test]
fn one_on_this_machine_is_written_as_such() {
    let hand = Hand::new();
    let bare = hand.bare();
    let elsewhere = Elsewhere {
        url: format!("file://{}", bare.display()),
        branch: Some("main".to_owned()),
        copy: hand.beside("copy"),
        auth: Auth::Git,
        limit: Duration::from_secs(10),
    };
    let commit = Writing::new(Target::Elsewhere(elsewhere), yes).land(vec![put(&application("a"))]);
    assert_eq!(git(&bare, &["rev-parse", "main"]), commit.to_string());
    assert!(!Path::new(&hand.beside("copy")).exists());
}

#[test]
fn what_was_pushed_is_followed_in_the_copy() {
    let served = Served::new();
    let target = Target::Elsewhere(served.elsewhere("copy"));
    let writer = served.writer("copy", |_: &Proposal<'_>| Vec::new());
    let commit = writer.land(vec![set(Kind::Team, "shop", "spec.title", "One")]);
    let touched = |target: &Target| target.touched(commit, "").expect("it can be read");
    assert_eq!(touched(&target).expect("it was pushed from here").len(), 1);

    // Another one knows nothing before it has asked.
    let target = Target::Elsewhere(served.elsewhere("other"));
    assert_eq!(touched(&target), None);
    let writer = served.writer("other", |_: &Proposal<'_>| Vec::new());
    assert_eq!(writer.wait(writer.writer.waiting()).expect("it answers"), []);
    assert_eq!(touched(&target).expect("it was fetched").len(), 1);
}
