//! An owner's day: what waits, one answer and several, taking back what was granted, and who uses what.

use crate::world::{World, ask, page, put};
use axum::http::StatusCode;
use portico_core::batch::Change;
use portico_core::key::Kind;
use serde_json::json;

const OLGA: &str = "olga@acme.example";

/// So many applications that ask for the plan that olga decides about.
fn crowd(count: usize) -> Vec<Change> {
    let mut changes = Vec::new();
    for index in 0..count {
        let name = format!("app-{index:03}");
        changes.push(put(Kind::Application, "crowd", &name, json!({ "title": format!("App {index:03}") })));
        let plan = json!({ "name": "asked", "namespace": "api" });
        changes.push(put(Kind::Subscription, "crowd", &name, json!({ "application": { "name": name }, "plan": plan })));
    }
    changes
}

#[tokio::test]
async fn several_are_answered_at_once_and_each_by_itself() {
    let mut world = World::new();
    let mut changes = crowd(3);
    // Two names that would make the same name for an answer.
    changes.push(put(Kind::Application, "crowd-app", "000", json!({ "title": "Twin" })));
    let plan = json!({ "name": "asked", "namespace": "api" });
    changes.push(put(
        Kind::Subscription,
        "crowd-app",
        "000",
        json!({ "application": { "name": "000" }, "plan": plan }),
    ));
    world.change(changes);
    let inbox = page(&world, OLGA, "/requests").await;
    assert!(
        inbox.body.contains("Approve the chosen") && inbox.body.contains("value=\"crowd/app-001\""),
        "{}",
        inbox.body
    );
    *world.host.unwelcome.lock().unwrap() = Some("App 001");
    let picks =
        "decision=grant&pick=crowd/app-000&pick=crowd/app-001&pick=crowd-app/000&pick=shop/web-open&pick=no/such";
    let answer = ask(&world, OLGA, "/requests/answers", picks).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert!(answer.body.contains("2 of 5 requests answered"), "{}", answer.body);
    assert!(answer.body.contains("somebody was faster"), "{}", answer.body);
    assert_eq!(
        answer.body.matches("There is no such request").count(),
        2,
        "what is not hers is not there: {}",
        answer.body
    );
    let done = world.carry_out_all();
    assert_eq!(done.len(), 2, "a commit each");
    assert_ne!(done[0].1, done[1].1, "one answer does not take another's place");
    for (namespace, name, has) in [("crowd", "app-000", true), ("crowd", "app-001", false), ("crowd-app", "000", true)]
    {
        assert_eq!(world.has_access(namespace, name), has, "{namespace}/{name}");
    }
    *world.host.unwelcome.lock().unwrap() = None;
    for (form, why) in [
        ("decision=deny&pick=crowd/app-001", "Give a reason"),
        ("decision=revoke&reason=No&pick=crowd/app-000", "one at a time"),
        ("decision=grant", "Choose at least one"),
        ("decision=maybe&pick=crowd/app-001", "That is no answer"),
    ] {
        let answer = ask(&world, OLGA, "/requests/answers", form).await;
        assert!(
            answer.status == StatusCode::UNPROCESSABLE_ENTITY && answer.body.contains(why),
            "{form}: {}",
            answer.body
        );
    }
    let form = "decision=deny&reason=Not+now&pick=crowd/app-001&pick=crowd/app-002&pick=crowd/app-000";
    let answer = ask(&world, OLGA, "/requests/answers", form).await;
    assert!(answer.body.contains("2 of 3 requests answered"), "{}", answer.body);
    assert!(answer.body.contains("answered already"), "{}", answer.body);
    world.carry_out_all();
    assert!(world.has_access("crowd", "app-000"), "what was granted goes on");
}

