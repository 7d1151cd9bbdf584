//! Keys: which there should be, and the Secrets that they stand in.

use std::time::Instant;

use portico_core::delta::KeyWish;
use portico_core::key::{Kind, Name};
use portico_kube::secret::{Delivered, Key};
use portico_kube::uid::Uid;

use super::Engine;
use crate::operator::work::Task;

impl Engine {
    /// A Secret of Portico's as it stands now.
    pub(super) fn delivered(&mut self, delivered: Delivered) {
        let delivered = self.interned(delivered);
        let credential = delivered.credential.clone();
        let before = self.secrets.insert(delivered.clone());
        if !self.missing.is_empty() {
            return;
        }
        // Another replica made them; this one is to let them in as well.
        let belongs = self.belongs(&delivered);
        let wanted = self
            .wishes
            .get(&credential)
            .filter(|_| belongs)
            .map(|wish| wish.generations.as_slice())
            .unwrap_or_default();
        let is_fresh = |key: &Key| self.fresh.get(&credential).is_some_and(|fresh| fresh.iter().any(|one| one == key));
        let new = delivered.keys.iter().filter(|key| wanted.contains(&key.generation) && !is_fresh(key)).cloned();
        for key in new.collect::<Vec<_>>() {
            self.facts.extend(self.held.take(&credential, key));
        }
        let was_right = before.is_some_and(|before| self.is_right(&before));
        if !self.is_right(&delivered) {
            if was_right {
                self.repair(&credential, "was changed");
            } else {
                self.outbox.want(Task::Secret(credential), Instant::now());
            }
        }
    }

    /// The same, with names that are there already.
    pub(in crate::operator) fn interned(&mut self, delivered: Delivered) -> Delivered {
        let Delivered { name, credential, .. } = &delivered;
        Delivered { name: self.core.intern(name), credential: self.core.intern(credential), ..delivered }
    }

    /// Whether a Secret is that of the credential that stands there, for the subscription and the application that stand
    /// there, and not for ones before them with the same names.
    pub(super) fn belongs(&self, delivered: &Delivered) -> bool {
        let standing = self.objects.get(&delivered.credential.clone().of(Kind::Credential));
        let from = delivered.from.as_ref().zip(self.from(&delivered.credential));
        standing.is_some_and(|standing| standing.uid == delivered.owner) && from.is_none_or(|(then, now)| *then == now)
    }

    /// Whom the keys of a credential are from.
    pub(in crate::operator) fn from(&self, credential: &Name) -> Option<Box<[Uid]>> {
        self.givers.of(credential, |key| self.objects.get(key).map(|standing| standing.uid))
    }

    pub(super) fn repair(&mut self, credential: &Name, what: &str) {
        let task = Task::Secret(credential.clone());
        let is_wanted =
            self.wishes.contains_key(credential) && self.objects.contains_key(&credential.clone().of(Kind::Credential));
        if self.missing.is_empty() && is_wanted && !self.outbox.has(&task) {
            let text = format!("the Secret with its key {what}; the same key is delivered again");
            self.note(&credential.clone().of(Kind::Credential), true, "SecretRestored", &text);
        }
        self.outbox.want(task, Instant::now());
    }

    /// A Secret may have the keys that credentials of its namespace wait for.
    pub(super) fn ask_for_imports(&mut self, secret: &Name) {
        let waiting = self.wishes.values().filter(|wish| {
            let is_here = wish.credential.namespace() == secret.namespace();
            is_here && wish.import.as_ref().is_some_and(|import| import.name == secret.name())
        });
        for wish in waiting {
            // What was refused is not tried again: another key may stand there now.
            if let Some(fresh) = self.fresh.get_mut(&wish.credential) {
                fresh.retain(|key| wish.imports(key.generation).is_none());
            }
            self.outbox.want(Task::Secret(wish.credential.clone()), Instant::now());
        }
    }

    /// Keys that should exist, and those that should not. What should not is forgotten before anything is written.
    pub(super) fn wish(&mut self, wishes: Vec<KeyWish>) {
        let now = Instant::now();
        for wish in wishes {
            let KeyWish { credential, generations, .. } = &wish;
            let credential = credential.clone();
            self.facts.extend(self.held.retain(&credential, generations));
            if let Some(fresh) = self.fresh.get_mut(&credential) {
                fresh.retain(|key| generations.contains(&key.generation));
            }
            // Keys that another replica delivered before this one knew that they are wanted.
            let delivered = self.secrets.of(&credential).filter(|delivered| !self.is_leader && self.belongs(delivered));
            let known: Vec<Key> = delivered
                .flat_map(|delivered| &delivered.keys)
                .filter(|key| generations.contains(&key.generation))
                .cloned()
                .collect();
            for key in known {
                self.facts.extend(self.held.take(&credential, key));
            }
            if generations.is_empty() {
                self.wishes.remove(&credential);
            } else {
                self.wishes.insert(credential.clone(), wish);
            }
            self.outbox.want(Task::Secret(credential), now);
        }
    }
}
