//! What a commit did to an object, in words.

use std::collections::BTreeSet;

use portico_core::batch::{Object, Spec};
use portico_core::key::Name;
use portico_core::look;
use portico_crds::{ApprovalSpec, CredentialSpec, Decision, Stage, SubscriptionSpec};
use serde_json::{Map, Value};

use crate::past::Changed;
use crate::words;

/// What was done, each a few words; there is at least one.
pub(crate) fn told(changed: &Changed) -> Vec<String> {
    let Changed { key, before, was_unread, after } = changed;
    let before = before.as_ref().map(|object| &object.spec);
    let Some(after) = after.as_ref().map(|object| &object.spec) else {
        return vec![gone(before)];
    };
    let told = match (before, after) {
        (before, Spec::Subscription(after)) => subscription(&key.name, of(before, as_subscription), after),
        (before, Spec::Credential(after)) => credential(of(before, as_credential), after),
        (_, Spec::Approval(after)) => return vec![approval(&key.name, after)],
        (None, Spec::Application(after)) => vec![format!("made application “{}”", after.title)],
        (None, _) => vec!["made it".to_owned()],
        (Some(_), _) => Vec::new(),
    };
    if *was_unread {
        return std::iter::once("mended it".to_owned()).chain(told).collect();
    }
    match before {
        Some(before) if told.is_empty() => vec![fields(before, after)],
        _ => told,
    }
}

/// The reason that somebody has given.
pub(crate) fn reason(changed: &Changed) -> Option<&str> {
    match &changed.after {
        Some(Object { spec: Spec::Approval(said), .. }) => said.reason.as_deref(),
        _ => None,
    }
}

fn of<'a, T>(spec: Option<&'a Spec>, which: impl Fn(&'a Spec) -> Option<&'a T>) -> Option<&'a T> {
    spec.and_then(which)
}

fn as_subscription(spec: &Spec) -> Option<&SubscriptionSpec> {
    if let Spec::Subscription(spec) = spec { Some(&**spec) } else { None }
}

fn as_credential(spec: &Spec) -> Option<&CredentialSpec> {
    if let Spec::Credential(spec) = spec { Some(&**spec) } else { None }
}

fn gone(before: Option<&Spec>) -> String {
    match before {
        Some(Spec::Credential(spec)) => match &spec.title {
            Some(title) => format!("revoked key “{title}”"),
            None => "revoked the key".to_owned(),
        },
        Some(Spec::Approval(spec)) if spec.decision == Decision::Granted => "took the grant away".to_owned(),
        Some(Spec::Approval(_)) => "took the answer back".to_owned(),
        Some(Spec::Subscription(_)) => "deleted the subscription".to_owned(),
        Some(Spec::Application(spec)) => format!("deleted application “{}”", spec.title),
        Some(other) => format!("deleted the {}", other.kind()),
        None => "deleted what did not read".to_owned(),
    }
}

