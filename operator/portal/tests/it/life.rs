//! A subscription's life from its page: what its team may do as it stands, what that writes, and what is refused.

use crate::world::{World, ask, page, put};
use axum::http::StatusCode;
use portico_core::key::Kind;
use serde_json::{Value, json};

const OPEN: &str = "/subscriptions/shop/web-open";

async fn takes(world: &mut World, form: &str, writes: &[&str]) {
    let answer = ask(world, "sara@acme.example", &format!("{OPEN}/life"), form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{form}: {}", answer.body);
    let done = world.carry_out_all();
    assert_eq!(done.len(), 1, "{form}");
    assert_eq!(done[0].1, writes, "{form}");
}

async fn refuses(world: &World, form: &str, why: &str) {
    let answer = ask(world, "sara@acme.example", &format!("{OPEN}/life"), form).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{form}");
    assert!(answer.body.contains(why), "{form}: {}", answer.body);
    assert!(world.host.wishes.lock().unwrap().is_empty(), "{form}");
}

#[tokio::test]
async fn it_rests_and_goes_on() {
    let mut world = World::new();
    refuses(&world, "what=resume", "It is not paused").await;
    takes(&mut world, "what=pause", &["spec.suspend: true"]).await;
    assert!(!world.has_access("shop", "web-open"));
    let shown = page(&world, "sara@acme.example", OPEN).await;
    assert!(shown.body.contains(">Resume<") && !shown.body.contains(">Pause<"));
    refuses(&world, "what=pause", "Only what is active can be paused").await;
    takes(&mut world, "what=resume", &["spec.suspend goes"]).await;
    assert!(world.has_access("shop", "web-open"));
    refuses(&world, "what=delete", "cannot be done").await;
    // Those who only read are offered nothing, and may send nothing.
    let sven = page(&world, "sven@acme.example", OPEN).await;
    assert!(sven.status == StatusCode::OK && !sven.body.contains(">Pause<"));
    let answer = ask(&world, "sven@acme.example", &format!("{OPEN}/life"), "what=pause").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_end_is_set_and_taken_back_until_it_has_come() {
    let mut world = World::new();
    refuses(&world, "what=go-on", "No end was set").await;
    for day in ["", "1969-12-31", "soon"] {
        refuses(&world, &format!("what=end-later&day={day}"), "Choose a day").await;
    }
    takes(&mut world, "what=end-later&day=2030-06-01", &["spec.cancelAt: \"2030-06-01T23:59:59Z\""]).await;
    let shown = page(&world, "sara@acme.example", OPEN).await;
    assert!(shown.body.contains("Active, ends soon") && shown.body.contains("Let it go on"), "{}", shown.body);
    takes(&mut world, "what=go-on", &["spec.cancelAt goes"]).await;

    let plan = json!({ "name": "open", "namespace": "api" });
    let over = json!({ "application": { "name": "web" }, "plan": plan, "cancelAt": "1970-01-01T00:00:00Z" });
    world.change(vec![put(Kind::Subscription, "shop", "web-open", over)]);
    let shown = page(&world, "sara@acme.example", OPEN).await;
    assert!(!shown.body.contains("What you can do") && !shown.body.contains("Cancel the subscription"));
    for what in ["pause", "resume", "go-on", "end-later&day=2030-06-01", "go-live", "stay-in-sandbox", "keep-plan"] {
        refuses(&world, &format!("what={what}"), "does not begin again").await;
    }
    for page_of in ["plan", "scopes"] {
        let answer = page(&world, "sara@acme.example", &format!("{OPEN}/{page_of}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{page_of}");
    }
    let again = ask(&world, "sara@acme.example", &format!("{OPEN}/cancel"), "confirm=web-open").await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "it was cancelled already");
}

/// A plan of the product that everybody sees.
fn plan(title: &str, more: &Value) -> Value {
    let mut plan = json!({ "title": title, "products": [{ "name": "public" }] });
    plan.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    plan
}

#[tokio::test]
async fn another_plan_is_asked_for_and_the_old_one_serves_until_it_is_granted() {
    let mut world = World::new();
    let limits = json!([{ "requests": 7, "per": "Minute" }]);
    let terms = json!({ "version": "v 2", "text": "Be *kind*." });
    world.change(vec![
        put(
            Kind::Plan,
            "api",
            "more",
            plan("More", &json!({ "changeMode": "Request", "terms": terms, "limits": limits })),
        ),
        put(Kind::Plan, "api", "direct", plan("Direct", &json!({}))),
        put(Kind::Plan, "api", "closed", plan("Closed", &json!({ "changeMode": "None" }))),
        put(Kind::Plan, "api", "old", plan("Old", &json!({ "lifecycle": { "stage": "Deprecated" } }))),
        put(Kind::Plan, "api", "draft", plan("Draft", &json!({ "lifecycle": { "stage": "Draft" } }))),
    ]);
    let list = page(&world, "sara@acme.example", &format!("{OPEN}/plan")).await;
    assert!(list.body.contains("Choose More") && list.body.contains("Choose Direct"), "{}", list.body);
    for hidden in ["Choose Open", "Choose Closed", "Choose Old", "Choose Draft"] {
        assert!(!list.body.contains(hidden), "{hidden}");
    }
    assert!(list.body.contains("7 requests a minute") && list.body.contains("As many requests as you like"));
    let last = page(&world, "sara@acme.example", &format!("{OPEN}/plan?to=api%2Fmore")).await;
    assert!(last.body.contains("Be <em>kind</em>.") && last.body.contains("plan Open serves"), "{}", last.body);

    let sends = |form: &'static str| format!("plan=api%2F{form}");
    for (form, why) in
        [("more", "have to be accepted"), ("more&terms=v1", "have to be accepted"), ("closed", "cannot go")]
    {
        let answer = ask(&world, "sara@acme.example", &format!("{OPEN}/plan"), &sends(form)).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{form}");
        assert!(answer.body.contains(why), "{form}: {}", answer.body);
    }
    let answer = ask(&world, "sara@acme.example", &format!("{OPEN}/plan"), &sends("more&terms=v+2")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    let written = "spec.change: {\"acceptedTerms\":\"v 2\",\"plan\":{\"name\":\"more\",\"namespace\":\"api\"}}";
    assert_eq!(world.carry_out_all()[0].1, [written]);
    assert_eq!(world.granted("shop", "web-open").unwrap().0, "api/open", "it serves until the other is granted");
    let shown = page(&world, "sara@acme.example", OPEN).await;
    assert!(shown.body.contains("It asks for plan More") && shown.body.contains("Stay on Open"), "{}", shown.body);
    let again = ask(&world, "sara@acme.example", &format!("{OPEN}/plan"), &sends("more&terms=v+2")).await;
    assert!(again.body.contains("already"), "{}", again.body);

    // It is taken back, and asked for again.
    takes(&mut world, "what=keep-plan", &["spec.change goes"]).await;
    refuses(&world, "what=keep-plan", "It asks for no other plan").await;
    ask(&world, "sara@acme.example", &format!("{OPEN}/plan"), &sends("more&terms=v+2")).await;
    world.carry_out_all();

    let inbox = page(&world, "otto@acme.example", "/requests").await;
    assert!(inbox.body.contains("wants to change its plan") && inbox.body.contains("No longer"), "{}", inbox.body);
    let answer = ask(&world, "otto@acme.example", &format!("{OPEN}/grant"), "").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    world.carry_out_all();
    assert_eq!(world.granted("shop", "web-open").unwrap().0, "api/more");

    // The next change leaves from there.
    ask(&world, "sara@acme.example", &format!("{OPEN}/plan"), &sends("direct")).await;
    let done = world.carry_out_all();
    assert_eq!(
        done[0].1,
        [
            "spec.plan: {\"name\":\"more\",\"namespace\":\"api\"}",
            "spec.acceptedTerms: \"v 2\"",
            "spec.change: {\"plan\":{\"name\":\"direct\",\"namespace\":\"api\"}}"
        ]
    );
    assert_eq!(done[0].0, "Web: change Public from plan More to Direct");
    assert_eq!(world.granted("shop", "web-open").unwrap().0, "api/direct", "nobody has to be asked");
}

#[tokio::test]
async fn a_request_that_waits_can_ask_for_another_plan_instead() {
    let mut world = World::new();
    let other = json!({ "title": "Other", "products": [{ "name": "members" }], "approval": { "mode": "Manual" } });
    world.change(vec![put(Kind::Plan, "api", "other", other)]);
    let asked = "/subscriptions/shop/web-asked/plan";
    let answer = ask(&world, "sara@acme.example", asked, "plan=api%2Fother").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    let written = ["spec.plan: {\"name\":\"other\",\"namespace\":\"api\"}", "spec.acceptedTerms goes"];
    assert_eq!(world.carry_out_all()[0].1, written);
}

#[tokio::test]
async fn scopes_are_asked_for_with_a_reason_and_given_up() {
    let mut world = World::new();
    let scopes = json!([
        { "name": "read", "mode": "Active" },
        { "name": "write", "title": "Write things", "mode": "Optional" },
        { "name": "export", "title": "Export things", "mode": "Restricted" },
    ]);
    let product = json!({ "title": "Public", "scopes": scopes, "consumers": { "from": "All" } });
    world.change(vec![put(Kind::ApiProduct, "api", "public", product)]);
    let to = format!("{OPEN}/scopes");
    let form = page(&world, "sara@acme.example", &to).await;
    assert!(form.body.contains("Write things") && form.body.contains("Export things") && !form.body.contains(">read<"));
    let answer = ask(&world, "sara@acme.example", &to, "scope=export&scope=write&reason:export=+").await;
    assert!(answer.body.contains("Say what you need “Export things” for"), "{}", answer.body);
    assert!(world.host.wishes.lock().unwrap().is_empty());
    ask(&world, "sara@acme.example", &to, "scope=export&scope=write&reason:export=We+count&scope=admin").await;
    let written = "spec.scopes: [{\"name\":\"write\"},{\"name\":\"export\",\"reason\":\"We count\"}]";
    assert_eq!(world.carry_out_all()[0].1, [written], "what the plan has not is not asked for");
    assert_eq!(world.granted("shop", "web-open").unwrap().1, ["read", "write"], "one waits");
    let shown = page(&world, "sara@acme.example", OPEN).await;
    assert!(shown.body.contains("It asks for more scopes"), "{}", shown.body);
    // Nothing is different: nothing is written.
    ask(&world, "sara@acme.example", &to, "scope=export&scope=write&reason:export=We+count").await;
    assert!(world.host.wishes.lock().unwrap().is_empty());
    let inbox = page(&world, "otto@acme.example", "/requests").await;
    assert!(inbox.body.contains("wants more") && inbox.body.contains("We count"), "{}", inbox.body);
    assert!(inbox.body.contains("Scope “Export things”"), "{}", inbox.body);
    ask(&world, "otto@acme.example", &format!("{OPEN}/grant"), "").await;
    world.carry_out_all();
    assert_eq!(world.granted("shop", "web-open").unwrap().1, ["export", "read", "write"]);

    // Its owner takes one of them back: all else goes on, and it is told why.
    let shown = page(&world, "otto@acme.example", OPEN).await;
    assert!(shown.body.contains("Take scopes back") && !shown.body.contains("value=\"write\""), "{}", shown.body);
    let back = format!("{OPEN}/refuse");
    for (form, why) in [
        ("decision=fewer&reason=No", "at least one scope"),
        ("decision=fewer&scope=export", "Give a reason"),
        ("decision=fewer&scope=read&reason=No", "None of these"),
    ] {
        let answer = ask(&world, "otto@acme.example", &back, form).await;
        assert!(answer.body.contains(why), "{form}: {}", answer.body);
    }
    ask(&world, "otto@acme.example", &back, "decision=fewer&scope=export&reason=You+count+too+much").await;
    world.carry_out_all();
    assert_eq!(world.granted("shop", "web-open").unwrap().1, ["read", "write"]);
    let shown = page(&world, "sara@acme.example", OPEN).await;
    assert!(shown.body.contains("You count too much"), "{}", shown.body);
    ask(&world, "otto@acme.example", &format!("{OPEN}/grant"), "").await;
    world.carry_out_all();
    assert_eq!(world.granted("shop", "web-open").unwrap().1, ["export", "read", "write"], "and gives it again");
    ask(&world, "sara@acme.example", &to, "").await;
    assert_eq!(world.carry_out_all()[0].1, ["spec.scopes goes"]);
    assert_eq!(world.granted("shop", "web-open").unwrap().1, ["read"], "given up at once");
}

#[tokio::test]
async fn it_goes_live_once_its_owner_lets_it() {
    let mut world = World::new();
    world.change(vec![put(Kind::Plan, "api", "open", plan("Open", &json!({ "sandbox": { "required": true } })))]);
    refuses(&world, "what=stay-in-sandbox", "does not ask").await;
    takes(&mut world, "what=go-live", &["spec.goLive: true"]).await;
    let shown = page(&world, "sara@acme.example", OPEN).await;
    assert!(shown.body.contains("Sandbox, asks to go live") && shown.body.contains("Take that back"), "{}", shown.body);
    refuses(&world, "what=go-live", "already").await;
    takes(&mut world, "what=stay-in-sandbox", &["spec.goLive goes"]).await;
    takes(&mut world, "what=go-live", &["spec.goLive: true"]).await;

    let inbox = page(&world, "otto@acme.example", "/requests").await;
    assert!(inbox.body.contains("wants to go live") && inbox.body.contains("In the sandbox only"), "{}", inbox.body);
    let no = "decision=changes&reason=Say+what+it+is+for";
    let answer = ask(&world, "otto@acme.example", &format!("{OPEN}/refuse"), no).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    world.carry_out_all();
    let shown = page(&world, "sara@acme.example", OPEN).await;
    assert!(shown.body.contains("Say what it is for") && shown.body.contains("changes asked for"), "{}", shown.body);

    // It does not wait any more, and is answered again from its page.
    let waiting = page(&world, "otto@acme.example", "/requests").await;
    assert!(waiting.body.contains("Nothing waits for you"), "{}", waiting.body);
    let refused = page(&world, "otto@acme.example", "/requests?show=refused").await;
    assert!(refused.body.contains("wants to go live"), "{}", refused.body);
    let shown = page(&world, "otto@acme.example", OPEN).await;
    assert!(shown.body.contains("You can answer again"), "{}", shown.body);
    let answer = ask(&world, "otto@acme.example", &format!("{OPEN}/grant"), "from=subscription").await;
    assert_eq!(answer.header("location"), Some(OPEN));
    world.carry_out_all();
    let shown = page(&world, "sara@acme.example", OPEN).await;
    assert!(!shown.body.contains("Sandbox"), "{}", shown.body);
    refuses(&world, "what=go-live", "It is live already").await;
}

#[tokio::test]
async fn terms_that_have_changed_are_accepted_as_they_are_now() {
    let mut world = World::new();
    let with =
        |version: &str| put(Kind::Plan, "api", "open", plan("Open", &json!({ "terms": { "version": version } })));
    world.change(vec![with("one")]);
    assert!(!world.has_access("shop", "web-open"));
    let shown = page(&world, "sara@acme.example", OPEN).await;
    assert!(shown.body.contains("Accept the terms, version one"), "{}", shown.body);
    world.change(vec![with("two")]);
    refuses(&world, "what=accept-terms&version=one", "have changed since").await;
    refuses(&world, "what=accept-terms", "were not accepted").await;
    takes(&mut world, "what=accept-terms&version=two", &["spec.acceptedTerms: \"two\""]).await;
    assert!(world.has_access("shop", "web-open"));
    refuses(&world, "what=accept-terms&version=two", "no terms to accept").await;
}

#[tokio::test]
async fn terms_of_a_plan_that_it_has_gone_to_are_accepted_where_that_is_written() {
    let mut world = World::new();
    let with =
        |version: &str| put(Kind::Plan, "api", "direct", plan("Direct", &json!({ "terms": { "version": version } })));
    world.change(vec![with("one")]);
    ask(&world, "sara@acme.example", &format!("{OPEN}/plan"), "plan=api%2Fdirect&terms=one").await;
    world.carry_out_all();
    assert_eq!(world.granted("shop", "web-open").unwrap().0, "api/direct");
    world.change(vec![with("two")]);
    let shown = page(&world, "sara@acme.example", OPEN).await;
    assert!(shown.body.contains("Accept the terms, version two"), "{}", shown.body);
    takes(&mut world, "what=accept-terms&version=two", &["spec.change.acceptedTerms: \"two\""]).await;
    assert_eq!(world.granted("shop", "web-open").unwrap().0, "api/direct");
}
