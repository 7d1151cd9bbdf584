//! The local secret store of embedded mode: the API keys that Portico made, sealed, in one `SQLite` file.
//!
//! # Guarantees
//!
//! - A key is stored before anybody is told of it, and a call that fails has changed nothing: each call is one
//!   transaction, on disk when the call returns.
//! - A destroyed key never comes back. A generation that is asked for again gets a new key, and the fingerprint of the old
//!   one is remembered for good.
//! - Keys are sealed with XChaCha20-Poly1305 under a data key that lives in a file of its own, and each is bound to its
//!   credential and generation: rows that somebody swaps do not open.
//! - One process at a time holds a store; nobody but its owner can read its files.
//!
//! Beside keys it remembers since when each object is there ([`Store::first_seen`]) and single values such as the
//! last enforced commit ([`Store::meta`]), and what was counted against long limits ([`Store::counts`]). The crate knows no clock: time comes in as data.

mod counts;
mod database;
mod keys;
mod memory;
mod open;
mod seal;

pub use database::StoreError;
pub use keys::{ImportError, Made, Revoked};
pub use open::{OpenError, Store};
pub use seal::{DataKeyError, KeyLocation};