fn subscription(name: &Name, before: Option<&SubscriptionSpec>, after: &SubscriptionSpec) -> Vec<String> {
    let SubscriptionSpec {
        application: _,
        plan,
        change,
        scopes,
        accepted_terms,
        properties,
        suspend,
        cancel_at,
        go_live,
    } = after;
    let mut told = Vec::new();
    let plan = look::resolve(plan, name);
    match before.map(|before| look::resolve(&before.plan, name)) {
        None => told.push(format!("subscribed to plan {plan}")),
        Some(before) if before != plan => told.push(format!("changed the plan from {before} to {plan}")),
        Some(_) => {}
    }
    let wanted = change.as_ref().map(|change| look::resolve(&change.plan, name));
    let wanted_before =
        before.and_then(|before| before.change.as_ref()).map(|change| look::resolve(&change.plan, name));
    match wanted {
        Some(wanted) if Some(&wanted) != wanted_before.as_ref() => told.push(format!("asked for plan {wanted}")),
        None if wanted_before.is_some() => told.push("asks for no other plan any more".to_owned()),
        Some(_) | None => {}
    }
    let names = |spec: &SubscriptionSpec| spec.scopes.iter().map(|scope| scope.name.clone()).collect::<BTreeSet<_>>();
    let had = before.map(names).unwrap_or_default();
    let has: BTreeSet<String> = scopes.iter().map(|scope| scope.name.clone()).collect();
    let asked: Vec<String> = has.difference(&had).cloned().collect();
    let left: Vec<String> = had.difference(&has).cloned().collect();
    if !asked.is_empty() {
        told.push(format!("asked for {} {}", if asked.len() == 1 { "scope" } else { "scopes" }, words::listed(&asked)));
    }
    if !left.is_empty() {
        let scopes = if left.len() == 1 { "scope" } else { "scopes" };
        told.push(format!("gave up {scopes} {}", words::listed(&left)));
    }
    let terms_before = before.and_then(|before| before.accepted_terms.as_ref());
    if let Some(terms) = accepted_terms.as_ref().filter(|terms| Some(*terms) != terms_before) {
        told.push(format!("accepted terms {terms}"));
    }
    let answered = before.map(|before| &before.properties);
    if answered.map_or(!properties.is_empty(), |before| before != properties) {
        told.push("answered what the plan wants to know".to_owned());
    }
    match (before.is_some_and(|before| before.suspend), *suspend) {
        (false, true) => told.push("paused it".to_owned()),
        (true, false) => told.push("let it go on".to_owned()),
        _ => {}
    }
    match (before.and_then(|before| before.cancel_at), cancel_at) {
        (before, Some(at)) if before.as_ref() != Some(at) => {
            told.push(format!("cancelled it as of {}", words::moment(at.0)));
        }
        (Some(_), None) => told.push("took the cancellation back".to_owned()),
        _ => {}
    }
    match (before.is_some_and(|before| before.go_live), *go_live) {
        (false, true) => told.push("asked to go live".to_owned()),
        (true, false) => told.push("asks no more to go live".to_owned()),
        _ => {}
    }
    told
}

fn credential(before: Option<&CredentialSpec>, after: &CredentialSpec) -> Vec<String> {
    let mut told = Vec::new();
    let called = after.title.as_ref().map_or_else(|| "the key".to_owned(), |title| format!("key “{title}”"));
    let Some(before) = before else {
        return vec![match &after.title {
            Some(title) => format!("asked for key “{title}”"),
            None => "asked for a key".to_owned(),
        }];
    };
    if after.generation != before.generation {
        let ends_at_once = after.overlap.is_some_and(|overlap| overlap.seconds == 0);
        told.push(format!("{} {called}", if ends_at_once { "regenerated" } else { "rotated" }));
    }
    match (before.disabled, after.disabled) {
        (false, true) => told.push(format!("switched {called} off")),
        (true, false) => told.push(format!("switched {called} on")),
        _ => {}
    }
    if after.title != before.title {
        let old = before.title.as_deref().unwrap_or("the key");
        told.push(format!("renamed {old} to {}", after.title.as_deref().unwrap_or("nothing")));
    }
    if after.expires_at != before.expires_at {
        told.push(match after.expires_at {
            Some(at) => format!("let {called} end on {}", words::moment(at.0)),
            None => format!("took the end of {called} away"),
        });
    }
    told
}

fn approval(name: &Name, after: &ApprovalSpec) -> String {
    match (after.decision, &after.grant) {
        (Decision::Granted, Some(grant)) => {
            let plan = name.beside(&grant.plan.name);
            let scopes = match grant.scopes.as_slice() {
                [] => String::new(),
                [one] => format!(" with scope {one}"),
                many => format!(" with scopes {}", words::listed(many)),
            };
            let stage = if grant.stage == Stage::Sandbox { ", for trying out" } else { "" };
            format!("granted plan {plan}{scopes}{stage}")
        }
        (Decision::Granted, None) => "granted nothing".to_owned(),
        (Decision::Denied, _) => "turned it down".to_owned(),
        (Decision::ChangesRequested, _) => "asked for changes".to_owned(),
    }
}

