//! Who asked and who decided is what the API server itself says.

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, Error, ResourceExt};
use portico_tests::cluster::{block_on, unique};
use serde_json::{Value, json};

use crate::site::{SYNC, application, approval, client, refusal, site};

const REQUESTED_BY: &str = "portico.dev/requested-by";
const DECIDED_BY: &str = "portico.dev/decided-by";
const DECIDED_BY_GROUPS: &str = "portico.dev/decided-by-groups";

fn dora() -> Client {
    client("dora@acme.example", &["shop-developers"])
}

fn olga() -> Client {
    client("olga@acme.example", &["orders-owners"])
}

fn otto() -> Client {
    client("otto@acme.example", &["orders-owners"])
}

fn sync() -> Client {
    client(SYNC, &["system:serviceaccounts"])
}

fn apply(client: &Client, namespace: &str, yaml: &str) -> Result<DynamicObject, Error> {
    site().try_apply(client, namespace, yaml).map(|mut objects| objects.pop().expect("one object"))
}

/// A change as `kubectl patch` makes it.
fn merge(client: &Client, object: &DynamicObject, change: &Value) -> Result<DynamicObject, Error> {
    let kind = &object.types.as_ref().expect("an object has a kind").kind;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("portico.dev", "v1alpha1", kind));
    let namespace = object.namespace().expect("it has a namespace");
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
    block_on(api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(change)))
}

fn by(object: &DynamicObject) -> &str {
    object.data["spec"]["by"].as_str().unwrap_or_default()
}

/// Whom the API server saw deciding.
fn decider(object: &DynamicObject) -> &str {
    object.annotations().get(DECIDED_BY).map_or("", String::as_str)
}

fn requester(object: &DynamicObject) -> &str {
    object.annotations().get(REQUESTED_BY).map_or("", String::as_str)
}

#[test]
fn who_asks_is_written_down_and_stays() {
    let name = unique("request");
    let subscription = format!(
        "{{apiVersion: portico.dev/v1alpha1, kind: Subscription, metadata: {{name: {name}, annotations: {{a: b}}}}, \
         spec: {{application: {{name: a}}, plan: {{name: standard, namespace: orders}}}}}}"
    );
    let credential = format!(
        "{{apiVersion: portico.dev/v1alpha1, kind: Credential, metadata: {{name: {name}}}, \
         spec: {{subscription: {{name: {name}}}, environment: {{name: production, namespace: platform}}}}}}"
    );
    for text in [subscription, credential, application(&name, "")] {
        let made = apply(&dora(), "shop", &text).expect("she may");
        assert_eq!(requester(&made), "dora@acme.example");

        let dana = client("dana@acme.example", &["shop-developers"]);
        let again = apply(&dana, "shop", &text).expect("the same file, applied by somebody else");
        assert_eq!(requester(&again), "dora@acme.example");
        let changed = merge(&dana, &made, &json!({"metadata": {"labels": {"c": "d"}}})).expect("she may");
        assert_eq!(requester(&changed), "dora@acme.example");

        let dropped = merge(&dana, &made, &json!({"metadata": {"annotations": {REQUESTED_BY: null}}}));
        assert_eq!(requester(&dropped.expect("it comes back")), "dora@acme.example");
        let status =
            refusal(merge(&dora(), &made, &json!({"metadata": {"annotations": {REQUESTED_BY: "dana@acme.example"}}})));
        assert_eq!(status.code, 422);
        assert!(status.message.contains("is dora@acme.example, and stays so"), "{}", status.message);

        let told = merge(&sync(), &made, &json!({"metadata": {"annotations": {REQUESTED_BY: "git@acme.example"}}}));
        assert_eq!(requester(&told.expect("what Git says stands")), "git@acme.example");
    }
}

#[test]
fn nobody_asks_in_the_name_of_another() {
    let name = unique("claim");
    let claim = |who: &str| application(&name, &format!(", annotations: {{{REQUESTED_BY}: '{who}'}}"));
    let status = refusal(apply(&dora(), "shop", &claim("dana@acme.example")));
    assert!(status.message.contains("leave it out, or write dora@acme.example"), "{}", status.message);
    let made = apply(&dora(), "shop", &claim("dora@acme.example")).expect("it is true");
    assert_eq!(requester(&made), "dora@acme.example");

    let name = unique("claim");
    let claim = application(&name, &format!(", annotations: {{{REQUESTED_BY}: git@acme.example}}"));
    assert_eq!(requester(&apply(&sync(), "shop", &claim).expect("what Git says stands")), "git@acme.example");
    let name = unique("claim");
    assert_eq!(requester(&apply(&sync(), "shop", &application(&name, "")).expect("Git does not say")), SYNC);
}

