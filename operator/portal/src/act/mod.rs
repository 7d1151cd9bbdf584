//! What people do: what somebody wants, looked at by all rules, and made edits of desired state. Pages and the API both come
//! here, so that a rule stands in one place.

pub(crate) mod answer;
pub(crate) mod application;
pub(crate) mod credential;
pub(crate) mod subscribe;
pub(crate) mod subscription;

use portico_core::key::{Name, ObjectKey};
use portico_crds::NamespacedRef;

use crate::error::Oops;
use crate::host::{Edit, Landed};
use crate::people::Person;
use crate::portal::Portal;
use crate::wish;

/// Something to be done.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    /// On one line.
    pub(crate) summary: String,
    pub(crate) edits: Vec<Edit>,
    /// The object that it is about: where one looks to see what became of it.
    pub(crate) about: ObjectKey,
}

impl Deed {
    /// Has it written down. See [`wish::submit`].
    pub(crate) async fn submit(self, portal: &Portal, person: &Person, once: &str) -> Result<Landed, Oops> {
        wish::submit(portal, person, once, self.summary, self.edits).await
    }

    /// The same, and waits a moment until it is read.
    pub(crate) async fn carry_out(self, portal: &Portal, person: &Person, once: &str) -> Result<Landed, Oops> {
        wish::carry_out(portal, person, once, self.summary, self.edits).await
    }
}

/// A name as an object of a namespace writes it down.
pub(crate) fn refer(name: &Name, from: &str) -> NamespacedRef {
    NamespacedRef {
        name: name.name().to_string(),
        namespace: (name.namespace() != from).then(|| name.namespace().to_string()),
    }
}
