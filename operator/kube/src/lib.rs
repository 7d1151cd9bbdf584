//! Kubernetes as a front end of Portico: what objects say comes in, statuses, Secrets and Events go out.
//!
//! [`watch`] follows objects and tells what it sees, [`read`] makes desired state of them, [`secret`] and [`status`] say
//! what should stand in the cluster, [`write`](mod@write) puts it there, and [`outbox`] decides what to write when.
//! Nothing here decides who has access: that is the core's.

pub mod counts;
mod fence;
pub mod lease;
pub mod outbox;
pub mod portal;
pub mod read;
pub mod secret;
pub mod status;
pub mod uid;
pub mod watch;
pub mod write;

pub use kube::{Client, Config, Error};

/// Names Portico wherever Kubernetes wants to know who writes.
pub const MANAGER: &str = "portico";