#[tokio::test]
async fn what_was_turned_down_can_be_granted_after_all_and_taken_back() {
    let mut world = World::new();
    let to = "/subscriptions/shop/web-asked";
    let no = "decision=deny&reason=We+do+not+know+you";
    ask(&world, OLGA, &format!("{to}/refuse"), no).await;
    world.carry_out_all();
    let shown = page(&world, OLGA, to).await;
    assert!(shown.body.contains("You can answer again") && shown.body.contains("Turned down"), "{}", shown.body);
    ask(&world, OLGA, &format!("{to}/grant"), "").await;
    let granted = world.carry_out_all();
    assert!(world.has_access("shop", "web-asked"));
    let again = ask(&world, OLGA, &format!("{to}/grant"), "").await;
    assert!(again.body.contains("answered already"), "{}", again.body);

    let shown = page(&world, OLGA, to).await;
    assert!(shown.body.contains("Take access back"), "{}", shown.body);
    let answer = ask(&world, OLGA, &format!("{to}/refuse"), "decision=revoke&reason=+").await;
    assert!(answer.body.contains("Give a reason"), "{}", answer.body);
    let otto = ask(&world, "otto@acme.example", &format!("{to}/refuse"), "decision=revoke&reason=No").await;
    assert_eq!(otto.status, StatusCode::FORBIDDEN, "the plan names others who decide");
    ask(&world, OLGA, &format!("{to}/refuse"), "decision=revoke&reason=Misused").await;
    let taken = world.carry_out_all();
    assert_eq!(granted[0].1, taken[0].1, "the answer that granted it says no now");
    assert!(!world.has_access("shop", "web-asked"));
    let shown = page(&world, "sara@acme.example", to).await;
    assert!(shown.body.contains("Misused"), "{}", shown.body);
    let nothing = ask(&world, OLGA, &format!("{to}/refuse"), "decision=revoke&reason=Misused").await;
    assert!(nothing.body.contains("Nothing is granted"), "{}", nothing.body);

    // What came by itself can be taken back too.
    let to = "/subscriptions/shop/web-open";
    let answer = ask(&world, "otto@acme.example", &format!("{to}/refuse"), "decision=revoke&reason=Misused").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    world.carry_out_all();
    assert!(!world.has_access("shop", "web-open"));
    ask(&world, "otto@acme.example", &format!("{to}/grant"), "").await;
    world.carry_out_all();
    assert!(world.has_access("shop", "web-open"));
}

#[tokio::test]
async fn nobody_grants_what_was_asked_for_since_they_looked() {
    let mut world = World::new();
    let scopes = json!([{ "name": "more", "mode": "Restricted" }, { "name": "all", "mode": "Restricted" }]);
    let members = json!({ "title": "Members", "scopes": scopes, "consumers": { "from": "All" } });
    let asks = |scope: &str| {
        let plan = json!({ "name": "asked", "namespace": "api" });
        let scopes = json!([{ "name": scope, "reason": "we count" }]);
        let spec = json!({ "application": { "name": "web" }, "plan": plan, "scopes": scopes });
        put(Kind::Subscription, "shop", "web-asked", spec)
    };
    world.change(vec![put(Kind::ApiProduct, "api", "members", members), asks("more")]);
    let inbox = page(&world, OLGA, "/requests").await.body;
    let seen = inbox.split("name=\"seen\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    world.change(vec![asks("all")]);
    let to = "/subscriptions/shop/web-asked/grant";
    let answer = ask(&world, OLGA, to, &format!("seen={seen}")).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.body.contains("something else than when you looked"), "{}", answer.body);
    let many = format!("decision=grant&pick=shop/web-asked&seen:shop/web-asked={seen}");
    let answer = ask(&world, OLGA, "/requests/answers", &many).await;
    assert!(answer.body.contains("something else than when you looked"), "{}", answer.body);
    assert!(world.host.wishes.lock().unwrap().is_empty());
    world.change(vec![asks("more")]);
    ask(&world, OLGA, to, &format!("seen={seen}")).await;
    world.carry_out_all();
    assert_eq!(world.granted("shop", "web-asked").unwrap().1, ["more"]);
}

