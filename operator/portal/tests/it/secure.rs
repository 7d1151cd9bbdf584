//! What holds whoever asks, and what bad input comes to.

use crate::world::{World, put};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use portico_core::batch::Change;
use portico_core::key::{Kind, ObjectKey};
use portico_portal::routes;
use serde_json::json;

#[tokio::test]
async fn every_answer_is_protected() {
    let world = World::new();
    for route in routes().into_iter().filter(|route| route.method == "GET") {
        let path = route.path.replace(['{', '}'], "");
        let answer = world.stranger().get(&path).await;
        let policy = answer.header("content-security-policy").unwrap_or_default();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{path}");
        assert!(
            !answer.body.contains("<style") && !answer.body.contains(" style=") && !answer.body.contains(" onclick=")
        );
    }
}

#[tokio::test]
async fn signing_in_begins_a_new_session_and_signing_out_ends_it_for_every_copy() {
    let world = World::new();
    let before = world.stranger().get("/sign-in").await.cookie().unwrap();
    let sara = world.visitor("sara@acme.example").await;
    assert_ne!(before, sara.cookie, "what was there before is not taken over");
    let set = world.stranger().get("/sign-in").await;
    let set = set.header("set-cookie").unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax") && set.contains("Path=/"), "{set}");
    assert_eq!(sara.get("/applications").await.status, StatusCode::OK);
    let token = sara.token().await;
    assert_eq!(sara.post("/sign-out", &format!("token={token}")).await.status, StatusCode::SEE_OTHER);
    assert_eq!(sara.get("/applications").await.status, StatusCode::SEE_OTHER, "a copy of the cookie opens nothing");
}

#[tokio::test]
async fn a_cookie_that_was_made_up_is_nobodys() {
    let world = World::new();
    let sara = world.visitor("sara@acme.example").await;
    for cookie in ["portico=", "portico=abc", "portico=eyJ3aG8iOiJzYXJhIn0", &sara.cookie[..sara.cookie.len() - 4]] {
        let mut forged = world.stranger();
        forged.cookie = cookie.to_owned();
        assert_eq!(forged.get("/applications").await.status, StatusCode::SEE_OTHER, "{cookie}");
    }
}

