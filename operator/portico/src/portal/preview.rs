//! What a change would come to, found out beforehand: the core looks at the objects that it concerns, in a world of their own.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use portico_core::Core;
use portico_core::batch::{Batch, Change, Object, Spec};
use portico_core::diagnostic::{Diagnostic, Severity};
use portico_core::key::{Kind, Name, ObjectKey};
use portico_core::look;
use portico_crds::{ApprovalSpec, CredentialSpec, SubscriptionSpec};
use portico_portal::Reading;

/// What would be wrong with the objects that change. `before` changes first.
pub fn preview(reading: &Reading, before: &[Change], changes: &[Change]) -> Vec<Diagnostic> {
    // What changes the core waits for whoever looks at it: what is needed is taken, and judged afterwards.
    reading.look(|core| Scene::gather(core, before, changes)).judge(before, changes)
}

/// All that a judgement needs.
struct Scene {
    now: Timestamp,
    there: Vec<Object>,
    /// Since when those are there that change.
    created: HashMap<ObjectKey, Timestamp>,
}

impl Scene {
    fn gather(core: &Core, before: &[Change], changes: &[Change]) -> Scene {
        let mut world = Surroundings { core, keys: BTreeSet::new(), namespaces: BTreeSet::new() };
        for change in before.iter().chain(changes) {
            match change {
                Change::Put(object) => world.around(&object.name, &object.spec),
                Change::Remove(key) | Change::Delete { key, said: _, deletion: _ } => world.object(key),
                Change::Document { .. } | Change::Findings(..) => {}
            }
        }
        let Surroundings { core: _, mut keys, namespaces } = world;
        let teams = core.teams().map(|(team, _)| team).filter(|team| namespaces.contains(team.namespace()));
        keys.extend(teams.map(|team| team.clone().of(Kind::Team)));
        keys.extend(core.portals().map(|(name, _)| name.of(Kind::Portal)));
        keys.extend(core.environments().map(|(name, _)| name.clone().of(Kind::Environment)));
        let created = changes.iter().filter_map(|change| match change {
            Change::Put(object) => {
                let key = object.key();
                Some((key.clone(), core.created(&key)?))
            }
            _ => None,
        });
        Scene {
            now: core.now(),
            created: created.collect(),
            there: keys.iter().filter_map(|key| core.object(key)).collect(),
        }
    }

    fn judge(self, before: &[Change], changes: &[Change]) -> Vec<Diagnostic> {
        let Scene { now, there, created } = self;
        let mut small = Core::new();
        let there = there.into_iter().map(Change::Put).chain(before.iter().cloned()).collect();
        small.apply(Batch { now, changes: there, facts: Vec::new() });
        // Those who are new come last.
        let dated = changes.iter().cloned().map(|change| match change {
            Change::Put(mut object) => {
                object.created = created.get(&object.key()).copied().or(Some(now));
                Change::Put(object)
            }
            other => other,
        });
        small.apply(Batch { now, changes: dated.collect(), facts: Vec::new() });
        let put = changes.iter().filter_map(|change| match change {
            Change::Put(object) => Some(object.key()),
            _ => None,
        });
        let found = put.flat_map(|key| small.diagnostics_of(&key).cloned().collect::<Vec<_>>());
        found.filter(|diagnostic| diagnostic.severity == Severity::Error).collect()
    }
}

/// Objects on which those depend that change.
struct Surroundings<'a> {
    core: &'a Core,
    keys: BTreeSet<ObjectKey>,
    /// Namespaces of which all Teams matter.
    namespaces: BTreeSet<String>,
}

