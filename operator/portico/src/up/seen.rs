//! Since when objects are there: the older come first when there is not enough for all.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use portico_core::batch::{Change, Fact, Spec};
use portico_core::key::{Kind, Name, ObjectKey};

/// What is remembered of an object.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Since when it is there.
    pub(super) at: Timestamp,
    /// The plan that a subscription was on.
    pub(super) plan: Option<Name>,
    /// Whether it was found to be there still.
    pub(super) is_there: bool,
}

/// What has to be remembered.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Objects that were not there before; a subscription with the plan that its file names.
    pub(super) new: Vec<(ObjectKey, Option<Name>)>,
    /// Those that were, and are not, or were not in between.
    pub(super) gone: BTreeSet<ObjectKey>,
    /// The plans that subscriptions were on, where their files name others now.
    pub(super) on: Vec<Fact>,
}

impl Seen {
    /// Fills in since when objects are there, those that nobody knows since `moment`. Changes of several commits may speak of
    /// one object more than once: the last word holds. `stands` tells of objects that are there already.
    pub(super) fn of(
        changes: &mut [Change],
        moment: Timestamp,
        mut known: BTreeMap<ObjectKey, Known>,
        stands: impl Fn(&ObjectKey) -> bool,
    ) -> Seen {
        let mut seen = Seen::default();
        let mut removed = BTreeSet::new();
        let mut on = BTreeMap::new();
        for change in changes {
            match change {
                Change::Put(object) if competes(object.spec.kind()) => {
                    let key = object.key();
                    removed.remove(&key);
                    // One that was gone in between begins anew.
                    let stayed = !seen.gone.contains(&key);
                    if stayed && stands(&key) {
                        continue;
                    }
                    let own = if let Spec::Subscription(spec) = &object.spec {
                        let namespace = spec.plan.namespace.as_deref().unwrap_or(key.name.namespace());
                        Some(Name::new(namespace, spec.plan.name.as_str()))
                    } else {
                        None
                    };
                    let stood = known.get_mut(&key).filter(|_| stayed);
                    object.created = Some(if let Some(Known { at, plan, is_there }) = stood {
                        *is_there = true;
                        // Its file may have been edited while nobody looked.
                        match plan.as_ref().filter(|plan| own.as_ref() != Some(*plan)).cloned() {
                            Some(plan) => on.insert(key.name, plan),
                            None => on.remove(&key.name),
                        };
                        *at
                    } else {
                        seen.new.push((key, own));
                        moment
                    });
                }
                Change::Remove(key) if competes(key.kind) => {
                    if key.kind == Kind::Subscription {
                        on.remove(&key.name);
                    }
                    removed.insert(key.clone());
                    seen.gone.insert(key.clone());
                }
                _ => {}
            }
        }
        if !removed.is_empty() {
            seen.new.retain(|(key, _)| !removed.contains(key));
        }
        seen.gone.extend(known.into_iter().filter(|(_, known)| !known.is_there).map(|(key, _)| key));
        seen.on = on.into_iter().map(|(subscription, plan)| Fact::On { subscription, plan }).collect();
        seen
    }
}

/// Kinds of which the older come first when there is not enough for all.
fn competes(kind: Kind) -> bool {
    matches!(kind, Kind::Application | Kind::Subscription | Kind::Approval | Kind::Credential)
}

#[cfg(test)]
mod tests {
    use portico_core::batch::Object;
    use portico_crds::SubscriptionSpec;

    use super::*;

    const LONG_AGO: i64 = 1_000;
    const NOW: i64 = 2_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(Kind::Subscription, "shop", name)
    }

    fn plan(name: &str) -> Name {
        Name::new("shop", name)
    }

    fn put(name: &str, plan: &str) -> Change {
        let spec = SubscriptionSpec {
            application: portico_crds::LocalRef { name: "web".to_owned() },
            plan: portico_crds::NamespacedRef { name: plan.to_owned(), namespace: None },
            change: None,
            scopes: Vec::new(),
            accepted_terms: None,
            properties: portico_crds::Answers::default(),
            suspend: false,
            cancel_at: None,
            go_live: false,
        };
        Change::Put(Object {
            name: key(name).name,
            generation: None,
            created: None,
            author: None,
            spec: Spec::Subscription(Box::new(spec)),
        })
    }

    fn created(changes: &[Change]) -> Vec<Option<i64>> {
        let puts = changes.iter().filter_map(|change| match change {
            Change::Put(object) => Some(object.created.map(Timestamp::as_second)),
            _ => None,
        });
        puts.collect()
    }

    fn known(name: &str, on: &str) -> BTreeMap<ObjectKey, Known> {
        BTreeMap::from([(key(name), Known { at: at(LONG_AGO), plan: Some(plan(on)), is_there: false })])
    }

    #[test]
    fn what_is_told_twice_is_as_old_as_it_is() {
        let mut changes = vec![put("s", "silver"), put("s", "gold")];
        let seen = Seen::of(&mut changes, at(NOW), known("s", "free"), |_| false);
        assert_eq!(created(&changes), [Some(LONG_AGO), Some(LONG_AGO)]);
        assert_eq!(seen.on, [Fact::On { subscription: key("s").name, plan: plan("free") }]);
        assert!(seen.new.is_empty() && seen.gone.is_empty());
        // The last word of its file is the plan that it is on.
        let mut changes = vec![put("s", "silver"), put("s", "free")];
        let seen = Seen::of(&mut changes, at(NOW), known("s", "free"), |_| false);
        assert!(seen.on.is_empty());
    }

    #[test]
    fn what_was_gone_in_between_begins_anew() {
        let mut changes = vec![Change::Remove(key("s")), put("s", "free")];
        let seen = Seen::of(&mut changes, at(NOW), BTreeMap::new(), |_| true);
        assert_eq!(created(&changes), [Some(NOW)]);
        assert_eq!(seen.new, [(key("s"), Some(plan("free")))]);
        assert!(seen.gone.contains(&key("s")));
    }

    #[test]
    fn what_came_and_went_is_not_there() {
        let mut changes = vec![put("s", "free"), Change::Remove(key("s"))];
        let seen = Seen::of(&mut changes, at(NOW), BTreeMap::new(), |_| false);
        assert!(seen.new.is_empty());
        let mut changes = vec![put("s", "silver"), Change::Remove(key("s"))];
        let seen = Seen::of(&mut changes, at(NOW), known("s", "free"), |_| false);
        assert!(seen.new.is_empty() && seen.on.is_empty());
        assert!(seen.gone.contains(&key("s")), "it was known, and is forgotten");
    }

    #[test]
    fn what_nobody_tells_of_any_more_is_gone() {
        let seen = Seen::of(&mut [put("other", "free")], at(NOW), known("s", "free"), |_| false);
        assert_eq!(seen.new, [(key("other"), Some(plan("free")))]);
        assert!(seen.gone.contains(&key("s")));
        // Of what stands nothing has to be found out.
        let mut changes = vec![put("s", "silver")];
        let seen = Seen::of(&mut changes, at(NOW), BTreeMap::new(), |_| true);
        assert_eq!(created(&changes), [None]);
        assert!(seen.new.is_empty() && seen.gone.is_empty());
    }
}