#[tokio::test]
async fn whoever_decides_about_one_plan_has_no_say_about_another() {
    let mut world = World::new();
    let olgas = json!({ "mode": "Manual", "approvers": [{ "kind": "User", "name": OLGA }] });
    let other = json!({ "title": "Other", "products": [{ "name": "public" }], "approval": olgas });
    let (open, wish) = (json!({ "name": "open", "namespace": "api" }), json!({ "name": "other", "namespace": "api" }));
    let asks = json!({ "application": { "name": "web" }, "plan": open, "change": { "plan": wish } });
    world.change(vec![put(Kind::Plan, "api", "other", other), put(Kind::Subscription, "shop", "web-open", asks)]);
    let to = "/subscriptions/shop/web-open";
    let revoke = "decision=revoke&reason=No";
    for (mail, path, form) in [
        ("otto@acme.example", "grant", ""),
        ("otto@acme.example", "refuse", "decision=deny&reason=No"),
        (OLGA, "refuse", revoke),
    ] {
        let answer = ask(&world, mail, &format!("{to}/{path}"), form).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{mail} {form}: {}", answer.body);
        assert!(answer.body.contains("names others who decide"), "{}", answer.body);
    }
    assert!(world.host.wishes.lock().unwrap().is_empty());
    ask(&world, OLGA, &format!("{to}/grant"), "").await;
    world.carry_out_all();
    assert_eq!(world.granted("shop", "web-open").unwrap().0, "api/other");
}

#[tokio::test]
async fn requests_come_in_parts_and_are_counted_to_an_end() {
    let mut world = World::new();
    let count = |body: &str| {
        let rest = body.split("aria-hidden=\"true\">").skip(1).find(|rest| rest.contains(" waiting)"))?;
        rest.split('<').next().map(str::to_owned)
    };
    let shown = page(&world, OLGA, "/requests").await.body;
    assert!(shown.contains("(1 waiting)"), "{shown}");
    assert!(count(&shown).is_some());
    world.change(crowd(120));
    let shown = page(&world, OLGA, "/requests").await.body;
    assert!(shown.contains("(99+ waiting)") && shown.contains("121 requests for you"), "{shown}");
    assert!(shown.contains("Part 1 of 5") && shown.contains("App 000") && !shown.contains("App 100"), "{shown}");
    let last = page(&world, OLGA, "/requests?page=5").await.body;
    assert!(last.contains("Part 5 of 5") && !last.contains("App 000"), "{last}");
    // Those who look after it and do not decide have nothing to do.
    let otto = page(&world, "otto@acme.example", "/requests").await.body;
    assert!(!otto.contains("waiting)") && otto.contains("Waiting for somebody else"), "{otto}");
}

#[tokio::test]
async fn who_uses_an_api_is_found_by_application_and_team() {
    let mut world = World::new();
    world.change(crowd(120));
    let all = page(&world, OLGA, "/apis/api/members/subscribers").await.body;
    assert!(all.contains("121 subscriptions") && all.contains("Part 1 of 3"), "{all}");
    let one = page(&world, OLGA, "/apis/api/members/subscribers?q=app+117").await.body;
    assert!(one.contains("1 subscription found") && one.contains(">App 117<"), "{one}");
    let team = page(&world, OLGA, "/subscribers/api/asked?q=shop").await.body;
    assert!(team.contains("1 subscription found") && team.contains("/subscriptions/shop/web-asked"), "{team}");
    let part = page(&world, OLGA, "/subscribers/api/asked?q=app&page=3").await.body;
    assert!(
        part.contains("120 subscriptions found") && part.contains("?q=app&amp;page=2") && part.contains("App 119"),
        "{part}"
    );
    let none = page(&world, OLGA, "/subscribers/api/asked?q=%3Cb%3E").await.body;
    assert!(none.contains("0 subscriptions found") && !none.contains("<b>"), "{none}");
    let product = page(&world, "otto@acme.example", "/apis/api/members").await.body;
    assert!(product.contains("/apis/api/members/subscribers"), "{product}");
    let sara = page(&world, "sara@acme.example", "/apis/api/members/subscribers").await;
    assert_eq!(sara.status, StatusCode::NOT_FOUND);
}
