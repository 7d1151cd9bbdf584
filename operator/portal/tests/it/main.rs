//! The portal as a service, asked as browsers do, without one.

mod api;
mod applications;
mod history;
mod life;
mod matrix;
mod requests;
mod review;
mod scale;
mod secure;
mod teams;
mod world;
