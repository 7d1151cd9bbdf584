//! Rules that an API server enforces, run here by an interpreter of the same language.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::cel::Validator;
use serde_json::{Value, json};

use crate::all;

fn definition(kind: &str) -> CustomResourceDefinition {
    all().into_iter().find(|definition| definition.spec.names.kind == kind).unwrap()
}

/// The messages of the rules that a spec breaks.
pub(super) fn broken(kind: &str, spec: &Value, old: Option<&Value>) -> Vec<String> {
    let schema = definition(kind).spec.versions.remove(0).schema.unwrap().open_api_v3_schema.unwrap();
    let schema = serde_json::to_value(schema).unwrap();
    let object = |spec: &Value| json!({"apiVersion": "portico.dev/v1alpha1", "kind": kind, "spec": spec});
    match Validator::new().validate(&schema, &object(spec), old.map(object).as_ref()) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn good(kind: &str, spec: &Value) {
    assert_eq!(broken(kind, spec, None), Vec::<String>::new(), "{spec}");
}

#[track_caller]
fn bad(kind: &str, spec: &Value, message: &str) {
    let found = broken(kind, spec, None);
    assert!(found.iter().any(|found| found.contains(message)), "{spec}: {found:?}");
}

#[track_caller]
fn bad_change(kind: &str, old: &Value, new: &Value, message: &str) {
    let found = broken(kind, new, Some(old));
    assert!(found.iter().any(|found| found.contains(message)), "{old} -> {new}: {found:?}");
    assert_eq!(broken(kind, old, Some(old)), Vec::<String>::new(), "{old}");
}

#[test]
fn an_environment_has_one_gateway() {
    let spec = |gateway: Value| json!({"stage": "Production", "gateway": gateway});
    let kuadrant = json!({"gateway": {"name": "a"}});
    good("Environment", &spec(json!({"kuadrant": kuadrant})));
    bad("Environment", &spec(json!({})), "exactly one");
    bad("Environment", &spec(json!({"kuadrant": kuadrant, "kong": kuadrant})), "exactly one");
}

#[test]
fn a_lifecycle_is_in_order() {
    let spec = |lifecycle: Value| json!({"title": "A", "lifecycle": lifecycle});
    good("ApiProduct", &spec(json!({"stage": "Published"})));
    good(
        "ApiProduct",
        &spec(json!({
            "stage": "Deprecated", "deprecatedAt": "2026-01-01T00:00:00Z", "sunsetAt": "2026-07-01T00:00:00Z"
        })),
    );
    bad("ApiProduct", &spec(json!({"stage": "Published", "sunsetAt": "2026-07-01T00:00:00Z"})), "needs stage");
    bad(
        "ApiProduct",
        &spec(json!({
            "stage": "Deprecated", "deprecatedAt": "2026-07-01T00:00:00Z", "sunsetAt": "2026-01-01T00:00:00Z"
        })),
        "must be later",
    );
}

#[test]
fn consumers_and_audiences_go_with_their_lists() {
    let consumers = |consumers: Value| json!({"title": "A", "consumers": consumers});
    good("ApiProduct", &consumers(json!({"from": "All"})));
    good("ApiProduct", &consumers(json!({"from": "Selected", "namespaces": ["web"]})));
    bad("ApiProduct", &consumers(json!({"from": "Selected"})), "from: Selected");
    bad("ApiProduct", &consumers(json!({"from": "All", "namespaces": ["web"]})), "from: Selected");

    let visibility = |visibility: Value| json!({"title": "A", "visibility": visibility});
    good("ApiProduct", &visibility(json!({"audience": "Teams", "groups": ["staff"]})));
    bad("ApiProduct", &visibility(json!({"audience": "Teams"})), "audience Teams");
    bad("ApiProduct", &visibility(json!({"audience": "Public", "teams": [{"name": "web"}]})), "audience Teams");
}

#[test]
fn a_document_comes_from_one_place() {
    let spec = |openapi: Value| json!({"title": "A", "versions": [{"name": "v1", "openapi": openapi}]});
    good("ApiProduct", &spec(json!({"path": "openapi.yaml"})));
    bad("ApiProduct", &spec(json!({})), "exactly one");
    bad("ApiProduct", &spec(json!({"path": "openapi.yaml", "inline": "{}"})), "exactly one");
}

#[test]
fn cookies_need_named_origins() {
    let spec = |cors: Value| {
        let endpoint = json!({"environment": {"name": "a"}, "upstream": {"url": "http://a"}, "cors": cors});
        json!({"title": "A", "endpoints": [endpoint]})
    };
    good("ApiProduct", &spec(json!({"allowCredentials": true, "allowOrigins": ["https://a.example"]})));
    good("ApiProduct", &spec(json!({"allowCredentials": false, "allowOrigins": ["*"]})));
    bad("ApiProduct", &spec(json!({"allowCredentials": true, "allowOrigins": ["*"]})), "origin *");
}

#[test]
fn a_plan_makes_sense() {
    let spec = |field: &str, value: Value| json!({"title": "A", "products": [{"name": "a"}], field: value});
    good("Plan", &spec("limits", json!([{"requests": 1, "per": "Minute", "methods": ["POST"]}])));
    bad(
        "Plan",
        &spec("limits", json!([{"requests": 1, "per": "Minute", "methods": ["POST"], "operations": ["pay"]}])),
        "not for both",
    );
    good("Plan", &spec("security", json!({"type": "ApiKey", "apiKey": {}})));
    good("Plan", &spec("security", json!({"type": "ClientCredentials", "oauth": {}})));
    bad("Plan", &spec("security", json!({"type": "ApiKey", "oauth": {}})), "oauth needs type");
    bad("Plan", &spec("security", json!({"type": "PrivateKeyJwt", "apiKey": {}})), "apiKey needs type");
    let contract = json!({"text": "Tailored", "callToAction": "Talk to us", "url": "mailto:sales@acme.example"});
    good("Plan", &spec("contract", contract.clone()));
    let mut both = spec("contract", contract);
    both["price"] = json!({"currency": "EUR", "amount": "5"});
    bad("Plan", &both, "no price");
}

#[test]
fn choices_need_a_choice() {
    let spec = |field: Value| json!({"title": "A", "registration": {"fields": [field]}});
    good("Portal", &spec(json!({"name": "a", "title": "A", "kind": "Choice", "choices": ["x"]})));
    bad("Portal", &spec(json!({"name": "a", "title": "A", "kind": "Choice"})), "kind Choice");
    bad("Portal", &spec(json!({"name": "a", "title": "A", "kind": "Text", "choices": ["x"]})), "kind Choice");
}

#[test]
fn an_application_keeps_its_authentication() {
    let key = json!({"title": "A", "authentication": "ApiKey"});
    let external = json!({"title": "A", "authentication": "ExternalClient", "externalClientId": "a"});
    good("Application", &key);
    good("Application", &external);
    bad("Application", &json!({"title": "A", "authentication": "ApiKey", "externalClientId": "a"}), "ExternalClient");
    bad("Application", &json!({"title": "A", "authentication": "ExternalClient"}), "ExternalClient");
    bad_change("Application", &key, &external, "cannot be changed");
}

#[test]
fn a_subscription_keeps_its_application() {
    let spec = |application: &str| json!({"application": {"name": application}, "plan": {"name": "free"}});
    bad_change("Subscription", &spec("shop"), &spec("app"), "cannot be changed");
}

#[test]
fn a_credential_has_one_owner_and_goes_up() {
    let spec = |owner: &str, name: &str, generation: i64| json!({owner: {"name": name}, "environment": {"name": "local"}, "generation": generation});
    good("Credential", &spec("subscription", "a", 1));
    good("Credential", &spec("application", "a", 1));
    bad("Credential", &json!({"environment": {"name": "local"}, "generation": 1}), "exactly one");
    bad(
        "Credential",
        &json!({
            "application": {"name": "a"}, "subscription": {"name": "a"}, "environment": {"name": "local"}, "generation": 1
        }),
        "exactly one",
    );
    let old = spec("subscription", "a", 2);
    assert_eq!(broken("Credential", &spec("subscription", "a", 3), Some(&old)), Vec::<String>::new());
    bad_change("Credential", &old, &spec("subscription", "a", 1), "cannot go down");
    bad_change("Credential", &old, &spec("subscription", "b", 2), "subscription cannot be changed");
    bad_change("Credential", &old, &spec("application", "a", 2), "cannot be changed");
}

#[test]
fn a_key_lives_for_some_time() {
    let plan =
        |lifetime: &str| json!({"title": "a", "products": [{"name": "a"}], "credentials": {"lifetime": lifetime}});
    good("Plan", &plan("90d"));
    bad("Plan", &plan("0d"), "lifetime must be longer than no time");
    let credential =
        |every: &str| json!({"application": {"name": "a"}, "environment": {"name": "a"}, "rotateEvery": every});
    good("Credential", &credential("1h30m"));
    bad("Credential", &credential("0h0m"), "rotateEvery must be longer than no time");
}

#[test]
fn an_approval_grants_or_gives_a_reason() {
    let spec = |decision: &str, field: &str, value: Value| json!({"subscription": {"name": "a", "namespace": "b"}, "decision": decision, field: value});
    let grant = json!({"plan": {"name": "gold"}});
    good("Approval", &spec("Granted", "grant", grant.clone()));
    good("Approval", &spec("Denied", "reason", json!("no")));
    bad("Approval", &spec("Granted", "reason", json!("no")), "grant must be given");
    bad("Approval", &spec("Denied", "grant", grant.clone()), "reason must be given");
    let old = spec("Granted", "grant", grant);
    let mut new = old.clone();
    new["subscription"]["name"] = json!("c");
    bad_change("Approval", &old, &new, "cannot be changed");
}

#[test]
fn what_was_cancelled_stays_so() {
    let schema = definition("Subscription").spec.versions.remove(0).schema.unwrap().open_api_v3_schema.unwrap();
    let schema = serde_json::to_value(schema).unwrap();
    let object = |phase: &str, end: Option<&str>| {
        let mut spec = json!({"application": {"name": "a"}, "plan": {"name": "p"}});
        if let Some(end) = end {
            spec["cancelAt"] = json!(end);
        }
        json!({"apiVersion": "portico.dev/v1alpha1", "kind": "Subscription", "spec": spec, "status": {"phase": phase}})
    };
    let accepts = |old: &Value, new: &Value| Validator::new().validate(&schema, new, Some(old)).is_ok();
    let (past, future) = (Some("2026-01-01T00:00:00Z"), Some("2090-01-01T00:00:00Z"));
    assert!(accepts(&object("Active", None), &object("Active", past)));
    assert!(accepts(&object("PendingCancellation", future), &object("PendingCancellation", None)));
    assert!(accepts(&object("PendingCancellation", past), &object("Cancelled", past)), "a status is written");
    assert!(!accepts(&object("Cancelled", past), &object("Cancelled", None)));
    assert!(!accepts(&object("Cancelled", past), &object("Cancelled", future)));
}
