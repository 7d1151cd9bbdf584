//! The Secrets that Portico made, as they stand in the cluster.

use std::collections::HashMap;

use portico_core::key::Name;
use portico_kube::secret::Delivered;

/// Secrets by name, and by the credential that they belong to.
#[derive(Debug, Default)]
pub struct Secrets {
    known: HashMap<Name, Delivered>,
    of: HashMap<Name, Vec<Name>>,
}

impl Secrets {
    /// A Secret is like this now. Answers how it was before.
    pub fn insert(&mut self, delivered: Delivered) -> Option<Delivered> {
        let before = self.remove(&delivered.name);
        self.of
            .entry(delivered.credential.clone())
            .or_insert_with(|| Vec::with_capacity(1))
            .push(delivered.name.clone());
        self.known.insert(delivered.name.clone(), delivered);
        before
    }

    /// A Secret is gone. Answers how it was.
    pub fn remove(&mut self, name: &Name) -> Option<Delivered> {
        let gone = self.known.remove(name)?;
        if let Some(names) = self.of.get_mut(&gone.credential) {
            names.retain(|known| known != name);
            if names.is_empty() {
                self.of.remove(&gone.credential);
            }
        }
        Some(gone)
    }

    /// The Secret of a name.
    pub fn get(&self, name: &Name) -> Option<&Delivered> {
        self.known.get(name)
    }

    /// The Secrets of a credential.
    pub fn of(&self, credential: &Name) -> impl Iterator<Item = &Delivered> {
        self.of.get(credential).into_iter().flatten().filter_map(|name| self.known.get(name))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Delivered> {
        self.known.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }
}
