//! What front ends have to know and to do about deletions.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use portico_crds::DeletionPolicy;

use crate::batch::{Change, Fact, Object, Spec};
use crate::core::Core;
use crate::diagnostic::Diagnostic;
use crate::key::{Kind, ObjectKey};
use crate::resolve::{self, DeletionView, Fate, Left, Scene};

/// Whether the deletion of an object has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// It has: somebody holds it, or has to go first.
    Needed,
    /// It has not, as things are.
    Idle,
    /// It never has.
    Unwanted,
}

/// What is referred to and not there, and what refers to it.
pub type Missing = BTreeMap<ObjectKey, BTreeSet<ObjectKey>>;

impl Core {
    /// Whether the deletion of a product or a plan has to wait; of one that is deleted already, whether it still has.
    pub fn guard(&self, key: &ObjectKey) -> Guard {
        match self.world.policy(key) {
            None => Guard::Idle,
            Some(DeletionPolicy::Orphan) => Guard::Unwanted,
            Some(DeletionPolicy::Refuse | DeletionPolicy::Cascade) => {
                let scene = Scene { world: &self.world, views: &self.views, now: self.now };
                let is_held = resolve::holders(scene, key).next().is_some();
                if is_held { Guard::Needed } else { Guard::Idle }
            }
        }
    }

    /// Whether a subscription goes with its plan, which was deleted with `Cascade`: a front end that may, deletes it.
    pub fn is_taken(&self, key: &ObjectKey) -> bool {
        let view = self.views.subscriptions.get(&key.name).filter(|_| key.kind == Kind::Subscription);
        view.is_some_and(|view| view.left == Left::Taken)
    }

    /// What `changes` refer to, or what they take away is referred to by, that will not be there: products and plans of which a
    /// front end that has a history can tell what they said last. What was told to be deleted is not there either.
    ///
    /// `facts` tell which plans subscriptions are on that the core was not told of yet.
    pub fn missing(&self, changes: &[Change], facts: &[Fact]) -> Missing {
        let mut said: HashMap<ObjectKey, Option<&Object>> = HashMap::new();
        // Objects that are told to be deleted refer to others, and are not there.
        let mut last: HashMap<ObjectKey, &Object> = HashMap::new();
        for change in changes {
            match change {
                Change::Put(object) => _ = said.insert(object.key(), Some(object)),
                Change::Remove(key) => {
                    last.remove(key);
                    said.insert(key.clone(), None);
                }
                Change::Delete { key, said: object, deletion: _ } => {
                    said.insert(key.clone(), None);
                    last.extend(object.iter().map(|object| (key.clone(), object)));
                }
                Change::Document { .. } | Change::Findings(..) => {}
            }
        }
        let world = &self.world;
        let is_there = |key: &ObjectKey| match said.get(key) {
            Some(object) => object.is_some(),
            None => world.has(key) && world.deleted(key).is_none(),
        };
        // Whether a subscription or plan of the world still says what it said.
        let stays = |key: &ObjectKey| !said.contains_key(key);
        let products = |plan: &ObjectKey| -> Vec<ObjectKey> {
            let object = said.get(plan).copied().flatten().or_else(|| last.get(plan).copied());
            match object {
                Some(object) => object.relies_on(),
                None => world.covered(&plan.name).map(|product| product.of(Kind::ApiProduct)).collect(),
            }
        };
        let asking = |plan: &ObjectKey| -> Vec<ObjectKey> {
            let known = world.subscriptions_to_plan.of(&plan.name).map(|name| name.clone().of(Kind::Subscription));
            known.filter(stays).collect()
        };
        let mut lacks: HashMap<ObjectKey, Vec<ObjectKey>> = HashMap::new();
        let mut missing = Missing::new();
        let mut note = |target: ObjectKey, referrer: &ObjectKey| {
            if !is_there(&target) {
                missing.entry(target).or_default().insert(referrer.clone());
            }
        };
        let lacked_by = |plan: &ObjectKey| -> Vec<ObjectKey> {
            products(plan).into_iter().filter(|product| !is_there(product)).collect()
        };
        let plan_says = |plan: &ObjectKey, note: &mut dyn FnMut(ObjectKey, &ObjectKey)| {
            let lacked = lacked_by(plan);
            // Nearly always all of them are there, and a plan may have 100,000 subscriptions.
            let asking = if lacked.is_empty() { Vec::new() } else { asking(plan) };
            for product in lacked {
                note(product.clone(), plan);
                for subscription in &asking {
                    note(product.clone(), subscription);
                }
            }
        };
        for fact in facts {
            if let Fact::On { subscription, plan } = fact {
                let (subscription, plan) = (subscription.clone().of(Kind::Subscription), plan.clone().of(Kind::Plan));
                if is_there(&subscription) {
                    let lacked = lacks.entry(plan.clone()).or_insert_with(|| lacked_by(&plan));
                    for product in lacked {
                        note(product.clone(), &subscription);
                    }
                    note(plan, &subscription);
                }
            }
        }
        for (key, object) in &said {
            match object.map(|object| &object.spec) {
                Some(Spec::Subscription(_)) => {
                    for plan in object.iter().flat_map(|object| object.relies_on()) {
                        // 100,000 subscriptions have a few plans.
                        let lacked = lacks.entry(plan.clone()).or_insert_with(|| lacked_by(&plan));
                        for product in lacked {
                            note(product.clone(), key);
                        }
                        note(plan, key);
                    }
                }
                Some(Spec::Plan(_)) => plan_says(key, &mut note),
                None if key.kind == Kind::Plan => {
                    for subscription in asking(key) {
                        note(key.clone(), &subscription);
                    }
                    if last.contains_key(key) {
                        plan_says(key, &mut note);
                    }
                }
                None if key.kind == Kind::ApiProduct => {
                    for plan in world.plans_of.of(&key.name).map(|plan| plan.clone().of(Kind::Plan)).filter(stays) {
                        note(key.clone(), &plan);
                        for subscription in asking(&plan) {
                            note(key.clone(), &subscription);
                        }
                    }
                }
                Some(_) | None => {}
            }
        }
        missing
    }

    /// Why the deletion of a product or a plan is refused, if it is.
    pub(crate) fn refused(&self, key: &ObjectKey) -> Option<&Diagnostic> {
        let view = self.deletion(key)?;
        let is_held = view.fate == Fate::Held(DeletionPolicy::Refuse);
        view.problems.first().filter(|_| is_held)
    }

    pub(crate) fn deletion(&self, key: &ObjectKey) -> Option<&DeletionView> {
        match key.kind {
            Kind::ApiProduct => self.views.deleted_products.get(&key.name),
            Kind::Plan => self.views.deleted_plans.get(&key.name),
            _ => None,
        }
    }
}
