//! Wishes that wait until somebody else has looked at them.

use axum::http::StatusCode;
use jiff::Timestamp;
use portico_core::batch::Change;
use portico_core::key::Kind;
use portico_portal::{Changed, Edit, Verdict, Waiting};
use serde_json::{Value, json};

use crate::world::{World, put};

fn changed(kind: Kind, namespace: &str, name: &str, spec: Value) -> Changed {
    let Change::Put(object) = put(kind, namespace, name, spec) else { unreachable!("it is put") };
    Changed { key: object.key(), before: None, was_unread: false, after: Some(object) }
}

fn reviewing() -> World {
    let mut world = World::new();
    let git = json!({ "repository": "/srv/apis", "write": "PullRequest" });
    world.change(vec![put(Kind::Portal, "platform", "acme", json!({ "title": "Acme", "git": git }))]);
    world
}

/// What Sara waits for: a plan that Olga answers for.
fn asks(mail: &str, changed: Vec<Changed>) -> Waiting {
    Waiting {
        id: "r1".to_owned(),
        commit: "f".repeat(40),
        branch: "portico/r1".to_owned(),
        name: "Sara".to_owned(),
        mail: mail.to_owned(),
        since: Timestamp::UNIX_EPOCH,
        summary: "Web: subscribe to Members <b>".to_owned(),
        changed,
        has_more: false,
    }
}

fn subscription() -> Changed {
    let plan = json!({ "name": "asked", "namespace": "api" });
    let scopes = json!([{ "name": "read", "reason": "For reports" }]);
    let spec = json!({ "application": { "name": "web" }, "plan": plan, "scopes": scopes });
    changed(Kind::Subscription, "shop", "new", spec)
}