impl Surroundings<'_> {
    fn around(&mut self, name: &Name, spec: &Spec) {
        match spec {
            Spec::Application(_) => self.application(name),
            Spec::Subscription(spec) => self.subscription(name, spec),
            Spec::Approval(spec) => self.approval(name, spec),
            Spec::Credential(spec) => self.credential(name, spec),
            Spec::Plan(_) => self.plan(name),
            Spec::Portal(_) | Spec::Environment(_) | Spec::ApiProduct(_) | Spec::Team(_) | Spec::Developer(_) => {}
        }
    }

    fn object(&mut self, key: &ObjectKey) {
        if let Some(object) = self.core.object(key) {
            self.keys.insert(key.clone());
            self.around(&object.name, &object.spec);
        }
    }

    fn application(&mut self, name: &Name) {
        if !self.keys.insert(name.clone().of(Kind::Application)) {
            return;
        }
        let core = self.core;
        if let Some(team) = core.application(name).and_then(|spec| spec.team.as_ref()) {
            self.keys.insert(ObjectKey::new(Kind::Team, name.namespace(), team.name.as_str()));
        }
        self.namespaces.insert(name.namespace().to_owned());
        self.keys.extend(core.credentials_of_application(name).map(|one| one.clone().of(Kind::Credential)));
        for subscription in core.subscriptions_by(name) {
            if let Some(spec) = core.subscription(subscription) {
                self.subscription(subscription, &spec);
            }
        }
    }

    fn subscription(&mut self, name: &Name, spec: &SubscriptionSpec) {
        if self.core.has(&name.clone().of(Kind::Subscription)) {
            self.keys.insert(name.clone().of(Kind::Subscription));
        }
        self.keys.extend(self.core.credentials_of(name).map(|one| one.clone().of(Kind::Credential)));
        self.keys.extend(self.core.approvals_of(name).map(|one| one.clone().of(Kind::Approval)));
        let change = spec.change.as_ref().map(|change| &change.plan);
        for plan in [Some(&spec.plan), change].into_iter().flatten() {
            self.plan(&look::resolve(plan, name));
        }
        self.application(&Name::new(name.namespace(), spec.application.name.as_str()));
    }

    fn plan(&mut self, name: &Name) {
        let Some(spec) = self.core.plan(name) else { return };
        self.keys.insert(name.clone().of(Kind::Plan));
        for product in &spec.products {
            self.keys.insert(look::resolve_product(product, name).of(Kind::ApiProduct));
        }
        self.namespaces.insert(name.namespace().to_owned());
    }

    fn approval(&mut self, name: &Name, spec: &ApprovalSpec) {
        if self.core.has(&name.clone().of(Kind::Approval)) {
            self.keys.insert(name.clone().of(Kind::Approval));
        }
        self.object(&look::resolve(&spec.subscription, name).of(Kind::Subscription));
    }

    fn credential(&mut self, name: &Name, spec: &CredentialSpec) {
        if self.core.has(&name.clone().of(Kind::Credential)) {
            self.keys.insert(name.clone().of(Kind::Credential));
        }
        if let Some(subscription) = &spec.subscription {
            self.object(&ObjectKey::new(Kind::Subscription, name.namespace(), subscription.name.as_str()));
        }
        if let Some(application) = &spec.application {
            self.application(&Name::new(name.namespace(), application.name.as_str()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portico_core::batch::{Author, Signature};
    use portico_portal::Shared;
    use serde_json::{Value, json};

    use super::*;

    fn put(key: &ObjectKey, spec: Value, by: &str) -> Change {
        let spec = match key.kind {
            Kind::ApiProduct => Spec::ApiProduct(serde_json::from_value(spec).unwrap()),
            Kind::Plan => Spec::Plan(serde_json::from_value(spec).unwrap()),
            Kind::Application => Spec::Application(serde_json::from_value(spec).unwrap()),
            Kind::Subscription => Spec::Subscription(serde_json::from_value(spec).unwrap()),
            Kind::Approval => Spec::Approval(serde_json::from_value(spec).unwrap()),
            other => panic!("no {other} here"),
        };
        let author = Author::Commit { mail: by.into(), commit: "".into(), signature: Signature::None, portal: None };
        let author = matches!(key.kind, Kind::Approval | Kind::Subscription).then(|| Arc::new(author));
        Change::Put(Object { name: key.name.clone(), generation: None, created: None, author, spec })
    }

    #[test]
    fn a_change_is_judged_by_what_stands_around_it() {
        let key = ObjectKey::new;
        let approvers = json!([{ "kind": "User", "name": "olga@acme.example" }]);
        let approval = json!({ "mode": "Manual", "approvers": approvers });
        let plan = json!({ "title": "P", "products": [{ "name": "api" }], "approval": approval });
        let asks = |plan: &str| json!({ "application": { "name": "web" }, "plan": { "name": plan, "namespace": "o" } });
        let product = json!({ "title": "A", "consumers": { "from": "All" } });
        let mut core = Shared::new();
        let changes = vec![
            put(&key(Kind::ApiProduct, "o", "api"), product, ""),
            put(&key(Kind::Plan, "o", "plan"), plan, ""),
            put(&key(Kind::Application, "c", "web"), json!({ "title": "W" }), ""),
            put(&key(Kind::Subscription, "c", "one"), asks("plan"), "sara@acme.example"),
        ];
        core.change(|core| core.apply(Batch { now: Timestamp::UNIX_EPOCH, changes, facts: Vec::new() }));
        let codes = |before: &[Change], change: Change| -> Vec<&'static str> {
            preview(&core.reading(), before, &[change]).into_iter().map(|found| found.code).collect()
        };
        let grant = json!({
            "subscription": { "name": "one", "namespace": "c" }, "decision": "Granted", "grant": { "plan": { "name": "plan" } },
        });
        let answer = |by: &str| put(&key(Kind::Approval, "o", "answer"), grant.clone(), by);
        assert!(codes(&[], answer("olga@acme.example")).is_empty());
        assert_eq!(codes(&[], answer("otto@acme.example")), ["not-an-approver"]);
        assert_eq!(codes(&[], answer("sara@acme.example")), ["own-request"]);
        let other = |plan: &str| put(&key(Kind::Subscription, "c", "two"), asks(plan), "sara@acme.example");
        assert!(codes(&[], other("plan")).is_empty());
        assert_eq!(codes(&[], other("none")), ["missing-reference"]);
        // What lands together with it counts as well.
        let gone = Change::Remove(key(Kind::Application, "c", "web"));
        assert_eq!(codes(&[gone], other("plan")), ["missing-reference"]);
    }
}
