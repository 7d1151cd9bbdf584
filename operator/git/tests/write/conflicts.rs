//! Others write too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use portico_core::key::Kind;
use portico_git::write::{Conflict, Edit, Proposal, Refused, Request};

use crate::stage::{Hand, TEAM, Writing, application, git, here, key, put, request, set, show};

fn seen(base: portico_git::CommitId, edits: Vec<Edit>) -> Request {
    Request { base: Some(base), ..request(edits) }
}

#[track_caller]
fn conflict(writer: &Writing, base: portico_git::CommitId, edit: Edit) -> Box<Conflict> {
    match writer.submit(&seen(base, vec![edit])) {
        Err(Refused::Conflict(conflict)) => conflict,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_field_is_a_conflict_and_others_are_not() {
    let hand = Hand::new();
    let base = hand.head();
    hand.write("teams/shop/team.yaml", TEAM.replace("title: Shop ", "title: By hand "));
    let by = hand.commit("by hand");
    hand.commit("something else");
    let writer = hand.writer();
    let found = conflict(&writer, base, set(Kind::Team, "shop", "spec.title", "Mine"));
    assert_eq!((&*found.place.file, found.place.line), ("teams/shop/team.yaml", 6));
    let (commit, person) = found.by.clone().expect("somebody");
    assert_eq!((commit, person.mail.as_str()), (by, "hand@acme.example"));
    assert_eq!(
        found.to_string(),
        format!(
            "`spec.title` of Team shop/shop (teams/shop/team.yaml:6) has been changed in the meantime, \
             by Hand <hand@acme.example> in commit {by}"
        )
    );
    let whole = put(&TEAM.replace("title: Shop ", "title: Mine "));
    assert_eq!(conflict(&writer, base, whole).path, "spec.title");
    assert_eq!(conflict(&writer, base, Edit::Delete(key(Kind::Team, "shop"))).path, "");
    // What both want is no conflict, and neither is another field, or another object.
    writer.submit(&seen(base, vec![set(Kind::Team, "shop", "spec.title", "By hand")])).expect("the same");
    let other = put(&TEAM.replace("sven@", "susi@"));
    writer.submit(&seen(base, vec![other])).expect("another field");
    let text = show(&hand.path, "teams/shop/team.yaml");
    assert!(text.contains("title: By hand ") && text.contains("susi@"), "{text}");
    writer.submit(&seen(base, vec![set(Kind::Application, "web", "spec.title", "Web")])).expect("another object");
}

#[test]
fn what_came_and_went_is_a_conflict() {
    let hand = Hand::new();
    let base = hand.head();
    hand.write("new.yaml", application("new"));
    std::fs::remove_file(hand.path.join("teams/shop/web/application.yaml")).expect("removed");
    hand.commit("by hand");
    let writer = hand.writer();
    let new = put(&application("new").replace("title: new", "title: other"));
    assert_eq!(&*conflict(&writer, base, new).place.file, "new.yaml");
    let gone = conflict(&writer, base, set(Kind::Application, "web", "spec.title", "Web"));
    assert_eq!(&*gone.place.file, "teams/shop/web/application.yaml");
    assert!(gone.by.is_some());
    conflict(&writer, base, put(&application("web").replace("title: web", "title: W")));
    // One that has moved is the same object.
    std::fs::create_dir_all(hand.path.join("moved")).expect("a folder");
    git(&hand.path, &["mv", "teams/shop/team.yaml", "moved/team.yaml"]);
    hand.commit("moved");
    writer.submit(&seen(base, vec![set(Kind::Team, "shop", "spec.title", "X")])).expect("lands");
    assert!(show(&hand.path, "moved/team.yaml").contains("title: X"));
}

#[test]
fn a_branch_that_moves_meanwhile_is_previewed_again() {
    let hand = Hand::new();
    let bare = hand.bare();
    let asked = Arc::new(AtomicU32::new(0));
    let (counted, path) = (asked.clone(), hand.path.clone());
    let writer = Writing::new(here(&bare), move |proposal: &Proposal<'_>| {
        // Three times somebody pushes between the preview and the commit.
        let number = counted.fetch_add(1, Ordering::Relaxed);
        if number < 3 {
            std::fs::write(path.join(format!("{number}.txt")), "x").expect("written");
            git(&path, &["add", "-A"]);
            git(&path, &["commit", "-q", "-m", "by hand"]);
            git(&path, &["push", "-q", "origin", "main"]);
        }
        assert_eq!(proposal.changes.len(), 1);
        Vec::new()
    });
    let commit = writer.land(vec![set(Kind::Team, "shop", "spec.title", "X")]);
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    assert_eq!(git(&bare, &["rev-parse", "main"]), commit.to_string());
    assert_eq!(git(&bare, &["rev-parse", "main~1"]), hand.head().to_string());
    assert_eq!(git(&bare, &["rev-list", "--count", "main"]), "5");
}
