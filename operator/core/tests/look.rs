//! What objects say, for those who show them: indexes keep step with what is told and taken back.

use jiff::Timestamp;
use portico_core::Core;
use portico_core::batch::{Batch, Change, Object, Spec};
use portico_core::key::{Kind, Name, ObjectKey};
use serde_json::{Value, json};

fn put(kind: Kind, namespace: &str, name: &str, spec: Value) -> Change {
    fn read<T: serde::de::DeserializeOwned>(spec: Value) -> T {
        serde_json::from_value(spec).unwrap()
    }
    let spec = match kind {
        Kind::Team => Spec::Team(Box::new(read(spec))),
        Kind::Developer => Spec::Developer(Box::new(read(spec))),
        Kind::Application => Spec::Application(Box::new(read(spec))),
        Kind::ApiProduct => Spec::ApiProduct(Box::new(read(spec))),
        Kind::Plan => Spec::Plan(Box::new(read(spec))),
        Kind::Subscription => Spec::Subscription(Box::new(read(spec))),
        Kind::Approval => Spec::Approval(Box::new(read(spec))),
        other => panic!("no {other} here"),
    };
    Change::Put(Object { name: Name::new(namespace, name), generation: None, created: None, author: None, spec })
}

fn apply(core: &mut Core, changes: Vec<Change>) {
    core.apply(Batch { now: Timestamp::UNIX_EPOCH, changes, facts: Vec::new() });
}

fn names<'a>(names: impl IntoIterator<Item = &'a Name>) -> Vec<String> {
    names.into_iter().map(ToString::to_string).collect()
}

#[test]
fn people_are_found_by_their_address_whatever_its_case() {
    let mut core = Core::new();
    let team = |mail: &str| json!({ "title": "T", "members": [{ "mail": mail }] });
    apply(
        &mut core,
        vec![
            put(Kind::Team, "a", "one", team("Ada@acme.example")),
            put(Kind::Team, "b", "two", team("ada@ACME.example")),
            put(Kind::Developer, "a", "ada", json!({ "mail": "ADA@acme.example", "state": "Suspended" })),
        ],
    );
    assert_eq!(names(core.teams_of("ada@acme.example")), ["a/one", "b/two"]);
    assert_eq!(core.accounts("ada@acme.example").len(), 1);
    apply(
        &mut core,
        vec![
            put(Kind::Team, "a", "one", team("bob@acme.example")),
            Change::Remove(ObjectKey::new(Kind::Team, "b", "two")),
            Change::Remove(ObjectKey::new(Kind::Developer, "a", "ada")),
        ],
    );
    assert!(core.teams_of("ada@acme.example").is_empty());
    assert!(core.accounts("ada@acme.example").is_empty());
    assert_eq!(names(core.teams_of("bob@acme.example")), ["a/one"]);
}

#[test]
fn applications_are_of_their_team_or_of_their_namespace() {
    let mut core = Core::new();
    let with = json!({ "title": "A", "team": { "name": "one" } });
    let without = json!({ "title": "A" });
    apply(
        &mut core,
        vec![
            put(Kind::Application, "a", "with", with.clone()),
            put(Kind::Application, "a", "without", without.clone()),
            put(Kind::Application, "b", "without", without.clone()),
        ],
    );
    assert_eq!(names(core.applications_of(&Name::new("a", "one"))), ["a/with"]);
    assert_eq!(names(core.applications_without_team("a")), ["a/without"]);
    apply(&mut core, vec![put(Kind::Application, "a", "with", without), put(Kind::Application, "a", "without", with)]);
    assert_eq!(names(core.applications_of(&Name::new("a", "one"))), ["a/without"]);
    assert_eq!(names(core.applications_without_team("a")), ["a/with"]);
}

#[test]
fn a_request_waits_until_it_is_answered_or_taken_back() {
    let mut core = Core::new();
    let subscription = json!({ "application": { "name": "web" }, "plan": { "name": "plan", "namespace": "o" } });
    let approval = json!({ "mode": "Manual" });
    let plan = json!({ "title": "P", "products": [{ "name": "api" }], "approval": approval });
    apply(
        &mut core,
        vec![
            put(Kind::ApiProduct, "o", "api", json!({ "title": "A", "consumers": { "from": "All" } })),
            put(Kind::Plan, "o", "plan", plan.clone()),
            put(Kind::Application, "c", "web", json!({ "title": "W" })),
            put(Kind::Subscription, "c", "one", subscription.clone()),
            put(
                Kind::Subscription,
                "c",
                "broken",
                json!({ "application": { "name": "none" }, "plan": { "name": "plan", "namespace": "o" } }),
            ),
        ],
    );
    let one = Name::new("c", "one");
    assert_eq!(names(core.requests()), ["c/one"], "what its own side has to mend first waits for nobody");
    let plan_name = Name::new("o", "plan");
    let of_plan = |core: &Core| (names(core.requests_to(&plan_name)), names(core.refused_to(&plan_name)));
    let nobody: Vec<String> = Vec::new();
    assert_eq!(of_plan(&core), (vec!["c/one".to_owned()], nobody.clone()));
    let answer = |decision: Value| {
        let mut spec = json!({ "subscription": { "name": "one", "namespace": "c" }, "by": "olga@acme.example" });
        spec.as_object_mut().unwrap().extend(decision.as_object().unwrap().clone());
        put(Kind::Approval, "o", "answer", spec)
    };
    apply(&mut core, vec![answer(json!({ "decision": "Denied", "reason": "no" }))]);
    assert!(!core.asks(&one) && core.is_refused(&one));
    assert_eq!(of_plan(&core), (nobody.clone(), vec!["c/one".to_owned()]), "it may be answered again");
    apply(&mut core, vec![Change::Remove(ObjectKey::new(Kind::Approval, "o", "answer"))]);
    assert!(core.asks(&one) && !core.is_refused(&one));
    let other = json!({ "application": { "name": "web" }, "plan": { "name": "other", "namespace": "o" } });
    apply(&mut core, vec![put(Kind::Plan, "o", "other", plan.clone()), put(Kind::Subscription, "c", "one", other)]);
    assert_eq!(of_plan(&core).0, nobody, "it asks for another");
    assert_eq!(names(core.requests_to(&Name::new("o", "other"))), ["c/one"]);
    apply(&mut core, vec![put(Kind::Subscription, "c", "one", subscription)]);
    assert_eq!(of_plan(&core).0, ["c/one"]);
    apply(&mut core, vec![answer(json!({ "decision": "Granted", "grant": { "plan": { "name": "plan" } } }))]);
    assert!(!core.asks(&one));
    apply(&mut core, vec![Change::Remove(ObjectKey::new(Kind::Approval, "o", "answer"))]);
    apply(&mut core, vec![Change::Remove(ObjectKey::new(Kind::Subscription, "c", "one"))]);
    assert!(!core.asks(&one));
    assert_eq!(of_plan(&core), (nobody.clone(), nobody));
}
