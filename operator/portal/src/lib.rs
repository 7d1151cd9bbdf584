//! Portico's developer portal: pages and an API for people who look for APIs, subscribe to plans and decide about requests.
//!
//! It reads the core through a [`Reading`] and whatever else it needs through a [`Host`], which a front end implements. It
//! keeps nothing of its own but who is signed in, and that is in the browser, sealed; and digests of tokens, which the front
//! end remembers for it.

mod act;
mod api;
mod assets;
mod clock;
mod color;
mod documents;
mod error;
mod follow;
mod forge;
mod form;
mod gather;
mod guard;
mod host;
mod limiter;
mod markdown;
mod may;
mod openapi;
mod pages;
mod past;
mod people;
mod portal;
mod review;
mod routes;
mod seal;
mod search;
mod session;
mod shared;
mod sign_in;
mod tokens;
mod told;
mod ui;
mod waiting;
mod wish;
mod words;

pub use host::{Edit, Host, HostError, Key, Landed, Refused, Remembered, Wish};
pub use past::{Asked, Changed, Concern, Entry, Past};
pub use portal::{Portal, Settings};
pub use routes::{Action, Reach, Route, router, routes, serve};
pub use seal::SealingKey;
pub use shared::{Reading, Shared};
pub use tokens::Scope;
pub use waiting::{Fate, Verdict, Waiting};
