//! The API as programs ask it: tokens, problems, versions, keys of writes, long lists.

use std::collections::BTreeSet;

use crate::world::{Answer, Visitor, World, put};
use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{Request, StatusCode, header};
use jiff::Timestamp;
use portico_core::key::Kind;
use portico_portal::{Fate, Waiting};
use serde_json::{Value, json};

/// The key that the world has.
const KEY: &str = "not-a-real-key-0001";

/// A program with a token.
struct Program<'a> {
    world: &'a World,
    token: String,
}

impl Program<'_> {
    fn request(&self, method: &str, path: &str) -> Builder {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        request.header(header::AUTHORIZATION, format!("Bearer {}", self.token))
    }

    async fn send(&self, request: Builder, body: &str) -> Answer {
        let request = request.header(header::CONTENT_TYPE, "application/json");
        self.world.ask(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.world.ask(self.request("GET", path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request("POST", path), &body.to_string()).await
    }
}

/// A token of somebody, made on the page.
async fn token<'a>(world: &'a World, visitor: &Visitor<'_>, may: &str) -> Program<'a> {
    let form = format!("token={}&name=robot&days=30{may}", visitor.token().await);
    let page = visitor.post("/tokens", &form).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    let at = page.body.find("ppt_").expect("it is shown");
    let token = page.body[at..].chars().take_while(|one| one.is_ascii_alphanumeric() || *one == '_').collect();
    Program { world, token }
}

fn read(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

/// That it is a problem, and says the same as the status.
fn is_problem(answer: &Answer, status: StatusCode) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{}", answer.body);
    let problem = read(answer);
    assert_eq!(problem["status"], status.as_u16());
    assert!(problem["title"].is_string() && problem["detail"].is_string() && problem["type"].is_string());
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say_and_no_more_than_its_person() {
    let world = World::new();
    let sara = world.visitor("sara@acme.example").await;
    let (reads, writes) = (token(&world, &sara, "").await, token(&world, &sara, "&write=yes").await);
    assert_eq!(reads.token.len(), 67);
    assert!(!sara.get("/tokens").await.body.contains(&reads.token), "it is shown once");
    assert!(!format!("{:?}", world.host.remembered.lock().unwrap()).contains(&reads.token), "it is kept nowhere");

    let me = read(&reads.get("/api/v1/me").await);
    assert_eq!((&me["mail"], &me["scopes"]), (&json!("sara@acme.example"), &json!(["read"])));
    assert_eq!(reads.get("/api/v1/credentials/shop/web-open").await.status, StatusCode::OK);
    is_problem(&reads.get("/api/v1/credentials/shop/none").await, StatusCode::NOT_FOUND);
    let make = json!({ "team": { "namespace": "shop", "name": "shop" }, "title": "Robots" });
    is_problem(&reads.post("/api/v1/applications", &make).await, StatusCode::FORBIDDEN);
    let made = writes.post("/api/v1/applications", &make).await;
    assert_eq!(made.status, StatusCode::ACCEPTED, "{}", made.body);
    assert_eq!(read(&made)["object"], json!({ "namespace": "shop", "name": "robots" }));
    is_problem(&reads.post("/api/v1/credentials/shop/web-open/reveal", &json!({})).await, StatusCode::FORBIDDEN);
    let elsewhere = json!({ "team": { "namespace": "mobile", "name": "mobile" }, "title": "Robots" });
    is_problem(&writes.post("/api/v1/applications", &elsewhere).await, StatusCode::NOT_FOUND);

    let olga = world.visitor("olga@acme.example").await;
    let (writes, decides) = (token(&world, &olga, "&write=yes").await, token(&world, &olga, "&decide=yes").await);
    let grant = "/api/v1/requests/shop/web-asked/grant";
    is_problem(&writes.post(grant, &json!({})).await, StatusCode::FORBIDDEN);
    assert_eq!(decides.post(grant, &json!({})).await.status, StatusCode::ACCEPTED);
    assert_eq!(world.host.wishes.lock().unwrap().len(), 2);
    let page = Program { world: &world, token: decides.token.clone() }.get("/applications").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "pages take no tokens");
}

#[tokio::test]
async fn tokens_that_are_forged_ended_revoked_or_of_the_suspended_open_nothing() {
    let mut world = World::new();
    let cookie = world.visitor("sara@acme.example").await.cookie;
    let text = {
        let mut sara = world.stranger();
        sara.cookie.clone_from(&cookie);
        token(&world, &sara, "&write=yes").await.token
    };
    let status = async |world: &World, token: &str| {
        let answer = Program { world, token: token.to_owned() }.get("/api/v1/me").await;
        if answer.status == StatusCode::UNAUTHORIZED {
            is_problem(&answer, StatusCode::UNAUTHORIZED);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        answer.status
    };
    assert_eq!(status(&world, &text).await, StatusCode::OK);
    let last = if text.ends_with('0') { "1" } else { "0" };
    let changed = format!("{}{last}", &text[..66]);
    for forged in ["", "ppt_", &text[..66], &changed, &text.to_uppercase(), "ptk_0123456789"] {
        assert_eq!(status(&world, forged).await, StatusCode::UNAUTHORIZED, "{forged}");
    }
    // A token that does not hold opens not even what is open to all: whoever sends one wants to know.
    let answer = Program { world: &world, token: changed.clone() }.get("/api/v1/products").await;
    is_problem(&answer, StatusCode::UNAUTHORIZED);

    for (state, wanted) in [("Suspended", StatusCode::UNAUTHORIZED), ("Approved", StatusCode::OK)] {
        let account = json!({ "mail": "sara@acme.example", "state": state });
        world.change(vec![put(Kind::Developer, "shop", "sara", account)]);
        assert_eq!(status(&world, &text).await, wanted, "{state}");
    }

    let (id, said) =
        world.host.remembered.lock().unwrap().iter().next().map(|(id, said)| (id.clone(), said.clone())).unwrap();
    let mut ended: Value = serde_json::from_str(&said).unwrap();
    ended["ends"] = json!(ended["made"].as_i64().unwrap() + 1);
    ended["made"] = json!(ended["made"].as_i64().unwrap() - 10);
    ended["ends"] = json!(ended["ends"].as_i64().unwrap() - 5);
    world.host.remembered.lock().unwrap().insert(id.clone(), ended.to_string());
    assert_eq!(status(&world, &text).await, StatusCode::UNAUTHORIZED, "it has ended");
    world.host.remembered.lock().unwrap().insert(id.clone(), said);
    assert_eq!(status(&world, &text).await, StatusCode::OK);

    let sven = world.visitor("sven@acme.example").await;
    let theirs = sven.post(&format!("/tokens/{id}/revoke"), &format!("token={}", sven.token().await)).await;
    assert_eq!(theirs.status, StatusCode::NOT_FOUND, "it is somebody else's");
    let mut sara = world.stranger();
    sara.cookie = cookie;
    let revoked = sara.post(&format!("/tokens/{id}/revoke"), &format!("token={}", sara.token().await)).await;
    assert_eq!(revoked.status, StatusCode::SEE_OTHER, "{}", revoked.body);
    assert_eq!(status(&world, &text).await, StatusCode::UNAUTHORIZED, "it is revoked");
}

#[tokio::test]
async fn a_session_changes_something_only_with_its_token() {
    let world = World::new();
    let sara = world.visitor("sara@acme.example").await;
    let other = world.visitor("sven@acme.example").await.token().await;
    for token in [None, Some(""), Some(other.as_str())] {
        let mut request = sara.request("POST".parse().unwrap(), "/api/v1/credentials/shop/web-open/rotate");
        if let Some(token) = token {
            request = request.header("x-csrf-token", token);
        }
        is_problem(&world.ask(request.body(Body::empty()).unwrap()).await, StatusCode::FORBIDDEN);
    }
    assert!(world.host.wishes.lock().unwrap().is_empty());
    let rotated = sara.call("POST", "/api/v1/credentials/shop/web-open/rotate", "").await;
    assert_eq!(rotated.status, StatusCode::ACCEPTED, "{}", rotated.body);
    assert_eq!(world.host.wishes.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_write_that_is_sent_again_is_done_once() {
    let world = World::new();
    let (sara, lena) = (world.visitor("sara@acme.example").await, world.visitor("lena@acme.example").await);
    let program = token(&world, &sara, "&write=yes").await;
    let of = |title: &str| json!({ "team": { "namespace": "shop", "name": "shop" }, "title": title }).to_string();
    let send = async |program: &Program<'_>, key: &str, title: &str| {
        let request = program.request("POST", "/api/v1/applications").header("idempotency-key", key);
        program.send(request, &of(title)).await
    };
    let first = send(&program, "one", "Robots").await;
    let again = send(&program, "one", "Robots").await;
    assert_eq!((first.status, again.status), (StatusCode::ACCEPTED, StatusCode::ACCEPTED), "{}", again.body);
    assert_eq!(first.body, again.body);
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
    assert!(first.header("location").unwrap().starts_with("/api/v1/changes/"), "{:?}", first.headers);
    is_problem(&send(&program, "one", "Others").await, StatusCode::CONFLICT);
    is_problem(&send(&program, "no key", "Others").await, StatusCode::BAD_REQUEST);
    let theirs = token(&world, &lena, "&write=yes").await;
    assert_eq!(send(&theirs, "one", "Others").await.status, StatusCode::ACCEPTED, "a key is somebody's own");
    let wishes = world.host.wishes.lock().unwrap();
    let [one, other] = wishes.as_slice() else { panic!("{wishes:?}") };
    assert_ne!(one.once, other.once);
    assert!(one.once.len() > 20, "the key goes into the commit: {}", one.once);
}

#[tokio::test]
async fn what_is_known_is_not_sent_again_and_what_has_changed_is_not_overwritten() {
    let world = World::new();
    let sara = world.visitor("sara@acme.example").await;
    let program = token(&world, &sara, "&write=yes").await;
    let path = "/api/v1/credentials/shop/web-open";
    let tag = program.get(path).await.header("etag").unwrap().to_owned();
    let known = program.send(program.request("GET", path).header("if-none-match", &tag), "").await;
    assert_eq!((known.status, known.body.as_str()), (StatusCode::NOT_MODIFIED, ""));
    let other = program.send(program.request("GET", path).header("if-none-match", "\"other\""), "").await;
    assert_eq!(other.status, StatusCode::OK);
    let patch = r#"{"title":"Other","disabled":true}"#;
    let old = program.send(program.request("PATCH", path).header("if-match", "\"other\""), patch).await;
    is_problem(&old, StatusCode::PRECONDITION_FAILED);
    let now = program.send(program.request("PATCH", path).header("if-match", &tag), patch).await;
    assert_eq!(now.status, StatusCode::ACCEPTED, "{}", now.body);
    let wishes = world.host.wishes.lock().unwrap();
    assert_eq!((wishes.len(), wishes[0].edits.len()), (1, 2), "{wishes:?}");
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let world = World::new();
    let sara = world.visitor("sara@acme.example").await;
    let program = token(&world, &sara, "&write=yes").await;
    is_problem(&program.get("/api/v1/nowhere").await, StatusCode::NOT_FOUND);
    is_problem(&program.get("/api/v1/credentials/%ff/x").await, StatusCode::NOT_FOUND);
    let method = program.send(program.request("PUT", "/api/v1/applications"), "{}").await;
    is_problem(&method, StatusCode::METHOD_NOT_ALLOWED);
    let allowed = method.header("allow").unwrap();
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
    for query in ["limit=0", "limit=101", "limit=many", "cursor=%25", "phase=Happy", "unknown=1", "application=shop"] {
        let answer = program.get(&format!("/api/v1/subscriptions?{query}")).await;
        is_problem(&answer, StatusCode::BAD_REQUEST);
    }
    let path = "/api/v1/applications";
    is_problem(&program.send(program.request("POST", path), "{").await, StatusCode::BAD_REQUEST);
    is_problem(&program.post(path, &json!({ "title": 1 })).await, StatusCode::UNPROCESSABLE_ENTITY);
    // A list of fields is no object.
    let listed = json!([["shop", "shop"], "Robots", null]);
    is_problem(&program.post(path, &listed).await, StatusCode::UNPROCESSABLE_ENTITY);
    let inner = json!({ "team": ["shop", "shop"], "title": "Robots" });
    is_problem(&program.post(path, &inner).await, StatusCode::UNPROCESSABLE_ENTITY);
    let long = json!({ "title": "x".repeat(100_000) });
    is_problem(&program.post(path, &long).await, StatusCode::PAYLOAD_TOO_LARGE);
    let text = program.request("POST", path).header(header::CONTENT_TYPE, "text/plain");
    is_problem(&world.ask(text.body(Body::from("{}")).unwrap()).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    is_problem(&world.stranger().get("/api/v1/me").await, StatusCode::UNAUTHORIZED);
    let rebound = Request::builder().uri("/api/v1/products").header(header::HOST, "portal.evil.example");
    is_problem(&world.ask(rebound.body(Body::empty()).unwrap()).await, StatusCode::FORBIDDEN);
    assert!(world.host.wishes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_long_list_comes_in_parts_and_nothing_is_left_out() {
    let mut world = World::new();
    let mut changes = Vec::new();
    for index in 0..230 {
        let name = format!("many-{index}");
        let application = json!({ "title": name, "team": { "name": "shop" } });
        let subscription = json!({ "application": { "name": name }, "plan": { "name": "open", "namespace": "api" } });
        changes.push(put(Kind::Application, "shop", &name, application));
        changes.push(put(Kind::Subscription, "shop", &name, subscription));
        changes.push(put(Kind::ApiProduct, "api", &name, json!({ "title": "Same" })));
    }
    world.change(changes);
    let sara = world.visitor("sara@acme.example").await;
    let program = token(&world, &sara, "").await;
    for (path, all) in
        [("/api/v1/applications", 231), ("/api/v1/subscriptions?phase=Active", 231), ("/api/v1/products", 230)]
    {
        let mut seen = BTreeSet::new();
        let join = if path.contains('?') { "&" } else { "?" };
        let mut next = Some(format!("{path}{join}limit=100"));
        let mut parts = 0;
        while let Some(path) = next {
            let answer = program.get(&path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
            let list = read(&answer);
            for item in list["items"].as_array().unwrap() {
                assert!(
                    seen.insert((item["namespace"].to_string(), item["name"].to_string())),
                    "{item} is there twice"
                );
            }
            next = answer
                .header("link")
                .map(|link| link.strip_prefix('<').unwrap().split_once(">; rel=\"next\"").unwrap().0.to_owned());
            assert_eq!(next.is_some(), list["next"].is_string());
            parts += 1;
        }
        assert!(seen.len() >= all, "{path}: {}", seen.len());
        assert_eq!(parts, 3, "{path}");
    }
}

#[tokio::test]
async fn a_key_is_told_by_one_address_only() {
    let world = World::new();
    let sara = world.visitor("sara@acme.example").await;
    let program = token(&world, &sara, "&write=yes").await;
    for path in [
        "/api/v1/credentials",
        "/api/v1/credentials/shop/web-open",
        "/api/v1/subscriptions/shop/web-open/credentials",
        "/api/v1/subscriptions/shop/web-open",
    ] {
        let answer = program.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(!answer.body.contains(KEY), "{path}");
    }
    let told = program.post("/api/v1/credentials/shop/web-open/reveal", &json!({})).await;
    assert_eq!(read(&told)["key"], KEY);
    assert_eq!(told.header("cache-control"), Some("no-store"));
    assert_eq!(read(&told)["places"][0]["header"], "x-api-key");
}

#[tokio::test]
async fn subscribing_asks_for_what_the_wizard_asks_for() {
    let world = World::new();
    let mia = world.visitor("mia@acme.example").await;
    let program = token(&world, &mia, "&write=yes").await;
    let plan = json!({ "namespace": "api", "name": "open" });
    let path = "/api/v1/subscriptions";
    for said in [
        json!({ "plan": plan }),
        json!({ "plan": plan, "title": "ab" }),
        json!({ "plan": plan, "application": { "namespace": "shop", "name": "web" } }),
        json!({ "plan": plan, "title": "Shop app", "scopes": [{ "name": "more" }] }),
        json!({ "plan": plan, "title": "Shop app", "environment": { "namespace": "x", "name": "y" } }),
    ] {
        is_problem(&program.post(path, &said).await, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let hidden = json!({ "plan": { "namespace": "api", "name": "none" }, "title": "Shop app" });
    is_problem(&program.post(path, &hidden).await, StatusCode::NOT_FOUND);
    assert!(world.host.wishes.lock().unwrap().is_empty());
    let done = program.post(path, &json!({ "plan": plan, "title": "Shop app" })).await;
    assert_eq!(done.status, StatusCode::ACCEPTED, "{}", done.body);
    assert_eq!(read(&done)["object"], json!({ "namespace": "mobile", "name": "shop-app-public" }));
    assert_eq!(world.host.wishes.lock().unwrap()[0].edits.len(), 3);
    let follow = program.get(done.header("location").unwrap()).await;
    assert_eq!(read(&follow)["progress"], "Read", "it was not really written here");
}

#[tokio::test]
async fn what_waits_for_a_review_says_so_until_it_is_looked_at() {
    let mut world = World::new();
    let git = json!({ "repository": "/srv/apis", "write": "PullRequest" });
    world.change(vec![put(Kind::Portal, "platform", "acme", json!({ "title": "Acme", "git": git }))]);
    let (sara, mia) = (world.visitor("sara@acme.example").await, world.visitor("mia@acme.example").await);
    let (program, other) = (token(&world, &sara, "&write=yes").await, token(&world, &mia, "").await);
    let made = async || {
        let said = json!({ "team": { "namespace": "shop", "name": "shop" }, "title": "Robots" });
        let request = program.request("POST", "/api/v1/applications").header("idempotency-key", "one");
        program.send(request, &said.to_string()).await
    };
    let first = made().await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{}", first.body);
    let wish = world.host.wishes.lock().unwrap()[0].clone();
    assert!(wish.review && wish.base.is_none(), "a program has seen no page: {wish:?}");
    let said = read(&first);
    assert_eq!((&said["progress"], &said["isFinal"]), (&json!("InReview"), &json!(false)));
    assert_eq!(said["review"], json!(wish.id));
    let path = first.header("location").unwrap().to_owned();
    assert!(path.contains(&format!("review={}", wish.id)), "{path}");
    is_problem(&program.get(&path).await, StatusCode::NOT_FOUND);

    world.host.waiting.lock().unwrap().push(Waiting {
        id: wish.id.clone(),
        commit: "f".repeat(40),
        branch: format!("portico/{}", wish.id),
        name: wish.name.clone(),
        mail: wish.mail.clone(),
        since: Timestamp::UNIX_EPOCH,
        summary: wish.summary.clone(),
        changed: Vec::new(),
        has_more: false,
    });
    assert_eq!(read(&program.get(&path).await)["progress"], "InReview");
    is_problem(&other.get(&path).await, StatusCode::NOT_FOUND);
    let again = made().await;
    assert_eq!((again.header("idempotency-replayed"), &read(&again)["progress"]), (Some("true"), &json!("InReview")));

    let (by, at) = ("Olga".to_owned(), Timestamp::UNIX_EPOCH);
    let fate = |fate| drop(world.host.fates.lock().unwrap().insert(wish.id.clone(), fate));
    let events = path.replace('?', "/events?");
    fate(Fate::Declined { commit: "d".repeat(40), by: by.clone(), at, reason: "Not now".to_owned() });
    let declined = read(&program.get(&path).await);
    assert_eq!((&declined["progress"], &declined["isFinal"]), (&json!("Declined"), &json!(true)));
    assert_eq!((&declined["commit"], &declined["reason"]), (&json!("d".repeat(40)), &json!("Not now")));
    let told = program.get(&events).await.body;
    assert!(told.contains("event: change") && told.contains("\"reason\":\"Not now\""), "{told}");

    fate(Fate::TakenIn { commit: "e".repeat(40), by, at });
    let taken = read(&program.get(&path).await);
    assert_eq!((&taken["progress"], &taken["commit"]), (&json!("Read"), &json!("e".repeat(40))));
    let told = program.get(&events).await.body;
    assert!(told.contains("\"progress\":\"Read\"") && told.contains(&wish.id), "{told}");
    assert_eq!(world.host.wishes.lock().unwrap().len(), 1, "sent again, it is asked for once");
}
