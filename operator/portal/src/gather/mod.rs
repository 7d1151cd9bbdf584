//! What pages show, taken out of the core: quickly, since nothing changes meanwhile, and only what the visitor may see.

pub(crate) mod call;
pub(crate) mod catalog;
pub(crate) mod change;
pub(crate) mod compare;
pub(crate) mod consumer;
pub(crate) mod inbox;
pub(crate) mod life;
pub(crate) mod offer;
pub(crate) mod past;
pub(crate) mod plans;
pub(crate) mod product;
pub(crate) mod state;
pub(crate) mod subscribers;

use portico_core::key::Name;

/// The address of an object's page.
pub(crate) fn address(section: &str, name: &Name) -> String {
    format!("/{section}/{}/{}", name.namespace(), name.name())
}
