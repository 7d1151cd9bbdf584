//! Nothing lands twice.

use portico_core::key::Kind;
use portico_git::write::{Proposal, Refused, Request};

use crate::stage::{Hand, Writing, git, here, person, request, set};

#[test]
fn asked_again_it_is_the_same_commit() {
    let hand = Hand::new();
    let first = hand.writer();
    let asked = request(vec![set(Kind::Team, "shop", "spec.title", "A")]);
    let landed = first.submit(&asked).expect("lands");
    first.land(vec![set(Kind::Team, "shop", "spec.title", "B")]);
    let head = hand.head();
    // In the same process, in another one, and with the history in another shape.
    for writer in [first, hand.writer(), Writing::new(here(&hand.bare()), |_: &Proposal<'_>| Vec::new())] {
        let again = writer.submit(&asked).expect("known");
        assert_eq!((again.commit, again.again), (landed.commit, true));
        let mut other = asked.clone();
        other.edits = vec![set(Kind::Team, "shop", "spec.title", "C")];
        let refused = writer.submit(&other).expect_err("other edits");
        assert!(matches!(refused, Refused::KeyReused { commit } if commit == landed.commit), "{refused:?}");
        let mut other = asked.clone();
        other.author = person("Eve");
        assert!(matches!(writer.submit(&other), Err(Refused::KeyReused { .. })), "another person");
        let mut other = request(vec![]);
        other.id = asked.id.clone();
        assert!(matches!(writer.submit(&other), Err(Refused::IdReused { .. })));
    }
    assert_eq!(hand.head(), head);
}

#[test]
fn asked_twice_at_the_same_moment_it_lands_once() {
    let hand = Hand::new();
    let writer = hand.writer();
    let asked = request(vec![set(Kind::Team, "shop", "spec.title", "A")]);
    let answers = writer.wait(async {
        let asks = (0..20).map(|_| {
            tokio::spawn({
                let (writer, asked) = (writer.writer.clone(), asked.clone());
                async move { writer.submit(asked).await }
            })
        });
        let mut answers = Vec::new();
        for ask in asks.collect::<Vec<_>>() {
            answers.push(ask.await.expect("it ends").expect("it lands"));
        }
        answers
    });
    assert!(answers.iter().all(|answer| answer.commit == hand.head()));
    assert_eq!(answers.iter().filter(|answer| !answer.again).count(), 1);
    assert_eq!(git(&hand.path, &["rev-list", "--count", "HEAD"]), "2");
}

#[test]
fn asked_twice_at_the_same_moment_it_waits_once() {
    let hand = Hand::new();
    // While the first one is looked at, the others come together.
    let writer = Writing::new(here(&hand.path), |proposal: &Proposal<'_>| {
        if !proposal.waits {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        Vec::new()
    });
    let first = request(vec![set(Kind::Team, "shop", "spec.title", "A")]);
    let asked = Request { review: true, ..request(vec![set(Kind::Team, "shop", "spec.title", "B")]) };
    let other = Request { id: asked.id.clone(), ..request(vec![set(Kind::Team, "shop", "spec.title", "C")]) };
    let waits = Request { review: true, ..other.clone() };
    let submit = |request: &Request| writer.writer.submit(request.clone());
    let (first, one, two, waits, other) = writer
        .wait(async { tokio::join!(submit(&first), submit(&asked), submit(&asked), submit(&waits), submit(&other)) });
    assert_eq!(hand.head(), first.expect("lands").commit);
    let (one, two) = (one.expect("it waits"), two.expect("it waits"));
    assert_eq!((one.commit, one.waits, one.again), (two.commit, true, false));
    assert_eq!((two.waits, two.again), (true, true));
    assert_eq!(git(&hand.path, &["rev-parse", &format!("portico/{}", asked.id)]), one.commit.to_string());
    for refused in [waits, other] {
        assert!(matches!(refused, Err(Refused::IdReused { .. })), "{refused:?}");
    }
}

#[test]
fn what_was_taken_back_by_force_may_land_again_and_a_revert_stays_one() {
    let hand = Hand::new();
    let writer = hand.writer();
    let asked = request(vec![set(Kind::Team, "shop", "spec.title", "A")]);
    let landed = writer.submit(&asked).expect("lands").commit;
    git(&hand.path, &["revert", "--no-edit", "HEAD"]);
    assert_eq!(writer.submit(&asked).expect("known").commit, landed, "it has landed, and was reverted by somebody");
    git(&hand.path, &["reset", "-q", "--hard", "HEAD~2"]);
    let again = writer.submit(&asked).expect("lands");
    assert!(!again.again);
    assert_eq!(hand.head(), again.commit);
    assert!(hand.read("teams/shop/team.yaml").contains("title: A"));
}
