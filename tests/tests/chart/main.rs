//! The Helm chart: what it renders, and what a real API server makes of it.

mod admission;
mod authors;
mod envoy;
mod examples;
mod image;
mod install;
mod render;
mod rights;
mod site;
