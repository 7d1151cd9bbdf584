//! Who did what, as those may see it whom it concerns.

use axum::http::StatusCode;
use jiff::Timestamp;
use portico_core::batch::{Change, Object};
use portico_core::key::Kind;
use portico_portal::{Changed, Entry};
use serde_json::json;

use crate::world::{World, put};

fn object(change: Change) -> Object {
    let Change::Put(object) = change else { panic!("{change:?}") };
    object
}

fn made(object: Object) -> Changed {
    Changed { key: object.key(), before: None, was_unread: false, after: Some(object) }
}

fn entry(number: i64, name: &str, changed: Vec<Changed>) -> Entry {
    Entry {
        commit: format!("{number:040}"),
        at: Timestamp::from_second(1_780_000_000 + number).unwrap(),
        name: name.to_owned(),
        mail: format!("{}@acme.example", name.to_lowercase()),
        takes_in: false,
        changed,
        is_cut: false,
    }
}

/// A subscription, its answer and its keys, one of which is gone; and another team's.
fn world() -> World {
    let plan = json!({ "name": "asked", "namespace": "api" });
    let subscription = |namespace: &str, name: &str| {
        object(put(Kind::Subscription, namespace, name, json!({ "application": { "name": "web" }, "plan": plan })))
    };
    let key = json!({
        "subscription": { "name": "web-asked" }, "environment": { "name": "local", "namespace": "platform" }, "title": "Old <b>",
    });
    let gone = object(put(Kind::Credential, "shop", "gone", key));
    let grant = json!({
        "subscription": { "name": "web-asked", "namespace": "shop" }, "decision": "Granted",
        "grant": { "plan": { "name": "asked" } },
    });
    let world = World::new();
    *world.host.history.lock().unwrap() = vec![
        entry(5, "Sara", vec![Changed { key: gone.key(), before: Some(gone.clone()), was_unread: false, after: None }]),
        entry(4, "Mia", vec![made(subscription("mobile", "theirs"))]),
        entry(3, "Olga", vec![made(object(put(Kind::Approval, "api", "answer", grant)))]),
        entry(2, "Sara", vec![made(gone), made(subscription("shop", "web-asked"))]),
        entry(1, "Zoe", vec![made(subscription("shop", "web-asked"))]),
    ];
    world
}

#[tokio::test]
async fn whoever_sees_it_sees_who_did_what() {
    let world = world();
    let sara = world.visitor("sara@acme.example").await.get("/subscriptions/shop/web-asked/history").await;
    assert_eq!(sara.status, StatusCode::OK);
    for wanted in ["Revoked key “Old &lt;b&gt;”", "Granted plan api/asked", "Subscribed to plan api/asked", "Olga"]
    {
        assert!(sara.body.contains(wanted), "{wanted}: {}", sara.body);
    }
    for unwanted in ["mobile", "Mia", "<b>", "Zoe"] {
        assert!(!sara.body.contains(unwanted), "{unwanted} is another's: {}", sara.body);
    }
    // Who has no access to keys learns nothing of them, nor do owners.
    for mail in ["lena@acme.example", "olga@acme.example"] {
        let page = world.visitor(mail).await.get("/subscriptions/shop/web-asked/history").await;
        assert!(page.body.contains("Granted plan api/asked") && !page.body.contains("Old"), "{mail}: {}", page.body);
    }
    let mia = world.visitor("mia@acme.example").await.get("/subscriptions/shop/web-asked/history").await;
    assert_eq!(mia.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_owner_sees_all_who_came_and_no_keys() {
    let world = world();
    let otto = world.visitor("otto@acme.example").await.get("/apis/api/members/history").await;
    assert_eq!(otto.status, StatusCode::OK);
    assert!(otto.body.contains("mobile/theirs") && otto.body.contains("shop/web-asked"), "{}", otto.body);
    assert!(!otto.body.contains("Old"), "{}", otto.body);
    let sara = world.visitor("sara@acme.example").await.get("/apis/api/members/history").await;
    assert_eq!(sara.status, StatusCode::NOT_FOUND);
    let application = world.visitor("sara@acme.example").await.get("/applications/shop/web/history").await;
    assert!(application.body.contains("Revoked key") && !application.body.contains("mobile"), "{}", application.body);
}

#[tokio::test]
async fn commits_are_links_where_the_forge_is_known() {
    let mut world = world();
    let path = "/subscriptions/shop/web-asked/history";
    let plain = world.visitor("sara@acme.example").await.get(path).await;
    assert!(plain.body.contains(&format!("<code title=\"{:040}\">", 5)), "{}", plain.body);
    let git = json!({ "repository": "https://bot:secret@github.com/acme/apis.git" });
    world.change(vec![put(Kind::Portal, "platform", "acme", json!({ "title": "Acme", "git": git }))]);
    let linked = world.visitor("sara@acme.example").await.get(path).await;
    let wanted = format!("https://github.com/acme/apis/commit/{:040}", 5);
    assert!(linked.body.contains(&wanted) && !linked.body.contains("secret"), "{}", linked.body);
}
