//! Envoy as a gateway of Portico's.
//!
//! [`translate`] turns what the core wants into Envoy resources, [`server`] gives them to Envoys and says what they
//! confirmed or refused, [`supervisor`] runs an Envoy, [`render`] shows the resources to people.
//!
//! Envoy decides on its own who may call what: Portico is never asked while a request is on its way, and when it stops,
//! Envoy goes on with what it has.

pub mod render;
pub mod server;
pub mod supervisor;
pub mod translate;
