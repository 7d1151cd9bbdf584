//! Requests that wait for somebody.

use portico_core::batch::{Author, Change};
use portico_core::key::Kind;
use portico_git::write::{Fate, Proposal, Refused, Request, RequestId};
use portico_git::{Options, Reader, Repository};

use crate::stage::{
    Hand, TEAM, Writing, application, git, here, person, put, request, set, show, subscription, try_git,
};

fn ask(writer: &Writing, edits: Vec<portico_git::write::Edit>) -> RequestId {
    let asked = Request { review: true, ..request(edits) };
    let landed = writer.submit(&asked).expect("it waits");
    assert!(landed.waits);
    let again = writer.submit(&asked).expect("known");
    assert_eq!((again.commit, again.again, again.waits), (landed.commit, true, true));
    asked.id
}

#[test]
fn it_waits_on_a_branch_until_somebody_takes_it_in() {
    let hand = Hand::new();
    let bare = hand.bare();
    let writer = Writing::new(here(&bare), |_: &Proposal<'_>| Vec::new());
    let before = git(&bare, &["rev-parse", "main"]);
    let id = ask(&writer, vec![put(&subscription("s", "web", "basic")), set(Kind::Team, "shop", "spec.title", "X")]);
    assert_eq!(git(&bare, &["rev-parse", "main"]), before);
    let waiting = writer.wait(writer.writer.waiting()).expect("told");
    assert_eq!(waiting.len(), 1);
    assert_eq!(
        (&waiting[0].id, &waiting[0].author, waiting[0].summary.as_str()),
        (&id, &person("Ann"), "Ask for something")
    );
    assert_eq!(git(&bare, &["rev-parse", &format!("portico/{id}")]), waiting[0].commit.to_string());

    // In the meantime somebody writes elsewhere in the same file, and in another.
    writer.land(vec![put(&TEAM.replace("sven@", "susi@")), put(&application("other"))]);
    let landed = writer.wait(writer.writer.merge(id.clone(), person("Olga"))).expect("taken in");
    assert_eq!(git(&bare, &["rev-parse", "main"]), landed.commit.to_string());
    let text = show(&bare, "teams/shop/team.yaml");
    assert!(text.contains("title: X ") && text.contains("susi@") && text.contains("# who sells"), "{text}");
    let said = git(&bare, &["log", "-1", "--format=%an %cn %P%n%B", "main"]);
    assert!(said.contains("Approved-by: Olga <olga@acme.example>") && said.starts_with("Olga Portico "), "{said}");
    assert!(said.contains(&format!("Portico-Request: {id}")) && said.contains("Portico-Idempotency-Key: "), "{said}");
    assert!(said.lines().next().expect("a line").ends_with(&waiting[0].commit.to_string()), "{said}");
    assert!(!try_git(&bare, &["rev-parse", "--verify", "-q", &format!("portico/{id}")]).0, "its branch is gone");
    assert_eq!(writer.wait(writer.writer.waiting()).expect("told"), []);
    let again = Writing::new(here(&bare), |_: &Proposal<'_>| Vec::new());
    let again = again.wait(again.writer.merge(id, person("Olga"))).expect("known");
    assert_eq!((again.commit, again.again), (landed.commit, true));

    // Who approved has not asked: the subscription is Ann's.
    let mut reader = Reader::new(Repository::open(&bare).expect("opens"), Options::default());
    let changes = reader.advance(landed.commit).expect("reads").changes;
    let author = changes.iter().find_map(|change| match change {
        Change::Put(object) if object.name.name() == "s" => object.author.as_deref(),
        _ => None,
    });
    assert!(matches!(author, Some(Author::Commit { mail, .. }) if &**mail == "ann@acme.example"), "{author:?}");
}

#[test]
fn a_conflict_keeps_it_waiting_and_closing_ends_it() {
    let hand = Hand::new();
    let writer = hand.writer();
    let id = ask(&writer, vec![set(Kind::Team, "shop", "spec.title", "X")]);
    writer.land(vec![set(Kind::Team, "shop", "spec.title", "Y")]);
    let refused = writer.wait(writer.writer.merge(id.clone(), person("Olga"))).expect_err("a conflict");
    assert!(matches!(&refused, Refused::Conflict(found) if found.path == "spec.title"), "{refused:?}");
    assert_eq!(writer.wait(writer.writer.waiting()).expect("told").len(), 1);
    writer.wait(writer.writer.close(id.clone())).expect("closed");
    assert_eq!(writer.wait(writer.writer.waiting()).expect("told"), []);
    for refused in [
        writer.wait(writer.writer.merge(id.clone(), person("Olga"))).expect_err("gone"),
        writer.wait(writer.writer.close(id)).expect_err("gone"),
    ] {
        assert!(matches!(refused, Refused::NoRequest { .. }), "{refused:?}");
    }
    assert_eq!(git(&hand.path, &["status", "--porcelain"]), "");
}

#[test]
fn one_whose_branch_cannot_be_deleted_has_landed_nevertheless() {
    let hand = Hand::new();
    let writer = hand.writer();
    let id = ask(&writer, vec![set(Kind::Team, "shop", "spec.title", "X")]);
    // Somebody's Git holds it.
    let lock = hand.path.join(format!(".git/refs/heads/portico/{id}.lock"));
    std::fs::write(&lock, "").expect("written");
    let landed = writer.wait(writer.writer.merge(id.clone(), person("Olga"))).expect("it has landed");
    assert_eq!((hand.head(), landed.again), (landed.commit, false));
    assert!(hand.read("teams/shop/team.yaml").contains("title: X "));
    assert_eq!(writer.wait(writer.writer.waiting()).expect("told"), []);
    assert!(matches!(writer.wait(writer.writer.close(id.clone())), Err(Refused::Failed(_))), "that is all it does");
    std::fs::remove_file(&lock).expect("removed");
    writer.wait(writer.writer.close(id)).expect("closed");
}

#[test]
fn what_is_added_by_hand_is_taken_in_too_and_what_was_merged_by_hand_waits_no_more() {
    let hand = Hand::new();
    let writer = hand.writer();
    let id = ask(&writer, vec![put(&application("new"))]);
    let other = ask(&writer, vec![put(&application("other"))]);
    git(&hand.path, &["checkout", "-q", &format!("portico/{id}")]);
    hand.write("teams/shop/new/README.md", "by hand\n");
    hand.write("teams/shop/new/application.yaml", format!("# by hand\n{}", application("new")));
    hand.commit("more");
    git(&hand.path, &["checkout", "-q", "main"]);
    writer.wait(writer.writer.merge(id, person("Olga"))).expect("taken in");
    assert_eq!(hand.read("teams/shop/new/README.md"), "by hand\n");
    assert!(hand.read("teams/shop/new/application.yaml").starts_with("# by hand\n"));
    git(&hand.path, &["merge", "-q", "--no-edit", &format!("portico/{other}")]);
    assert_eq!(writer.wait(writer.writer.waiting()).expect("told"), []);
}

#[test]
fn what_is_turned_down_says_why_and_changes_nothing() {
    let hand = Hand::new();
    let writer = hand.writer();
    hand.write("notes.txt", "not committed\n");
    hand.write("teams/shop/web/application.yaml", "# not committed either\n");
    let (id, other) = (ask(&writer, vec![put(&application("new"))]), ask(&writer, vec![put(&application("other"))]));
    let waiting = writer.wait(writer.writer.waiting()).expect("told");
    let first = waiting.iter().find(|one| one.id == id).expect("it waits");
    let [changed] = first.changes.objects.as_slice() else { panic!("{:?}", first.changes) };
    assert_eq!((changed.key.to_string().as_str(), changed.before.is_none()), ("Application shop/new", true));
    assert_eq!(changed.after.as_ref().map(portico_core::batch::Object::key).as_ref(), Some(&changed.key));
    assert!(
        matches!(writer.wait(writer.writer.fate(id.clone())).expect("told"), Fate::Waiting(found) if found == *first)
    );

    let tree = git(&hand.path, &["rev-parse", "main^{tree}"]);
    let reason = "Not like this.\n\nPortico-Request: other\nApproved-by: me".to_owned();
    let declined = writer.wait(writer.writer.decline(id.clone(), person("Olga"), reason.clone())).expect("turned down");
    assert_eq!(git(&hand.path, &["rev-parse", "main^{tree}"]), tree, "nothing is different");
    assert_eq!(hand.read("teams/shop/web/application.yaml"), "# not committed either\n");
    let said = git(&hand.path, &["log", "-1", "--format=%an %cn%n%B", "main"]);
    assert!(said.starts_with("Olga Portico\nTurn down: Ask for something\n\nNot like this. Portico-Request"), "{said}");
    assert!(said.contains("Asked-by: Ann <ann@acme.example>"), "{said}");
    let waiting = writer.wait(writer.writer.waiting()).expect("told");
    assert_eq!(waiting.iter().map(|one| &one.id).collect::<Vec<_>>(), [&other]);
    // The same is told after a restart, and nothing can be taken in any more.
    for writer in [&writer, &hand.writer()] {
        let fate = writer.wait(writer.writer.fate(id.clone())).expect("told");
        let Fate::Declined(commit, reason) = fate else { panic!("{fate:?}") };
        assert_eq!((commit.id, commit.author.as_str()), (declined.commit, "Olga"));
        assert_eq!(reason, "Not like this. Portico-Request: other Approved-by: me");
        let again = writer.wait(writer.writer.decline(id.clone(), person("Olga"), reason)).expect("known");
        assert_eq!((again.commit, again.again), (declined.commit, true));
        let refused = writer.wait(writer.writer.merge(id.clone(), person("Olga"))).expect_err("gone");
        assert!(matches!(refused, Refused::NoRequest { .. }), "{refused:?}");
    }
    let unknown = RequestId::new("never").expect("an id");
    assert_eq!(writer.wait(writer.writer.fate(unknown)).expect("told"), Fate::Unknown);
}

#[test]
fn what_has_changed_since_somebody_looked_is_not_taken_in() {
    let hand = Hand::new();
    let writer = hand.writer();
    let id = ask(&writer, vec![put(&application("new"))]);
    let seen = writer.wait(writer.writer.waiting()).expect("told")[0].commit;
    git(&hand.path, &["checkout", "-q", &format!("portico/{id}")]);
    hand.write("teams/shop/new/README.md", "by hand\n");
    let now = hand.commit("more");
    git(&hand.path, &["checkout", "-q", "main"]);
    let refused = writer.wait(writer.writer.merge_seen(id.clone(), person("Olga"), seen)).expect_err("it has changed");
    assert!(matches!(refused, Refused::Changed { .. }), "{refused:?}");
    let waiting = writer.wait(writer.writer.waiting()).expect("told");
    assert_eq!((waiting[0].commit, waiting[0].changes.others), (now, 1));
    let landed = writer.wait(writer.writer.merge_seen(id.clone(), person("Olga"), now)).expect("taken in");
    let fate = writer.wait(writer.writer.fate(id)).expect("told");
    assert!(matches!(&fate, Fate::Landed(commit) if commit.id == landed.commit), "{fate:?}");
}

#[test]
fn a_commit_that_is_nowhere_is_told() {
    let hand = Hand::new();
    let writer = hand.writer();
    let base = "0123456789abcdef0123456789abcdef01234567".parse().expect("an id");
    let asked = Request { base: Some(base), ..request(vec![put(&application("new"))]) };
    assert!(matches!(writer.submit(&asked), Err(Refused::Rewritten { .. })));
    writer.land(vec![put(&application("other"))]);
}
