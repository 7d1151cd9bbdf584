//! The portal as a service, asked as browsers do, without one.

mod history;
mod matrix;
mod review;
mod scale;
mod secure;
mod world;
