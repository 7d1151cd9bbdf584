//! Tests of the types, their schemas and their rules.

mod examples;
mod manifests;
mod reference;
mod rules;
mod types;
