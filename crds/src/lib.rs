//! The API types of Portico: group `portico.dev`, version `v1alpha1`, all of them namespaced.
//!
//! The documentation of fields becomes `kubectl explain`, so it is written for whoever writes the files.
//! `manifests/` holds the generated `CustomResourceDefinition` objects.

#![expect(clippy::duplicated_attributes, reason = "every printer column has a type, and most have the same")]

mod application;
mod approval;
mod common;
mod credential;
mod developer;
mod environment;
mod manifest;
mod plan;
mod portal;
mod price;
mod product;
mod subscription;
mod team;
mod time;

#[cfg(test)]
mod tests;

pub use application::*;
pub use approval::*;
pub use common::*;
pub use credential::*;
pub use developer::*;
pub use environment::*;
pub use manifest::{all, manifests};
pub use plan::*;
pub use portal::*;
pub use price::*;
pub use product::*;
pub use subscription::*;
pub use team::*;
pub use time::*;

/// The API group of every kind.
pub const GROUP: &str = "portico.dev";

/// The version of every kind.
pub const VERSION: &str = "v1alpha1";
