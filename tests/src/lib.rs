//! What tests and benchmarks of the whole program share.
//!
//! A test takes a [`repo::Repo`], points it at an [`upstream::Upstream`], starts [`portico::Portico`] on it, and speaks to
//! the Envoy in front through [`http::Connection`]. All of it is blocking, on loopback, on free ports and in temporary
//! folders, and all of it is gone when the values are dropped, also when a test fails.
//!
//! Setting up panics when it cannot: a test that cannot begin has failed, and the message says what was missing.

pub mod admin;
pub mod argocd;
pub mod bare;
pub mod cluster;
pub mod files;
pub mod flux;
pub mod gateway;
pub mod generate;
pub mod helm;
pub mod http;
pub mod life;
pub mod load;
pub mod mailpit;
pub mod mutual;
pub mod operator;
pub mod otelcol;
pub mod portico;
pub mod ports;
pub mod processes;
pub mod proxy;
pub mod repo;
pub mod scenario;
pub mod scripts;
pub mod upstream;
pub mod visitor;
pub mod wait;
