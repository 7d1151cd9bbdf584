//! Who changed what, read back.

use std::time::Duration;

use portico_core::key::Kind;
use portico_git::changes::{Changed, Trail, Window};
use portico_git::write::Request;
use portico_git::{CommitId, Repository};

use crate::stage::{Hand, TEAM, application, git, person, put, request, set, subscription};

fn window(before: Option<CommitId>, most: usize) -> Window {
    Window { before, most, looks: 10_000, patience: Duration::from_mins(1), words: Vec::new() }
}

fn trail(hand: &Hand, window: &Window) -> Trail {
    let repository = Repository::open(&hand.path).expect("opens");
    let keep = |mut objects: Vec<Changed>| {
        objects.retain(|one| one.key.kind == Kind::Subscription);
        objects
    };
    repository.trail(hand.head(), "", window, keep).expect("reads")
}

/// Summary, author, and whether something was there before and is there since.
fn told(trail: &Trail) -> Vec<String> {
    let step = |step: &portico_git::changes::Step| {
        let objects = step.objects.iter().map(|one| {
            let side = |there: bool| if there { "+" } else { "-" };
            format!("{}{}{}", one.key.name.name(), side(one.before.is_some()), side(one.after.is_some()))
        });
        let how = if step.takes_in { " (taken in)" } else { "" };
        format!("{}{how}: {}", step.commit.author, objects.collect::<Vec<_>>().join(" "))
    };
    trail.steps.iter().map(step).collect()
}

#[test]
fn every_commit_that_changed_it_is_there_and_no_other() {
    let hand = Hand::new();
    let writer = hand.writer();
    writer.land(vec![put(&subscription("s", "web", "basic"))]);
    writer.land(vec![set(Kind::Team, "shop", "spec.title", "X")]);
    // Other words around it, and another file, are no change.
    hand.write("teams/shop/web/moved.yaml", format!("# here now\n{}", subscription("s", "web", "basic")));
    git(&hand.path, &["rm", "-q", "teams/shop/web/subscriptions/s.yaml"]);
    hand.commit("move it");
    hand.write("teams/shop/team.yaml", TEAM.replace("title", "title "));
    hand.commit("spaces");
    writer.land(vec![set(Kind::Subscription, "s", "spec.suspend", true)]);
    // What does not read says what it said before.
    hand.write("teams/shop/web/moved.yaml", "apiVersion: portico.dev/v1alpha1\nkind: Subscription\nmetadata: [");
    hand.commit("break it");
    git(&hand.path, &["revert", "--no-edit", "HEAD"]);
    git(&hand.path, &["rm", "-q", "teams/shop/web/moved.yaml"]);
    hand.commit("away");
    let all = trail(&hand, &window(None, 100));
    assert_eq!(
        (told(&all), all.older),
        (vec!["Hand: s+-".into(), "Hand: s-+".into(), "Ann: s++".into(), "Ann: s-+".into()], None)
    );
}

#[test]
fn who_asked_and_who_let_it_in_are_both_told() {
    let hand = Hand::new();
    let writer = hand.writer();
    let asked = Request { review: true, ..request(vec![put(&subscription("s", "web", "basic"))]) };
    writer.submit(&asked).expect("it waits");
    writer.land(vec![put(&application("other"))]);
    assert_eq!(told(&trail(&hand, &window(None, 100))), [""; 0], "it is not there yet");
    writer.wait(writer.writer.merge(asked.id, person("Olga"))).expect("taken in");
    assert_eq!(told(&trail(&hand, &window(None, 100))), ["Olga (taken in): s-+", "Ann: s-+"]);
    // Somebody brings their branch up to date: what came with that they have not done.
    git(&hand.path, &["checkout", "-q", "-b", "mine", "HEAD^"]);
    hand.write("teams/shop/web/t.yaml", subscription("t", "web", "basic"));
    hand.commit("mine");
    git(&hand.path, &["merge", "-q", "--no-edit", "main"]);
    git(&hand.path, &["checkout", "-q", "main"]);
    git(&hand.path, &["merge", "-q", "--no-ff", "--no-edit", "mine"]);
    let mut all = told(&trail(&hand, &window(None, 100)));
    assert_eq!(all.remove(0), "Hand (taken in): t-+");
    all.sort();
    assert_eq!(all, ["Ann: s-+", "Hand: t-+", "Olga (taken in): s-+"]);
}

#[test]
fn a_long_history_comes_in_parts() {
    let hand = Hand::new();
    let writer = hand.writer();
    writer.land(vec![put(&subscription("s", "web", "basic"))]);
    for number in 0..20 {
        writer.land(vec![set(Kind::Subscription, "s", "spec.suspend", number % 2 == 0)]);
        writer.land(vec![set(Kind::Team, "shop", "spec.title", format!("T{number}"))]);
    }
    let whole = trail(&hand, &window(None, 100)).steps;
    assert_eq!(whole.len(), 21);
    for looks in [10_000, 3] {
        let (mut parts, mut before, mut rounds) = (Vec::new(), None, 0);
        loop {
            let part = trail(&hand, &Window { looks, ..window(before, 4) });
            assert!(part.steps.len() <= 4);
            parts.extend(part.steps);
            before = part.older;
            rounds += 1;
            if before.is_none() {
                break;
            }
            assert!(rounds < 100, "it has no end");
        }
        assert!(parts == whole, "in parts as at once, with {looks} looks");
    }
    let short = hand.beside("short");
    git(
        &hand.path,
        &["clone", "-q", "--depth", "3", &format!("file://{}", hand.path.display()), short.to_str().expect("UTF-8")],
    );
    let repository = Repository::open(&short).expect("opens");
    let cut = repository.trail(hand.head(), "", &window(None, 100), |objects| objects).expect("reads");
    assert_eq!((cut.steps.len(), cut.is_cut), (2, true), "where it ends is not where it began");
}