/// Which fields are different.
fn fields(before: &Spec, after: &Spec) -> String {
    let (before, after) = (said(before), said(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let different: Vec<String> =
        names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect();
    format!("changed {}", words::listed(&different))
}

fn said(spec: &Spec) -> Map<String, Value> {
    match serde_json::to_value(spec) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use portico_core::key::{Kind, ObjectKey};
    use serde_json::json;

    use super::*;

    fn object(kind: Kind, spec: Value) -> Object {
        let spec = match kind {
            Kind::Subscription => Spec::Subscription(serde_json::from_value(spec).unwrap()),
            Kind::Credential => Spec::Credential(serde_json::from_value(spec).unwrap()),
            Kind::Approval => Spec::Approval(serde_json::from_value(spec).unwrap()),
            Kind::Plan => Spec::Plan(serde_json::from_value(spec).unwrap()),
            other => panic!("no {other} here"),
        };
        Object { name: Name::new("shop", "web"), generation: None, created: None, author: None, spec }
    }

    fn says(kind: Kind, before: Option<Value>, after: Option<Value>) -> String {
        let key = ObjectKey::new(kind, "shop", "web");
        let object = |spec: Option<Value>| spec.map(|spec| object(kind, spec));
        told(&Changed { key, before: object(before), was_unread: false, after: object(after) }).join("; ")
    }

    #[test]
    fn subscriptions_have_a_story() {
        let base = json!({ "application": { "name": "web" }, "plan": { "name": "basic", "namespace": "api" } });
        let with = |name: &str, value: Value| {
            let mut spec = base.clone();
            spec[name] = value;
            Some(spec)
        };
        let of = |before, after| says(Kind::Subscription, before, after);
        assert_eq!(
            of(None, with("scopes", json!([{ "name": "a" }, { "name": "b" }]))),
            "subscribed to plan api/basic; asked for scopes a and b"
        );
        assert_eq!(of(with("scopes", json!([{ "name": "a" }])), Some(base.clone())), "gave up scope a");
        assert_eq!(
            of(Some(base.clone()), with("change", json!({ "plan": { "name": "gold", "namespace": "api" } }))),
            "asked for plan api/gold"
        );
        assert_eq!(
            of(Some(base.clone()), with("cancelAt", json!("2026-03-01T00:00:00Z"))),
            "cancelled it as of 1 March 2026, 00:00 UTC"
        );
        assert_eq!(of(Some(base.clone()), with("suspend", json!(true))), "paused it");
        assert_eq!(of(Some(base.clone()), with("application", json!({ "name": "other" }))), "changed application");
        assert_eq!(of(Some(base.clone()), None), "deleted the subscription");
    }

    #[test]
    fn keys_have_one_too() {
        let base = json!({ "subscription": { "name": "web" }, "environment": { "name": "local" }, "title": "Cloud" });
        let with = |name: &str, value: Value| {
            let mut spec = base.clone();
            spec[name] = value;
            Some(spec)
        };
        let of = |before, after| says(Kind::Credential, before, after);
        assert_eq!(of(None, Some(base.clone())), "asked for key “Cloud”");
        assert_eq!(of(Some(base.clone()), with("generation", json!(2))), "rotated key “Cloud”");
        let mut now = with("generation", json!(2)).unwrap();
        now["overlap"] = json!("0s");
        assert_eq!(of(Some(base.clone()), Some(now)), "regenerated key “Cloud”");
        assert_eq!(of(Some(base.clone()), with("disabled", json!(true))), "switched key “Cloud” off");
        assert_eq!(of(Some(base.clone()), with("title", json!("Lake"))), "renamed Cloud to Lake");
        assert_eq!(of(Some(base.clone()), None), "revoked key “Cloud”");
    }

    #[test]
    fn answers_and_the_rest() {
        let grant = json!({
            "subscription": { "name": "web", "namespace": "shop" }, "decision": "Granted",
            "grant": { "plan": { "name": "basic" }, "scopes": ["a"] },
        });
        assert_eq!(says(Kind::Approval, None, Some(grant.clone())), "granted plan shop/basic with scope a");
        assert_eq!(says(Kind::Approval, Some(grant), None), "took the grant away");
        let plan = |title: &str| json!({ "title": title, "products": [{ "name": "api" }] });
        assert_eq!(says(Kind::Plan, Some(plan("A")), Some(plan("B"))), "changed title");
    }
}
