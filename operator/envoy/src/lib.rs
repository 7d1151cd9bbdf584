//! Envoy as a gateway of Portico's.
//!
//! [`translate`] turns what the core wants into Envoy resources, [`server`] gives them to Envoys and says what they
//! confirmed or refused, [`supervisor`] runs an Envoy, [`render`] shows the resources to people.
//!
//! Envoy decides on its own who may call what, and when Portico stops, goes on with what it has. Portico is asked while a
//! request is on its way only where a limit of an hour or more counts for it, and then Envoy can do without an answer.

pub mod render;
pub mod server;
pub mod supervisor;
pub mod translate;
