//! Repositories that a person works in.

use portico_core::key::Kind;
use portico_git::write::{Edit, Proposal, Refused, Target};

use crate::stage::{Hand, TEAM, Writing, application, git, key, put, set};

#[test]
fn a_clean_work_tree_goes_along() {
    let hand = Hand::new();
    let writer = Writing::new(Target::Here { path: hand.path.clone(), branch: None }, |_: &Proposal<'_>| Vec::new());
    writer.land(vec![
        set(Kind::Team, "shop", "spec.title", "X"),
        put(&application("new")),
        Edit::Delete(key(Kind::Application, "web")),
    ]);
    assert_eq!(git(&hand.path, &["status", "--porcelain"]), "");
    assert!(hand.read("teams/shop/team.yaml").contains("title: X"));
    assert!(hand.read("teams/shop/new/application.yaml").contains("name: new"));
    assert!(!hand.path.join("teams/shop/web").exists(), "an empty folder goes");
    let log = git(&hand.path, &["reflog", "-1", "--format=%gs", "main"]);
    assert_eq!(log, "portico: requests");
}

#[test]
fn what_nobody_has_committed_stays() {
    let hand = Hand::new();
    hand.write("teams/shop/web/application.yaml", application("web").replace("title: web", "title: mine"));
    hand.write("draft.txt", "x");
    hand.write("staged.txt", "x");
    git(&hand.path, &["add", "staged.txt"]);
    let before = git(&hand.path, &["status", "--porcelain"]);
    let writer = hand.writer();
    writer.land(vec![set(Kind::Team, "shop", "spec.title", "X")]);
    assert_eq!(git(&hand.path, &["status", "--porcelain"]), before);
    let head = hand.head();
    let refused = writer.refused(vec![set(Kind::Application, "web", "spec.title", "Yes")]);
    assert!(
        matches!(&refused, Refused::Uncommitted { file, .. } if file == "teams/shop/web/application.yaml"),
        "{refused}"
    );
    // An untracked file where a new one would be, and a staged one.
    hand.write("teams/shop/new/application.yaml", "mine");
    assert!(matches!(writer.refused(vec![put(&application("new"))]), Refused::Uncommitted { .. }));
    git(&hand.path, &["add", "teams/shop/new/application.yaml"]);
    assert!(matches!(writer.refused(vec![put(&application("new"))]), Refused::Uncommitted { .. }));
    assert_eq!(hand.head(), head);
    assert!(hand.read("teams/shop/web/application.yaml").contains("title: mine"));
    // In one group the others land.
    git(&hand.path, &["checkout", "-q", "HEAD", "--", "teams/shop/web"]);
    writer.land(vec![set(Kind::Application, "web", "spec.title", "Yes")]);
}

#[test]
fn a_crash_between_files_and_branch_is_made_good() {
    let hand = Hand::new();
    let text = TEAM.replace("title: Shop ", "title: X ");
    hand.write("teams/shop/team.yaml", &text);
    git(&hand.path, &["add", "-A"]);
    hand.writer().land(vec![set(Kind::Team, "shop", "spec.title", "X")]);
    assert_eq!(git(&hand.path, &["status", "--porcelain"]), "");
}

#[test]
fn a_work_tree_of_another_branch_is_left_alone() {
    let hand = Hand::new();
    git(&hand.path, &["checkout", "-q", "-b", "other"]);
    hand.write("teams/shop/team.yaml", "mine");
    let linked = hand.beside("linked");
    git(&hand.path, &["worktree", "add", "-q", linked.to_str().expect("UTF-8"), "main"]);
    hand.writer().land(vec![set(Kind::Team, "shop", "spec.title", "X")]);
    assert_eq!(hand.read("teams/shop/team.yaml"), "mine");
    let text = std::fs::read_to_string(linked.join("teams/shop/team.yaml")).expect("there");
    assert!(text.contains("title: X"), "the linked one has it checked out");
    assert_eq!(git(&linked, &["status", "--porcelain"]), "");
}

#[test]
fn a_detached_head_has_no_branch_to_write_to() {
    let hand = Hand::new();
    git(&hand.path, &["checkout", "-q", "--detach"]);
    let writer = Writing::new(Target::Here { path: hand.path.clone(), branch: None }, |_: &Proposal<'_>| Vec::new());
    let refused = writer.refused(vec![set(Kind::Team, "shop", "spec.title", "X")]);
    assert!(format!("{refused:?}").contains("Detached"), "{refused:?}");
}
