//! Writing desired state, into real repositories.
#![allow(clippy::allow_attributes, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod bad_input;
mod concurrent;
mod conflicts;
mod edits;
mod once;
mod remote;
mod review;
mod stage;
mod touched;
mod trail;
mod work_tree;
