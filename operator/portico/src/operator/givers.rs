//! Whom keys come from: the Subscription or the Application of a Credential, by the uids that they have now.

use std::collections::HashMap;

use portico_core::batch::{Object, Spec};
use portico_core::key::{Kind, Name, ObjectKey};
use portico_kube::uid::Uid;

/// What Credentials and Subscriptions refer to. None of it can be changed.
#[derive(Debug, Default)]
pub struct Givers {
    known: HashMap<ObjectKey, ObjectKey>,
}

impl Givers {
    /// An object is there.
    pub fn met(&mut self, object: &Object, mut intern: impl FnMut(&Name) -> Name) {
        let mut beside = |kind: Kind, name: &str| intern(&object.name.beside(name)).of(kind);
        let (kind, giver) = match &object.spec {
            Spec::Credential(spec) => match (&spec.subscription, &spec.application) {
                (Some(subscription), _) => (Kind::Credential, beside(Kind::Subscription, &subscription.name)),
                (None, Some(application)) => (Kind::Credential, beside(Kind::Application, &application.name)),
                (None, None) => return,
            },
            Spec::Subscription(spec) => (Kind::Subscription, beside(Kind::Application, &spec.application.name)),
            _ => return,
        };
        self.known.insert(object.name.clone().of(kind), giver);
    }

    /// An object is gone.
    pub fn gone(&mut self, key: &ObjectKey) {
        self.known.remove(key);
    }

    /// The uids of all that a credential's keys are from; `None` where something is missing.
    pub fn of(&self, credential: &Name, uid: impl Fn(&ObjectKey) -> Option<Uid>) -> Option<Box<[Uid]>> {
        let mut uids = Vec::new();
        let mut next = self.known.get(&credential.clone().of(Kind::Credential))?;
        loop {
            uids.push(uid(next)?);
            if next.kind == Kind::Application {
                return Some(uids.into());
            }
            next = self.known.get(next)?;
        }
    }
}
