//! Applications: made, changed, and deleted with all that they have.

use crate::world::{World, ask, page, put};
use axum::http::StatusCode;
use portico_core::key::Kind;
use portico_portal::Edit;
use serde_json::json;

const SARA: &str = "sara@acme.example";

#[tokio::test]
async fn one_is_made_without_a_subscription() {
    let mut world = World::new();
    let form = page(&world, SARA, "/applications/new").await;
    assert!(form.body.contains("A new application"));
    for (bad, why) in
        [("title=ab", "3 characters"), ("title=Good&redirects=nowhere", "nowhere"), ("title=+++", "3 characters")]
    {
        let answer = ask(&world, SARA, "/applications/new", bad).await;
        assert!(answer.body.contains(why), "{bad}: {}", answer.body);
    }
    let answer = ask(&world, SARA, "/applications/new", "title=Web&redirects=https%3A%2F%2Fa%2Fb%0D%0A").await;
    assert_eq!(answer.header("location"), Some("/applications/shop/web-2"), "{}", answer.body);
    let wish = world.host.wishes.lock().unwrap()[0].clone();
    assert_eq!(wish.summary, "Make application Web");
    world.carry_out_all();
    let shown = page(&world, SARA, "/applications/shop/web-2").await;
    assert!(shown.body.contains("https://a/b") && shown.body.contains("It may call nothing yet"), "{}", shown.body);
    // Whoever has no team with full access makes none.
    for mail in ["sven@acme.example", "olga@acme.example"] {
        let answer = ask(&world, mail, "/applications/new", "title=Mine&team=shop%2Fshop").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{mail}");
    }
}

#[tokio::test]
async fn only_what_is_different_is_written() {
    let mut world = World::new();
    let to = "/applications/shop/web/edit";
    assert!(page(&world, SARA, to).await.body.contains("value=\"Web\""));
    assert_eq!(page(&world, "sven@acme.example", to).await.status, StatusCode::FORBIDDEN);
    ask(&world, SARA, to, "title=Web").await;
    assert!(world.host.wishes.lock().unwrap().is_empty());
    ask(&world, SARA, to, "title=Web&description=Sells.&redirects=https%3A%2F%2Fa%2Fb").await;
    assert_eq!(world.carry_out_all()[0].1, ["spec.description: \"Sells.\"", "spec.redirectUris: [\"https://a/b\"]"]);
    ask(&world, SARA, to, "title=Web+shop").await;
    let fields = ["spec.title: \"Web shop\"", "spec.description goes", "spec.redirectUris goes"];
    assert_eq!(world.carry_out_all()[0].1, fields);
}

#[tokio::test]
async fn all_that_it_has_goes_with_it() {
    let mut world = World::new();
    let spec = json!({ "application": { "name": "web" }, "environment": { "name": "local", "namespace": "platform" } });
    world.change(vec![put(Kind::Credential, "shop", "everything", spec)]);
    let to = "/applications/shop/web/delete";
    let list = page(&world, SARA, to).await;
    for named in ["web-open", "web-asked", "everything"] {
        assert!(list.body.contains(named), "{named}: {}", list.body);
    }
    let answer = ask(&world, SARA, to, "confirm=shop").await;
    assert!(answer.body.contains("Nothing has changed"), "{}", answer.body);
    assert!(world.host.wishes.lock().unwrap().is_empty());
    let answer = ask(&world, SARA, to, "confirm=web").await;
    assert_eq!(answer.header("location"), Some("/applications"));
    let wish = world.host.wishes.lock().unwrap()[0].clone();
    assert!(wish.edits.iter().all(|edit| matches!(edit, Edit::Delete(_))), "{wish:?}");
    let done = world.carry_out_all();
    assert_eq!(
        done[0].1,
        [
            "delete Credential shop/everything",
            "delete Credential shop/web-open",
            "delete Subscription shop/web-asked",
            "delete Subscription shop/web-open",
            "delete Application shop/web"
        ]
    );
    assert_eq!(page(&world, SARA, "/applications/shop/web").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_name_that_was_answered_before_is_not_used_again() {
    let mut world = World::new();
    let gone = json!({ "name": "web-members", "namespace": "shop" });
    let yes = json!({ "subscription": gone, "decision": "Granted", "grant": { "plan": { "name": "asked" } } });
    world.change(vec![
        put(Kind::Approval, "api", "old", yes),
        portico_core::batch::Change::Remove(portico_core::key::ObjectKey::new(Kind::Subscription, "shop", "web-asked")),
    ]);
    let form = "step=review&application=shop%2Fweb";
    let answer = ask(&world, SARA, "/subscribe/api/asked", form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    let done = world.carry_out_all();
    assert!(done[0].1.contains(&"put Subscription shop/web-members-2".to_owned()), "{done:?}");
    assert!(!world.has_access("shop", "web-members-2"), "an answer to another request lets nobody in");
}

#[tokio::test]
async fn many_applications_come_in_parts_and_each_once() {
    let mut world = World::new();
    let team = json!({ "title": "Second", "members": [{ "mail": SARA, "access": { "teams": "Full" } }] });
    let mut changes = vec![put(Kind::Team, "shop", "second", team)];
    for index in 0..30 {
        changes.push(put(
            Kind::Application,
            "shop",
            &format!("of-nobody-{index:02}"),
            json!({ "title": format!("Nobody {index:02}") }),
        ));
    }
    world.change(changes);
    let first = page(&world, SARA, "/applications").await.body;
    let second = page(&world, SARA, "/applications?page=2").await.body;
    assert!(first.contains("Part 1 of 2") && second.contains("Part 2 of 2"), "{first}");
    for index in 0..30 {
        let title = format!(">Nobody {index:02}<");
        assert_eq!(first.matches(&title).count() + second.matches(&title).count(), 1, "{title}");
    }
    let wizard = page(&world, SARA, "/subscribe/api/open").await.body;
    assert_eq!(wizard.matches("Nobody 00").count(), 1, "{wizard}");
}
