//! The portal as a service, asked as browsers do, without one.

mod api;
mod matrix;
mod scale;
mod secure;
mod world;
