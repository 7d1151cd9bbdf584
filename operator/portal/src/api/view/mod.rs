//! What the API says of things.

mod consumer;
mod owner;
mod product;

pub(super) use consumer::{Application, Credential, Place, RevealedKey, Subscription};
pub(super) use owner::{Request, Subscriber};
pub(super) use product::{Plan, Product, ProductSummary};

use portico_core::key::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub(super) struct Ref {
    /// The namespace that it is in.
    #[schemars(length(min = 1, max = 253))]
    pub(super) namespace: String,
    /// Its name there.
    #[schemars(length(min = 1, max = 253))]
    pub(super) name: String,
}

impl Ref {
    pub(super) fn of(name: &Name) -> Ref {
        Ref { namespace: name.namespace().to_string(), name: name.name().to_string() }
    }

    pub(super) fn name(&self) -> Name {
        Name::new(&self.namespace, &self.name)
    }
}
