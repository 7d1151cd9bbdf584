//! Tests of the types, their schemas and their rules.

mod manifests;
mod rules;
mod types;