#[tokio::test]
async fn suspension_and_leaving_a_team_count_at_once() {
    let mut world = World::new();
    let cookie = world.visitor("sara@acme.example").await.cookie;
    let team = json!({ "title": "Shop", "members": [] });
    world.change(vec![put(Kind::Team, "shop", "shop", team)]);
    let mut sara = world.stranger();
    sara.cookie.clone_from(&cookie);
    assert_eq!(sara.get("/applications/shop/web").await.status, StatusCode::SEE_OTHER, "she is nobody now");

    let mut world = World::new();
    let cookie = world.visitor("sara@acme.example").await.cookie;
    for (state, status) in
        [("Approved", StatusCode::OK), ("Suspended", StatusCode::SEE_OTHER), ("Approved", StatusCode::OK)]
    {
        let account = json!({ "mail": "Sara@acme.example", "state": state });
        world.change(vec![put(Kind::Developer, "shop", "sara", account)]);
        let mut sara = world.stranger();
        sara.cookie.clone_from(&cookie);
        assert_eq!(sara.get("/applications/shop/web").await.status, status, "{state}");
    }
    world.change(vec![Change::Remove(ObjectKey::new(Kind::Application, "shop", "web"))]);
    let mut sara = world.stranger();
    sara.cookie.clone_from(&cookie);
    assert_eq!(sara.get("/applications/shop/web").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn other_sites_and_other_names_are_turned_away() {
    let world = World::new();
    let sara = world.visitor("sara@acme.example").await;
    let token = sara.token().await;
    for (name, value) in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        let request = sara.request(Method::POST, "/sign-out").header(name, value);
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = world.ask(request.body(Body::from(format!("token={token}"))).unwrap()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    let rebound = Request::builder().uri("/").header(header::HOST, "portal.evil.example");
    assert_eq!(world.ask(rebound.body(Body::empty()).unwrap()).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_way_to_sign_in_closes_the_one_for_trying_out() {
    let mut world = World::new();
    let cookie = world.visitor("sara@acme.example").await.cookie;
    let oidc = json!({ "issuer": "https://id.acme.example", "clientId": "portal" });
    let portal = json!({ "title": "Acme", "url": "https://portal.acme.example", "signIn": { "oidc": oidc } });
    world.change(vec![put(Kind::Portal, "platform", "acme", portal)]);
    let mut sara = world.stranger();
    sara.cookie = cookie.replace("portico=", "__Host-portico=");
    assert_eq!(sara.get("/applications").await.status, StatusCode::SEE_OTHER);
    let page = world.stranger().get("/sign-in").await;
    assert!(!page.body.contains("sara@acme.example"), "nobody is listed");
    let set = page.header("set-cookie").unwrap();
    assert!(set.starts_with("__Host-portico=") && set.contains("Secure"), "{set}");
    assert!(page.header("strict-transport-security").is_some());
}

#[tokio::test]
async fn pages_by_somebody_hostile_are_text() {
    let world = World::new();
    let page = world.stranger().get("/apis/api/public/docs/hostile").await;
    assert_eq!(page.status, StatusCode::OK);
    for bad in ["<script>alert", "<img", "href=\"javascript"] {
        assert!(!page.body.contains(bad), "{bad} in {}", page.body);
    }
    assert_eq!(world.stranger().get("/apis/api/public/docs/closed").await.status, StatusCode::NOT_FOUND);
    let sara = world.visitor("sara@acme.example").await;
    assert_eq!(sara.get("/apis/api/public/docs/closed").await.status, StatusCode::OK, "her team subscribes");
    let mia = world.visitor("mia@acme.example").await;
    assert_eq!(mia.get("/apis/api/public/docs/closed").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nobody_is_led_elsewhere_by_signing_in() {
    let world = World::new();
    let stranger = world.stranger();
    for to in ["https://evil.example", "//evil.example", "/%5Cevil.example"] {
        let page = stranger.get(&format!("/sign-in?to={to}")).await;
        assert!(!page.body.contains("evil.example"), "{to}");
    }
}

#[tokio::test]
async fn a_wish_is_written_in_the_name_of_who_has_it() {
    let world = World::new();
    let olga = world.visitor("olga@acme.example").await;
    let token = olga.token().await;
    let answer = olga.post("/subscriptions/shop/web-asked/grant", &format!("token={token}&once=abc")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    let wishes = world.host.wishes.lock().unwrap();
    let [wish] = wishes.as_slice() else { panic!("{wishes:?}") };
    assert_eq!((wish.mail.as_str(), wish.summary.as_str()), ("olga@acme.example", "Grant Web on plan Asked"));
    insta::assert_debug_snapshot!(wish.edits);
}

#[tokio::test]
async fn the_wizard_asks_for_what_is_missing_and_keeps_what_was_said() {
    let world = World::new();
    let mia = world.visitor("mia@acme.example").await;
    let token = mia.token().await;
    let form = |rest: &str| format!("token={token}&once=abc&go=next&{rest}");
    let short = mia.post("/subscribe/api/open", &form("step=application&application=new&title=ab")).await;
    assert!(short.body.contains("at least 3 characters"), "{}", short.body);
    // Whoever says that they are at the last step has still not said who calls.
    let jumped = mia.post("/subscribe/api/open", &form("step=review&go=finish")).await;
    assert_eq!(jumped.status, StatusCode::OK);
    assert!(world.host.wishes.lock().unwrap().is_empty());
    // Nor does it help to name somebody else's application.
    let theirs = mia.post("/subscribe/api/open", &form("step=review&application=shop/web")).await;
    assert_eq!(theirs.status, StatusCode::OK);
    assert!(world.host.wishes.lock().unwrap().is_empty());
    let done = mia.post("/subscribe/api/open", &form("step=review&application=new&title=Shop+app")).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let wishes = world.host.wishes.lock().unwrap();
    let keys: Vec<String> = wishes[0]
        .edits
        .iter()
        .map(|edit| match edit {
            portico_portal::Edit::Put(object) => object.key().to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        keys,
        ["Application mobile/shop-app", "Subscription mobile/shop-app-public", "Credential mobile/shop-app-public"]
    );
}

#[tokio::test]
async fn to_turn_more_down_leaves_what_was_granted() {
    let mut world = World::new();
    let scopes = json!([{ "name": "more", "mode": "Restricted" }]);
    let members = json!({ "title": "Members", "scopes": scopes, "consumers": { "from": "All" } });
    let asks = |scopes| {
        let plan = json!({ "name": "asked", "namespace": "api" });
        put(
            Kind::Subscription,
            "shop",
            "web-asked",
            json!({ "application": { "name": "web" }, "plan": plan, "scopes": scopes }),
        )
    };
    let web = json!({ "name": "web-asked", "namespace": "shop" });
    let grant = json!({ "subscription": web, "decision": "Granted", "grant": { "plan": { "name": "asked" } } });
    world.change(vec![
        put(Kind::ApiProduct, "api", "members", members),
        put(Kind::Approval, "api", "yes", grant),
        asks(json!([{ "name": "more", "reason": "we count" }])),
    ]);
    assert!(world.has_access("shop", "web-asked"));
    let olga = world.visitor("olga@acme.example").await;
    let token = olga.token().await;
    let form = format!("token={token}&once=one&decision=deny&reason=No");
    let answer = olga.post("/subscriptions/shop/web-asked/refuse", &form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    drop(olga);
    let no = world.carry_out();
    assert_ne!(no.name.name(), "yes");
    assert!(world.has_access("shop", "web-asked"), "what was granted goes on");
}
