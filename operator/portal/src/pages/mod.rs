//! Pages. Each asks the core once, and then makes what it shows.

mod answer;
pub(crate) mod api;
pub(crate) mod application_edit;
pub(crate) mod applications;
pub(crate) mod catalog;
pub(crate) mod credential;
pub(crate) mod decide;
pub(crate) mod decide_many;
pub(crate) mod design;
pub(crate) mod explorer;
pub(crate) mod history;
pub(crate) mod inbox;
pub(crate) mod landed;
pub(crate) mod life;
pub(crate) mod plan_change;
pub(crate) mod product;
pub(crate) mod reference;
pub(crate) mod review;
pub(crate) mod scopes;
pub(crate) mod subscribe;
pub(crate) mod subscribers;
pub(crate) mod subscription;
pub(crate) mod tokens;

use portico_core::key::Name;

/// The two parts of an object's name, as an address has them.
pub(crate) type Named = axum::extract::Path<(String, String)>;

/// The name that an address has.
pub(crate) fn name((namespace, name): &(String, String)) -> Name {
    Name::new(namespace.as_str(), name.as_str())
}
