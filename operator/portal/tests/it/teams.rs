//! Groups of the identity provider that a Team names, and what ends a session.

use std::time::Duration;

use crate::world::{ISSUER, World, put};
use axum::body::Body;
use axum::http::{Method, StatusCode};
use portico_core::key::Kind;
use serde_json::{Value, json};

/// People come from an identity provider, and team Shop names groups.
fn world() -> World {
    let mut world = World::new();
    let oidc = json!({ "issuer": ISSUER, "clientId": "portal", "groupsClaim": "groups" });
    let portal = json!({ "title": "Acme", "signIn": { "oidc": oidc } });
    let groups = json!([
        { "name": "shop-developers", "access": { "teams": "Full", "credentials": "Full" } },
        { "name": "auditors", "access": { "teams": "Read" } },
    ]);
    world.change(vec![put(Kind::Portal, "platform", "acme", portal), put(Kind::Team, "shop", "shop", shop(&groups))]);
    world
}

fn shop(groups: &Value) -> Value {
    let sara = json!({ "mail": "sara@acme.example", "access": { "teams": "Read" } });
    json!({ "title": "Shop", "members": [sara], "groups": groups })
}

async fn status(world: &World, mail: &str, groups: &[&str], path: &str) -> StatusCode {
    world.of_provider(mail, groups).get(path).await.status
}

#[tokio::test]
async fn a_group_that_a_team_names_has_a_part_in_it() {
    let mut world = world();
    let application = "/applications/shop/web";
    let key = "/credentials/shop/web-open";
    assert_eq!(status(&world, "new@acme.example", &[], application).await, StatusCode::SEE_OTHER, "nobody knows them");
    assert_eq!(status(&world, "new@acme.example", &["others"], application).await, StatusCode::SEE_OTHER);
    assert_eq!(status(&world, "new@acme.example", &["auditors"], application).await, StatusCode::OK);
    assert_eq!(status(&world, "new@acme.example", &["auditors"], key).await, StatusCode::NOT_FOUND);
    assert_eq!(status(&world, "new@acme.example", &["shop-developers"], key).await, StatusCode::OK);
    let developer = world.of_provider("new@acme.example", &["auditors", "shop-developers"]);
    let cancelled = developer.post("/subscriptions/shop/web-open/cancel", "token=t&once=abc&confirm=web-open").await;
    assert_eq!(cancelled.status, StatusCode::SEE_OTHER, "{}", cancelled.body);
    let listed = developer.get("/applications").await.body;
    assert_eq!(listed.matches("<h2>Team Shop</h2>").count(), 1, "a team is there once: {listed}");
    // What a group gives adds to what the Team gives by name.
    assert_eq!(status(&world, "sara@acme.example", &[], key).await, StatusCode::NOT_FOUND);
    assert_eq!(status(&world, "sara@acme.example", &["shop-developers"], key).await, StatusCode::OK);
    // And is gone when the Team says so.
    world.change(vec![put(Kind::Team, "shop", "shop", shop(&json!([])))]);
    assert_eq!(status(&world, "new@acme.example", &["shop-developers"], application).await, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_group_answers_no_requests() {
    let mut world = world();
    let full = json!({ "teams": "Full", "credentials": "Full" });
    let owners = json!({ "title": "Owners", "members": [], "groups": [{ "name": "owners", "access": full }] });
    let plan = |approvers: Value| {
        let approval = json!({ "mode": "Manual", "approvers": approvers });
        put(
            Kind::Plan,
            "api",
            "asked",
            json!({ "title": "Asked", "products": [{ "name": "members" }], "approval": approval }),
        )
    };
    let grant = "/subscriptions/shop/web-asked/grant";
    for approvers in
        [json!([]), json!([{ "kind": "Team", "name": "owners" }]), json!([{ "kind": "Group", "name": "owners" }])]
    {
        world.change(vec![put(Kind::Team, "api", "owners", owners.clone()), plan(approvers.clone())]);
        let owner = world.of_provider("new@acme.example", &["owners"]);
        assert_eq!(owner.get("/subscriptions/shop/web-asked").await.status, StatusCode::OK, "they see it");
        let answer = owner.post(grant, "token=t&once=abc").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{approvers}: {}", answer.body);
    }
    // Who is a member of the Team does, but not for a team that they belong to by a group.
    let named = json!({ "title": "Owners", "members": [{ "mail": "new@acme.example", "access": full }] });
    world.change(vec![put(Kind::Team, "api", "owners", named), plan(json!([]))]);
    let theirs = world.of_provider("new@acme.example", &["auditors"]).post(grant, "token=t&once=abc").await;
    assert_eq!(theirs.status, StatusCode::FORBIDDEN, "{}", theirs.body);
    assert!(world.host.wishes.lock().unwrap().is_empty(), "nothing was written");
    let granted = world.of_provider("new@acme.example", &[]).post(grant, "token=t&once=abc").await;
    assert_eq!(granted.status, StatusCode::SEE_OTHER, "{}", granted.body);
}

#[tokio::test]
async fn a_stream_ends_with_the_session() {
    let path = format!("/landed/{}/events?namespace=shop&name=web-open", "b".repeat(40));
    for end in ["suspended", "signed out"] {
        let mut world = World::new();
        let sara = world.visitor("sara@acme.example").await;
        let token = sara.token().await;
        let stream = world.asking(sara.request(Method::GET, &path).body(Body::empty()).unwrap());
        let stream = tokio::spawn(stream);
        let sign_out =
            sara.request(Method::POST, "/sign-out").header("content-type", "application/x-www-form-urlencoded");
        let sign_out = world.asking(sign_out.body(Body::from(format!("token={token}"))).unwrap());
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(!stream.is_finished(), "it waits for the gateway");
        if end == "suspended" {
            let account = json!({ "mail": "sara@acme.example", "state": "Suspended" });
            world.change(vec![put(Kind::Developer, "shop", "sara", account)]);
        } else {
            assert_eq!(sign_out.await.status, StatusCode::SEE_OTHER);
        }
        let told = tokio::time::timeout(Duration::from_secs(10), stream).await;
        let told = told.unwrap_or_else(|_| panic!("{end}, and still told")).unwrap();
        assert!(told.body.contains("data: read"), "{}", told.body);
    }
}
