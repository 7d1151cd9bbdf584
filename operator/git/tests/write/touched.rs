//! Following what a request was about.

use portico_core::batch::Spec;
use portico_core::key::Kind;
use portico_git::CommitId;
use portico_git::write::{Edit, Target, Touched};

use crate::stage::{Hand, here, key, request, set};

fn touched(target: &Target, commit: CommitId) -> Option<Vec<Touched>> {
    target.touched(commit, "").expect("it can be read")
}

fn title(spec: Option<&Spec>) -> Option<&str> {
    match spec {
        Some(Spec::Team(team)) => Some(&team.title),
        Some(Spec::Application(application)) => Some(&application.title),
        _ => None,
    }
}

#[test]
fn it_says_what_objects_said_then_and_say_now() {
    let hand = Hand::new();
    let (writer, target) = (hand.writer(), here(&hand.path));
    let one = writer.land(vec![
        set(Kind::Team, "shop", "spec.title", "One"),
        set(Kind::Application, "web", "spec.title", "Web one"),
    ]);
    let found = touched(&target, one).expect("it is there");
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|one| one.then.is_some() && one.then == one.now), "{found:?}");

    let two = writer.land(vec![set(Kind::Team, "shop", "spec.title", "Two")]);
    let gone = writer.land(vec![Edit::Delete(key(Kind::Application, "web"))]);
    let mut found = touched(&target, one).expect("it is there");
    found.sort_by_key(|one| one.key.kind);
    let said: Vec<_> = found.iter().map(|one| (title(one.then.as_ref()), title(one.now.as_ref()))).collect();
    assert!(said.contains(&(Some("One"), Some("Two"))) && said.contains(&(Some("Web one"), None)), "{said:?}");
    assert_eq!(touched(&target, two).expect("it is there").len(), 1);
    let found = touched(&target, gone).expect("it is there");
    assert_eq!(found, [Touched { key: key(Kind::Application, "web"), then: None, now: None }]);
}

#[test]
fn what_is_no_request_of_the_branch_is_about_nothing() {
    let hand = Hand::new();
    let (writer, target) = (hand.writer(), here(&hand.path));
    assert_eq!(touched(&target, hand.head()), Some(Vec::new()), "by hand");
    let landed = writer.land(vec![set(Kind::Team, "shop", "spec.title", "One")]);
    crate::stage::git(&hand.path, &["reset", "--hard", "--quiet", "HEAD~1"]);
    assert_eq!(touched(&target, landed), None, "it was taken back by force");
    assert_eq!(touched(&target, "0".repeat(40).parse().expect("an id")), None);
    assert_eq!(touched(&here(&hand.beside("nowhere")), landed), None);
    let again = writer.submit(&request(vec![set(Kind::Team, "shop", "spec.title", "One")])).expect("it lands");
    assert_eq!(touched(&target, again.commit).expect("it is there").len(), 1);
}
