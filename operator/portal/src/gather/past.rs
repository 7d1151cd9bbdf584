//! Which part of the repository's history is about a subscription, an application or a product, as far as a visitor may know it.

use std::collections::BTreeSet;

use portico_core::Core;
use portico_core::batch::{Object, Spec};
use portico_core::key::{Kind, Name};
use portico_core::look;
use portico_crds::AccessLevel;

use crate::may::{Action, asked, may, sees_keys};
use crate::past::{Changed, Concern};
use crate::people::Person;

/// What is looked for in a history.
pub(crate) struct Sought {
    pub(crate) concern: Concern,
    /// Words of which a file about it has one.
    pub(crate) words: Vec<String>,
}

/// What was and what is said, whichever is there.
fn sides(changed: &Changed) -> impl Iterator<Item = &Object> {
    changed.before.iter().chain(&changed.after)
}

/// A subscription: itself, the answers to it, and for those who may know of them its keys.
pub(crate) fn subscription(core: &Core, person: Option<&Person>, name: &Name) -> Option<Sought> {
    let spec = core.subscription(name)?;
    let application = name.beside(&spec.application.name);
    let mut trail = Consumers {
        application: application.clone(),
        subscriptions: BTreeSet::from([name.clone()]),
        owners: asked(core, name).iter().map(|plan| plan.namespace().to_owned()).collect(),
        has_keys: sees_keys(core, person, &application),
        is_whole: false,
    };
    let words = vec![name.name().to_owned()];
    Some(Sought { concern: Box::new(move |changed| trail.keep(changed)), words })
}

/// An application: itself, its subscriptions, and what belongs to them.
pub(crate) fn application(core: &Core, person: Option<&Person>, name: &Name) -> Option<Sought> {
    core.application(name)?;
    let subscriptions: BTreeSet<Name> = core.subscriptions_by(name).cloned().collect();
    let plans = subscriptions.iter().flat_map(|subscription| asked(core, subscription));
    let words = std::iter::once(name).chain(&subscriptions).map(|name| name.name().to_owned()).collect();
    let mut trail = Consumers {
        application: name.clone(),
        owners: plans.map(|plan| plan.namespace().to_owned()).collect(),
        has_keys: sees_keys(core, person, name),
        is_whole: true,
        subscriptions,
    };
    Some(Sought { concern: Box::new(move |changed| trail.keep(changed)), words })
}

/// A product as its owner sees it: itself, its plans, who subscribed to them and what was answered.
pub(crate) fn product(core: &Core, person: Option<&Person>, name: &Name) -> Option<Sought> {
    core.product(name)?;
    let mine = |plan: &&Name| may(core, person, Action::Oversee, &(*plan).clone().of(Kind::Plan));
    let plans: BTreeSet<Name> = core.plans_of(name).filter(mine).cloned().collect();
    let owns = person.is_some_and(|person| person.access_in(name.namespace()).teams >= AccessLevel::Read);
    let words = std::iter::once(name).chain(&plans).map(|name| name.name().to_owned()).collect();
    let mut trail = Offered { product: name.clone(), plans, owns };
    Some(Sought { concern: Box::new(move |changed| trail.keep(changed)), words })
}

struct Consumers {
    application: Name,
    /// Those that are known; more turn up on the way back.
    subscriptions: BTreeSet<Name>,
    /// Namespaces whose answers count.
    owners: BTreeSet<String>,
    has_keys: bool,
    /// Whether it is about the whole application.
    is_whole: bool,
}

impl Consumers {
    fn keep(&mut self, mut changed: Vec<Changed>) -> Vec<Changed> {
        for one in &changed {
            for object in sides(one) {
                if let Spec::Subscription(spec) = &object.spec
                    && object.name.beside(&spec.application.name) == self.application
                    && (self.is_whole || self.subscriptions.contains(&object.name))
                {
                    self.owners.insert(look::resolve(&spec.plan, &object.name).namespace().to_owned());
                    self.subscriptions.insert(object.name.clone());
                }
            }
        }
        changed.retain(|one| sides(one).any(|object| self.is_about(object)));
        changed
    }

