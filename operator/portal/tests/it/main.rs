//! The portal as a service, asked as browsers do, without one.

mod api;
mod applications;
mod life;
mod matrix;
mod requests;
mod scale;
mod secure;
mod teams;
mod world;
