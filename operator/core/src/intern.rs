//! What is there many times and means the same is held once.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::key::Name;

/// What costs little to clone, since all clones share what they hold.
pub trait Shared: Clone + Eq + Hash {
    /// Whether anybody else holds the same one.
    fn is_shared(&self) -> bool;
}

impl Shared for Name {
    fn is_shared(&self) -> bool {
        Name::is_shared(self)
    }
}

impl<T: Eq + Hash> Shared for Arc<T> {
    fn is_shared(&self) -> bool {
        Arc::strong_count(self) > 1
    }
}

/// What is in use, so that each is there once. What nobody holds any more is forgotten when there is need of its place.
#[derive(Clone, Debug)]
pub struct Interner<T>(HashSet<T, FixedState>);

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Interner(HashSet::default())
    }
}

impl<T: Shared> Interner<T> {
    /// The one that is there already, or this one from now on.
    pub fn intern(&mut self, one: &T) -> T {
        if let Some(known) = self.0.get(one) {
            return known.clone();
        }
        if self.0.len() == self.0.capacity() {
            self.0.retain(T::is_shared);
        }
        self.0.insert(one.clone());
        one.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ones_are_the_same_and_what_nobody_holds_goes() {
        let mut texts = Interner::default();
        let one = texts.intern(&Arc::new("one".to_owned()));
        assert!(Arc::ptr_eq(&one, &texts.intern(&Arc::new("one".to_owned()))));
        for number in 0..1000 {
            texts.intern(&Arc::new(number.to_string()));
        }
        assert!(texts.0.len() < 100 && texts.0.contains(&one), "{} are kept", texts.0.len());
    }
}
