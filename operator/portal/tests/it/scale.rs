//! Pages with much to show: how long they take, which is longer than they hold the core.

use std::time::{Duration, Instant};

use crate::world::{World, put};
use axum::http::StatusCode;
use portico_core::key::Kind;
use serde_json::json;

const PRODUCTS: usize = 1_000;
const SUBSCRIPTIONS: usize = 20_000;
/// An unoptimised build on a busy machine is slow; what grows with the square of the number is slower still.
const LONGEST: Duration = Duration::from_secs(2);

#[tokio::test]
async fn pages_with_much_to_show_are_quick() {
    let mut world = World::new();
    let mut changes = Vec::new();
    for index in 0..PRODUCTS {
        let name = format!("many-{index}");
        let product = json!({ "title": format!("Many {index}"), "description": "One of many.", "tags": ["many"] });
        changes.push(put(Kind::ApiProduct, "api", &name, product));
        let plan = json!({ "title": "Free", "products": [{ "name": name }] });
        changes.push(put(Kind::Plan, "api", &name, plan));
    }
    for index in 0..SUBSCRIPTIONS {
        let name = format!("web-{index}");
        let plan = if index % 100 == 0 { "asked" } else { "open" };
        let subscription = json!({ "application": { "name": name }, "plan": { "name": plan, "namespace": "api" } });
        changes.push(put(Kind::Application, "crowd", &name, json!({ "title": name })));
        changes.push(put(Kind::Subscription, "crowd", &name, subscription));
    }
    world.change(changes);
    let (olga, otto) = (world.visitor("olga@acme.example").await, world.visitor("otto@acme.example").await);
    for (visitor, path) in [
        (&olga, "/"),
        (&olga, "/?q=many+999"),
        (&olga, "/apis/api/many-7"),
        (&olga, "/requests"),
        (&olga, "/requests?page=8"),
        (&otto, "/subscribers"),
        (&otto, "/subscribers/api/open"),
        (&otto, "/subscribers/api/open?page=396"),
        (&otto, "/subscribers/api/open?q=web-19999"),
        (&otto, "/apis/api/public/subscribers?q=nobody"),
    ] {
        let begun = Instant::now();
        let answer = visitor.get(path).await;
        let took = begun.elapsed();
        println!("{path}: {took:.1?}, {} kB", answer.body.len() / 1024);
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(took < LONGEST, "{path} took {took:?}");
    }
}
