//! The maps that the core is made of.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;

use foldhash::fast::FixedState;

use crate::key::Name;

/// A hash map whose order is the same in every run.
pub(crate) type Map<K, V> = HashMap<K, V, FixedState>;

/// A hash set whose order is the same in every run.
pub(crate) type Set<K> = HashSet<K, FixedState>;

/// From one key to the names that refer to it. Nearly every key has one, and some have 100,000.
#[derive(Clone, Debug)]
pub(crate) struct Referrers<K> {
    names: Map<K, Names>,
}

#[derive(Clone, Debug)]
enum Names {
    One(Name),
    Many(BTreeSet<Name>),
}

impl<K> Default for Referrers<K> {
    fn default() -> Self {
        Referrers { names: Map::default() }
    }
}

impl<K: Eq + Hash> Referrers<K> {
    pub(crate) fn insert(&mut self, key: K, name: Name) {
        match self.names.entry(key) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(Names::One(name));
            }
            std::collections::hash_map::Entry::Occupied(mut entry) => match entry.get_mut() {
                Names::One(one) if *one == name => {}
                Names::One(one) => {
                    let both = BTreeSet::from([one.clone(), name]);
                    entry.insert(Names::Many(both));
                }
                Names::Many(many) => {
                    many.insert(name);
                }
            },
        }
    }

    pub(crate) fn remove(&mut self, key: &K, name: &Name) {
        let empty = match self.names.get_mut(key) {
            Some(Names::One(one)) => one == name,
            Some(Names::Many(many)) => {
                many.remove(name);
                many.is_empty()
            }
            None => false,
        };
        if empty {
            self.names.remove(key);
        }
    }

    /// The names, in order.
    pub(crate) fn of(&self, key: &K) -> impl Iterator<Item = &Name> {
        let (one, many) = match self.names.get(key) {
            Some(Names::One(one)) => (Some(one), None),
            Some(Names::Many(many)) => (None, Some(many.iter())),
            None => (None, None),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    pub(crate) fn count(&self, key: &K) -> usize {
        match self.names.get(key) {
            Some(Names::One(_)) => 1,
            Some(Names::Many(many)) => many.len(),
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn referrers_are_ordered_and_forgotten() {
        let mut referrers = Referrers::default();
        let names = ["b", "a", "c"].map(|name| Name::new("n", name));
        for name in names.clone().into_iter().chain(names.clone()) {
            referrers.insert(1, name);
        }
        assert_eq!(referrers.of(&1).map(Name::name).collect::<Vec<_>>(), ["a", "b", "c"]);
        for name in &names {
            referrers.remove(&1, name);
        }
        assert_eq!((referrers.count(&1), referrers.names.len()), (0, 0));
    }
}
