//! The portal as a service, asked as browsers do, without one.

mod matrix;
mod scale;
mod secure;
mod teams;
mod world;