    fn is_about(&self, object: &Object) -> bool {
        let name = &object.name;
        match &object.spec {
            Spec::Application(_) => self.is_whole && *name == self.application,
            Spec::Subscription(spec) => {
                self.subscriptions.contains(name) && name.beside(&spec.application.name) == self.application
            }
            Spec::Credential(spec) => {
                let of_one =
                    spec.subscription.as_ref().is_some_and(|one| self.subscriptions.contains(&name.beside(&one.name)));
                let of_all = spec.application.as_ref().is_some_and(|one| name.beside(&one.name) == self.application);
                self.has_keys && (of_one || (self.is_whole && of_all))
            }
            Spec::Approval(spec) => {
                self.owners.contains(name.namespace())
                    && self.subscriptions.contains(&look::resolve(&spec.subscription, name))
            }
            _ => false,
        }
    }
}

struct Offered {
    product: Name,
    /// Plans that the visitor looks after; others turn up on the way back.
    plans: BTreeSet<Name>,
    /// Whether all plans of its namespace are theirs.
    owns: bool,
}

impl Offered {
    fn keep(&mut self, mut changed: Vec<Changed>) -> Vec<Changed> {
        for object in changed.iter().flat_map(sides) {
            if let Spec::Plan(spec) = &object.spec
                && self.owns
                && object.name.namespace() == self.product.namespace()
                && spec.products.iter().any(|one| look::resolve_product(one, &object.name) == self.product)
            {
                self.plans.insert(object.name.clone());
            }
        }
        changed.retain(|one| sides(one).any(|object| self.is_about(object)));
        changed
    }

    fn is_about(&self, object: &Object) -> bool {
        let name = &object.name;
        match &object.spec {
            Spec::ApiProduct(_) => *name == self.product,
            Spec::Plan(_) => self.plans.contains(name),
            Spec::Subscription(spec) => {
                let wanted = spec.change.as_ref().map(|change| &change.plan);
                let mut plans = std::iter::once(&spec.plan).chain(wanted);
                plans.any(|plan| self.plans.contains(&look::resolve(plan, name)))
            }
            Spec::Approval(spec) => {
                let about = spec.grant.as_ref().map(|grant| &grant.plan).or(spec.about.as_ref());
                about.is_some_and(|plan| self.plans.contains(&name.beside(&plan.name)))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn changed(kind: Kind, name: &str, spec: Value) -> Changed {
        let (namespace, short) = name.split_once('/').unwrap();
        let name = Name::new(namespace, short);
        let spec = match kind {
            Kind::Subscription => Spec::Subscription(serde_json::from_value(spec).unwrap()),
            Kind::Credential => Spec::Credential(serde_json::from_value(spec).unwrap()),
            Kind::Approval => Spec::Approval(serde_json::from_value(spec).unwrap()),
            other => panic!("no {other} here"),
        };
        let object = Object { name: name.clone(), generation: None, created: None, author: None, spec };
        Changed { key: name.of(kind), before: Some(object), was_unread: false, after: None }
    }

    #[test]
    fn what_is_gone_is_found_and_what_is_of_others_is_not() {
        let mut trail = Consumers {
            application: Name::new("shop", "web"),
            subscriptions: BTreeSet::new(),
            owners: BTreeSet::new(),
            has_keys: true,
            is_whole: true,
        };
        let subscription =
            |of: &str| json!({ "application": { "name": of }, "plan": { "name": "open", "namespace": "api" } });
        let key = |of: &str| json!({ "subscription": { "name": of }, "environment": { "name": "local" } });
        let answer = json!({ "subscription": { "name": "old", "namespace": "shop" }, "decision": "Denied" });
        let all = vec![
            changed(Kind::Credential, "shop/old-key", key("old")),
            changed(Kind::Credential, "shop/other-key", key("other")),
            changed(Kind::Subscription, "shop/old", subscription("web")),
            changed(Kind::Subscription, "shop/other", subscription("till")),
            changed(Kind::Approval, "api/answer", answer.clone()),
            changed(Kind::Approval, "evil/answer", answer),
        ];
        let kept: Vec<String> = trail.keep(all).iter().map(|one| one.key.to_string()).collect();
        assert_eq!(kept, ["Credential shop/old-key", "Subscription shop/old", "Approval api/answer"]);
    }
}