#[test]
fn who_decides_is_written_down() {
    let name = unique("decision");
    let made = apply(&olga(), "orders", &approval(&name, "")).expect("she may");
    assert_eq!(by(&made), "olga@acme.example");
    // The same file, and what does not touch the decision, leave it hers.
    assert_eq!(by(&apply(&otto(), "orders", &approval(&name, "")).expect("nothing changes")), "olga@acme.example");
    let labelled = merge(&otto(), &made, &json!({"metadata": {"labels": {"a": "b"}}})).expect("he may");
    assert_eq!(by(&labelled), "olga@acme.example");

    for change in [
        json!({"spec": {"grant": {"scopes": ["orders:track"]}}}),
        json!({"spec": {"decision": "Denied", "grant": null, "reason": "Not now."}}),
    ] {
        let changed = merge(&otto(), &made, &change).expect("he may");
        assert_eq!(by(&changed), "otto@acme.example");
        let changed = merge(
            &olga(),
            &made,
            &json!({"spec": {"reason": null, "decision": "Granted",
            "grant": {"plan": {"name": "standard"}, "scopes": []}}}),
        );
        assert_eq!(by(&changed.expect("she may")), "olga@acme.example");
    }
}

#[test]
fn nobody_decides_in_the_name_of_another() {
    let name = unique("forgery");
    let status = refusal(apply(&olga(), "orders", &approval(&name, "by: otto@acme.example")));
    assert!(status.message.contains("leave it out, or write olga@acme.example"), "{}", status.message);
    // Mail addresses are the same in capitals.
    let made = apply(&olga(), "orders", &approval(&name, "by: Olga@acme.example")).expect("it is true");
    assert_eq!(by(&made), "Olga@acme.example");

    let status = refusal(merge(&olga(), &made, &json!({"spec": {"by": "otto@acme.example"}})));
    assert!(status.message.contains("Olga@acme.example, who decided this, and stays so"), "{}", status.message);
    let status = refusal(merge(&otto(), &made, &json!({"spec": {"by": "otto@acme.example"}})));
    assert!(status.message.contains("stays so"), "{}", status.message);
    let dropped = merge(&otto(), &made, &json!({"spec": {"by": null}}));
    assert_eq!(by(&dropped.expect("it comes back")), "Olga@acme.example");
    let forged = json!({"spec": {"by": "sven@acme.example", "grant": {"scopes": ["orders:track"]}}});
    let status = refusal(merge(&otto(), &made, &forged));
    assert!(status.message.contains("write otto@acme.example"), "{}", status.message);
}

#[test]
fn what_git_says_stands() {
    let name = unique("git");
    let made = apply(&sync(), "orders", &approval(&name, "by: sven@acme.example")).expect("what Git says stands");
    assert_eq!(by(&made), "sven@acme.example");
    let changed = json!({"spec": {"by": "olga@acme.example", "grant": {"scopes": ["orders:track"]}}});
    assert_eq!(by(&merge(&sync(), &made, &changed).expect("what Git says stands")), "olga@acme.example");
    let name = unique("git");
    assert_eq!(by(&apply(&sync(), "orders", &approval(&name, "")).expect("Git does not say")), "");
}

#[test]
fn nobody_grants_what_they_could_have_asked_for() {
    let both = client("bo@acme.example", &["orders-owners", "shop-developers"]);
    let name = unique("own");
    let status = refusal(apply(&both, "orders", &approval(&name, "")));
    assert_eq!(status.code, 403);
    assert!(status.message.contains("nobody approves their own request"), "{}", status.message);
    // To turn it down takes nothing from anybody.
    let denied = approval(&name, "")
        .replace("decision: Granted, grant: {plan: {name: standard}}", "decision: Denied, reason: No.");
    let made = apply(&both, "orders", &denied).expect("they may say no");
    let granting = json!({"spec": {"decision": "Granted", "reason": null, "grant": {"plan": {"name": "standard"}}}});
    refusal(merge(&both, &made, &granting));
    assert_eq!(by(&merge(&olga(), &made, &granting).expect("she may")), "olga@acme.example");

    // Of another namespace they write nothing, and a subscription without a namespace is one of the approval's own.
    let elsewhere = approval(&unique("own"), "").replace("namespace: shop", "namespace: mobile");
    apply(&both, "orders", &elsewhere).expect("it is not theirs");
    let here = approval(&unique("own"), "").replace(", namespace: shop", "");
    apply(&both, "orders", &here).expect("it is not theirs");
    // Whoever may do everything could take any name.
    let admin = site().admin();
    assert_eq!(by(&apply(&admin, "orders", &approval(&unique("own"), "")).expect("an administrator may")), "admin");
}

