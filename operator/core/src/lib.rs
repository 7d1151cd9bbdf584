//! The pure core of Portico.
//!
//! Desired state and facts go in as a [`batch::Batch`], changed outputs come out as a [`delta::Delta`]. No I/O, no clock,
//! no randomness, no Kubernetes client: the same batches give the same deltas, byte for byte.

pub mod access;
pub mod api_key;
pub mod batch;
mod core;
pub mod deletion;
pub mod delta;
pub mod diagnostic;
pub mod explain;
pub mod gateway;
pub mod intern;
pub mod key;
pub mod life;
pub mod look;
pub mod openapi;
pub mod quota;
mod resolve;
pub mod status;
mod table;
pub mod validate;
mod world;

pub use core::Core;
