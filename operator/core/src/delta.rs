//! What comes out: the keyed outputs that a batch changed.

use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::{SecretRef, Span};

use crate::batch::Fact;
use crate::gateway::{Api, Client, Gateway};
use crate::key::{Name, ObjectKey};
use crate::resolve::after;

/// What an output is for. The same key is put again when its value changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OutputKey {
    /// The listeners of an environment.
    Gateway {
        /// The environment.
        environment: Name,
    },
    /// A product's endpoint; `index` is its place in `spec.endpoints`.
    Api {
        /// The environment.
        environment: Name,
        /// The product.
        product: Name,
        /// The place in the product's list of endpoints.
        index: u32,
    },
    /// A credential at a gateway.
    Client {
        /// The environment.
        environment: Name,
        /// The credential.
        credential: Name,
    },
}

impl OutputKey {
    /// The environment that the output belongs to.
    pub fn environment(&self) -> &Name {
        match self {
            OutputKey::Gateway { environment }
            | OutputKey::Api { environment, .. }
            | OutputKey::Client { environment, .. } => environment,
        }
    }
}

/// What an output says.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// For [`OutputKey::Gateway`].
    Gateway(Box<Gateway>),
    /// For [`OutputKey::Api`].
    Api(Box<Api>),
    /// For [`OutputKey::Client`].
    Client(Arc<Client>),
}

/// An output that is new or different.
#[derive(Clone, Debug, PartialEq)]
pub struct Put {
    /// What it is for.
    pub key: OutputKey,
    /// What it says now.
    pub output: Output,
    /// Counts every put and removal of every output, upwards. A gateway that confirms a serial has confirmed all below.
    pub serial: u64,
    /// Whether there was one before.
    pub replaces: bool,
}

/// An output that is no longer wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// What it was for.
    pub key: OutputKey,
    /// See [`Put::serial`].
    pub serial: u64,
}

/// What should be in the secret store for a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyWish {
    /// The credential.
    pub credential: Name,
    /// Generations that should have a key; those that have none get one. Keys of other generations are destroyed.
    /// Empty: the credential is revoked, and no key of it may ever work again.
    pub generations: Vec<i64>,
    /// The `spec.generation` that those are made for. It stays behind where a credential rotates by itself.
    pub asked: i64,
    /// How long those are good for.
    pub lifetime: Option<Span>,
    /// Where the key of generation 1 comes from: it is not to be made.
    pub import: Option<Box<SecretRef>>,
}

impl KeyWish {
    /// One for keys without an end, the newest of which was asked for as such.
    pub fn new(credential: Name, generations: Vec<i64>) -> Self {
        let asked = generations.last().copied().unwrap_or_default();
        KeyWish { credential, generations, asked, lifetime: None, import: None }
    }

    /// Where the key of a generation comes from, if it is not to be made.
    pub fn imports(&self, generation: i64) -> Option<&SecretRef> {
        self.import.as_deref().filter(|_| generation == 1)
    }

    /// When a key ends that is made now.
    pub fn expiry(&self, now: Timestamp) -> Option<Timestamp> {
        self.lifetime.map(|lifetime| after(now, lifetime))
    }

    /// That one of its generations was made.
    pub fn fulfilled(&self, generation: i64, at: Timestamp, fingerprint: Arc<str>) -> Fact {
        let (credential, expires) = (self.credential.clone(), self.expiry(at));
        Fact::KeyMade { credential, generation, asked: self.asked, at, expires, fingerprint }
    }
}

/// What a batch changed. Apply removals first, then key wishes, then puts: what takes access away never waits for what
/// gives it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delta {
    /// Outputs that are no longer wanted, in order of their keys.
    pub removals: Vec<Removal>,
    /// Outputs that are new or different. Those that only take access away come first.
    pub puts: Vec<Put>,
    /// Secrets to make or to destroy; the result comes back as a fact. Those that only destroy come first.
    pub keys: Vec<KeyWish>,
    /// Subscriptions that were cancelled, and when their end took effect: to be remembered, and reported once more after a restart
    /// ([`crate::batch::Fact::Ended`]).
    pub ended: Vec<(Name, Timestamp)>,
    /// Subscriptions that are on another plan than their files said before or say now, and that plan: to be remembered, and reported
    /// once more after a restart ([`crate::batch::Fact::On`]).
    pub on: Vec<(Name, Name)>,
    /// Objects whose status is different now; ask the core for it.
    pub statuses: Vec<ObjectKey>,
    /// How many nodes were computed, for the benchmark and the metrics.
    pub recomputed: usize,
    /// When the core wants to be asked again although nothing changed.
    pub wake: Option<Timestamp>,
}