#[tokio::test]
async fn what_gives_something_waits_and_what_takes_away_does_not() {
    let world = reviewing();
    let sara = world.visitor("sara@acme.example").await;
    let page = sara.get("/subscribe/api/open").await;
    let once = page.body.split("name=\"once\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(once.starts_with(&format!("{}-", "a".repeat(40))), "the commit that the page is made from: {once}");
    let form = format!("token={}&once={once}&step=review&application=new&title=Another&go=finish", sara.token().await);
    let answer = sara.post("/subscribe/api/open", &form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    let wish = world.host.wishes.lock().unwrap().pop().expect("a wish");
    assert!(wish.review);
    assert_eq!(wish.base.as_deref(), Some("a".repeat(40).as_str()));
    assert_eq!(answer.header("location"), Some(format!("/requests/waiting/{}", wish.id).as_str()));

    let token = sara.token().await;
    let waits = |what: &'static str| format!("token={token}&once=x-{what}&what={what}");
    for (what, expected) in [("disable", false), ("rotate", false), ("regenerate", false), ("enable", true)] {
        let answer = sara.post("/credentials/shop/web-open/change", &waits(what)).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{what}: {}", answer.body);
        let wish = world.host.wishes.lock().unwrap().pop().expect("a wish");
        assert_eq!(wish.review, expected, "{what}");
        let waiting = answer.header("location").unwrap().starts_with("/requests/waiting/");
        assert_eq!(waiting, expected, "{what}: {:?}", answer.header("location"));
    }
    // An owner's answer is a review itself.
    let olga = world.visitor("olga@acme.example").await;
    let form = format!("token={}&once=y", olga.token().await);
    let answer = olga.post("/subscriptions/shop/web-asked/grant", &form).await;
    assert_eq!(answer.header("location"), Some("/requests"), "{}", answer.body);
    let wish = world.host.wishes.lock().unwrap().pop().expect("a wish");
    assert!(!wish.review && matches!(wish.edits.as_slice(), [Edit::Put(_)]));
}

#[tokio::test]
async fn nothing_waits_where_no_review_is_asked_for() {
    let world = World::new();
    *world.host.waiting.lock().unwrap() = vec![asks("sara@acme.example", vec![subscription()])];
    let sara = world.visitor("sara@acme.example").await;
    let form = format!("token={}&once=x&what=enable", sara.token().await);
    sara.post("/credentials/shop/web-open/change", &form).await;
    assert!(!world.host.wishes.lock().unwrap().pop().expect("a wish").review);
}

#[tokio::test]
async fn whoever_answers_for_the_plan_lets_it_in_or_turns_it_down() {
    let world = reviewing();
    *world.host.waiting.lock().unwrap() = vec![asks("sara@acme.example", vec![subscription()])];
    let olga = world.visitor("olga@acme.example").await;
    let page = olga.get("/requests").await;
    for wanted in [
        "Let it in",
        "portico/r1",
        "Subscribed to plan api/asked".to_lowercase().as_str(),
        "For reports",
        "Calls to Members on plan Asked",
    ] {
        assert!(page.body.contains(wanted), "{wanted}: {}", page.body);
    }
    assert!(!page.body.contains("<b>"), "{}", page.body);
    let (token, seen) = (olga.token().await, "f".repeat(40));
    let stale = olga.post("/requests/waiting/r1/take-in", &format!("token={token}&seen={}", "0".repeat(40))).await;
    assert_eq!(stale.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", stale.body);
    let silent = olga.post("/requests/waiting/r1/decline", &format!("token={token}&seen={seen}&reason=+")).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", silent.body);
    assert!(world.host.verdicts.lock().unwrap().is_empty());
    for (form, path) in [("", "take-in"), ("&reason=Not+now", "decline")] {
        let answer =
            olga.post(&format!("/requests/waiting/r1/{path}"), &format!("token={token}&seen={seen}{form}")).await;
        assert_eq!(answer.header("location"), Some("/requests"), "{path}: {}", answer.body);
    }
    let verdict = |reason: Option<&str>| Verdict {
        id: "r1".to_owned(),
        seen: seen.clone(),
        name: "Olga".to_owned(),
        mail: "olga@acme.example".to_owned(),
        reason: reason.map(str::to_owned),
    };
    assert_eq!(*world.host.verdicts.lock().unwrap(), [verdict(None), verdict(Some("Not now"))]);
}

#[tokio::test]
async fn nobody_else_lets_it_in() {
    let world = reviewing();
    let own = asks("olga@acme.example", vec![subscription()]);
    let product = changed(Kind::ApiProduct, "api", "members", json!({ "title": "Mine now" }));
    let more = asks("sara@acme.example", vec![subscription(), product]);
    let theirs = asks("sara@acme.example", vec![subscription()]);
    let try_it = async |waiting: &Waiting, mail: &str| {
        *world.host.waiting.lock().unwrap() = vec![waiting.clone()];
        let visitor = world.visitor(mail).await;
        let form = format!("token={}&seen={}", visitor.token().await, "f".repeat(40));
        let page = visitor.get("/requests/waiting/r1").await.status;
        (page.as_u16(), visitor.post("/requests/waiting/r1/take-in", &form).await.status.as_u16())
    };
    // Whoever asked, their team, and those who answer for other plans.
    assert_eq!(try_it(&theirs, "sara@acme.example").await, (200, 403));
    assert_eq!(try_it(&own, "olga@acme.example").await, (200, 403));
    for mail in ["mia@acme.example", "otto@acme.example", "sven@acme.example"] {
        assert_eq!(try_it(&theirs, mail).await, (404, 404), "{mail}");
    }
    // What changes more than a portal does is for those who may push.
    assert_eq!(try_it(&more, "olga@acme.example").await, (404, 404));
    let mut files = theirs.clone();
    files.has_more = true;
    assert_eq!(try_it(&files, "olga@acme.example").await, (404, 404));
    assert!(world.host.verdicts.lock().unwrap().is_empty());
    let stranger = world.stranger().get("/requests/waiting/r1").await;
    assert_eq!(stranger.status, StatusCode::SEE_OTHER);
}