#[test]
fn whoever_decides_is_stamped_and_nobody_else_can_be() {
    let name = unique("stamp");
    let noted = |who: &str, groups: &str| {
        approval(&name, "").replace(
            &format!("{{name: {name}}}, spec"),
            &format!("{{name: {name}, annotations: {{{DECIDED_BY}: '{who}', {DECIDED_BY_GROUPS}: '{groups}'}}}}, spec"),
        )
    };
    // What is claimed is written over.
    let made = apply(&olga(), "orders", &noted("otto@acme.example", "chiefs")).expect("she may");
    assert_eq!(decider(&made), "olga@acme.example");
    let groups: Vec<&str> = made.annotations()[DECIDED_BY_GROUPS].lines().collect();
    assert!(groups.contains(&"orders-owners") && !groups.contains(&"chiefs"), "{groups:?}");
    // Who says the same again has not decided, nor can anybody take the stamp away or put another in its place.
    assert_eq!(decider(&apply(&otto(), "orders", &approval(&name, "")).expect("nothing changes")), "olga@acme.example");
    for note in [json!(null), json!("otto@acme.example")] {
        let change = json!({"metadata": {"annotations": {DECIDED_BY: note, DECIDED_BY_GROUPS: note}}});
        for client in [otto(), sync()] {
            let changed = merge(&client, &made, &change).expect("it comes back");
            assert_eq!(decider(&changed), "olga@acme.example");
            assert_eq!(changed.annotations()[DECIDED_BY_GROUPS], made.annotations()[DECIDED_BY_GROUPS]);
        }
    }
    let more = json!({"spec": {"grant": {"scopes": ["orders:track"]}}});
    assert_eq!(decider(&merge(&otto(), &made, &more).expect("he may")), "otto@acme.example");
    // What Git decides has its author in Git: nobody is stamped, not even one whom the file names.
    let less = json!({"metadata": {"annotations": {DECIDED_BY: "olga@acme.example", DECIDED_BY_GROUPS: "orders-owners"}},
        "spec": {"by": "olga@acme.example", "grant": {"scopes": []}}});
    let synced = merge(&sync(), &made, &less).expect("what Git says stands");
    assert_eq!((decider(&synced), synced.annotations().get(DECIDED_BY_GROUPS)), ("", None));
    assert_eq!(decider(&apply(&otto(), "orders", &approval(&name, "")).expect("nothing changes")), "");
}

#[test]
fn the_operator_writes_its_finalizer_and_nothing_else() {
    const FINALIZER: &str = "portico.dev/deletion-policy";
    let account = "system:serviceaccount:portico-system:portico";
    let operator = client(account, &["system:serviceaccounts", "system:serviceaccounts:portico-system"]);
    let name = unique("guarded");
    let made = apply(
        &olga(),
        "orders",
        &format!(
            "{{apiVersion: portico.dev/v1alpha1, kind: Plan, metadata: {{name: {name}}}, spec: {{title: T, products: \
             [{{name: orders}}]}}}}"
        ),
    )
    .expect("she may");
    let guarded = merge(&operator, &made, &json!({"metadata": {"finalizers": [FINALIZER]}})).expect("it may");
    assert_eq!(guarded.finalizers(), [FINALIZER]);
    for (change, why) in [
        (json!({"spec": {"title": "Free for all"}}), "what people say"),
        (json!({"spec": {"deletionPolicy": "Orphan"}}), "what people say"),
        (json!({"metadata": {"labels": {"a": "b"}}}), "no metadata but its finalizer"),
        (json!({"metadata": {"annotations": {"a": "b"}}}), "no metadata but its finalizer"),
        (json!({"metadata": {"finalizers": [FINALIZER, "example.com/mine"]}}), "no finalizer but its own"),
    ] {
        let status = refusal(merge(&operator, &made, &change));
        assert!(status.message.contains(why), "{change}: {}", status.message);
        assert!(merge(&olga(), &made, &change).is_ok(), "{change}: others may");
        let undone = json!({"spec": {"title": "T", "deletionPolicy": "Refuse"}, "metadata":
            {"labels": null, "annotations": null, "finalizers": [FINALIZER]}});
        merge(&olga(), &made, &undone).expect("she may");
    }
    let released = merge(&operator, &made, &json!({"metadata": {"finalizers": null}})).expect("it may");
    assert!(released.finalizers().is_empty());
}
