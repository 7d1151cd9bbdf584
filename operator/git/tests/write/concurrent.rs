//! Many at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use portico_core::key::Kind;
use portico_git::write::{Proposal, Request};

use crate::stage::{Hand, Writing, application, git, here, person, put, request, set};

const WRITERS: usize = 64;
const EACH: usize = 12;

#[test]
fn each_of_64_writers_has_its_commits_and_no_other_has() {
    let hand = Hand::new();
    let bare = hand.bare();
    let together = Arc::new(AtomicUsize::new(0));
    let seen = together.clone();
    let writer = Writing::new(here(&bare), move |proposal: &Proposal<'_>| {
        seen.fetch_max(proposal.before.len(), Ordering::Relaxed);
        Vec::new()
    });
    // Half of them change the same document.
    let acknowledged = Arc::new(Mutex::new(BTreeMap::new()));
    writer.wait(async {
        let all: Vec<_> = (0..WRITERS)
            .map(|number| {
                let (writer, acknowledged) = (writer.writer.clone(), acknowledged.clone());
                tokio::spawn(async move {
                    for turn in 0..EACH {
                        let edit = match number % 2 {
                            0 => put(&application(&format!("a-{number}-{turn}"))),
                            _ => set(Kind::Team, "shop", "spec.title", format!("{number} {turn}")),
                        };
                        let asked = Request { author: person(&format!("P{number}")), ..request(vec![edit]) };
                        let landed = writer.submit(asked.clone()).await.expect("lands");
                        assert!(!landed.again);
                        let key = asked.once.as_str().to_owned();
                        acknowledged.lock().expect("sound").insert(key, (landed.commit.to_string(), asked.author.mail));
                    }
                })
            })
            .collect();
        for one in all {
            one.await.expect("it ends");
        }
    });
    let log =
        git(&bare, &["log", "--format=%H|%ae|%(trailers:key=Portico-Idempotency-Key,valueonly,separator=)", "main"]);
    let found: Vec<Vec<&str>> =
        log.lines().map(|line| line.split('|').collect()).filter(|line: &Vec<_>| !line[2].is_empty()).collect();
    assert_eq!(found.len(), WRITERS * EACH);
    let commits: BTreeMap<String, (String, String)> =
        found.iter().map(|line| (line[2].to_owned(), (line[0].to_owned(), line[1].to_owned()))).collect();
    assert_eq!(commits, *acknowledged.lock().expect("sound"));
    assert_eq!(commits.values().map(|(commit, _)| commit).collect::<BTreeSet<_>>().len(), WRITERS * EACH);
    assert!(together.load(Ordering::Relaxed) > 8, "they land together");
    git(&bare, &["fsck", "--strict"]);
    // No commit is without a change of its own, and history is one line.
    assert_eq!(git(&bare, &["rev-list", "--min-parents=2", "--count", "main"]), "0");
}

#[test]
fn packs_do_not_pile_up_and_no_object_goes_with_them() {
    let hand = Hand::new();
    let bare = hand.bare();
    let packs = || {
        let files = std::fs::read_dir(bare.join("objects/pack")).expect("a folder");
        files
            .filter(|file| file.as_ref().is_ok_and(|file| file.path().extension().is_some_and(|end| end == "pack")))
            .count()
    };
    let writer = Writing::new(here(&bare), |_: &Proposal<'_>| Vec::new());
    for number in 0..60 {
        writer.land(vec![put(&application(&format!("a-{number}")))]);
    }
    assert!(packs() >= 48, "each leaves one");
    let abandoned = bare.join("objects/pack/pack_git2_0123456789ab");
    std::fs::write(&abandoned, "half a pack").expect("written");
    let old = std::time::SystemTime::now() - std::time::Duration::from_hours(2);
    std::fs::File::options().write(true).open(&abandoned).and_then(|file| file.set_modified(old)).expect("old");
    // The one that is open goes on while another one tidies up.
    let other = Writing::new(here(&bare), |_: &Proposal<'_>| Vec::new());
    let start = std::time::Instant::now();
    for number in 60.. {
        other.land(vec![put(&application(&format!("a-{number}")))]);
        writer.land(vec![set(Kind::Application, &format!("a-{number}"), "spec.title", "again")]);
        if packs() < 20 && !abandoned.exists() {
            break;
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(30), "{} packs", packs());
    }
    git(&bare, &["fsck", "--strict"]);
    writer.land(vec![set(Kind::Application, "a-0", "spec.title", "the first")]);
}
