//! Plans, and who uses them.

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::{Extension, Json};
use portico_core::key::Name;
use schemars::JsonSchema;
use serde::Deserialize;

use super::named;
use super::sent::{Everything, List, Listed};
use super::view::{Plan, Subscriber};
use crate::error::Oops;
use crate::gather::{plans, subscribers};
use crate::pages::{Named, name};
use crate::portal::{Portal, Visitor};

/// Which plans.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sought {
    /// A product that it covers, as NAMESPACE/NAME.
    #[schemars(regex(pattern = r"^[a-z0-9.-]{1,253}/[a-z0-9.-]{1,253}$"))]
    product: Option<String>,
}

/// Plans that whoever asks sees.
pub(super) async fn list(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
    Listed { sought: Sought { product }, part }: Listed<Sought>,
) -> Result<Response, Oops> {
    let product = product.map(|product| named("product", &product)).transpose()?;
    let person = visitor.person.as_ref();
    let (items, next) = portal.reading.look(|core| {
        let offered = |name: &&Name| plans::is_offered(core, person, name);
        let names: Vec<Name> = match &product {
            Some(product) => core.plans_of(product).filter(offered).cloned().collect(),
            None => core.plans().map(|(name, _)| name).filter(offered).cloned().collect(),
        };
        let (names, next) = part.of(names);
        (names.iter().filter_map(|name| Plan::of(core, person, name)).collect(), next)
    });
    Ok(List::<Plan> { items, next }.answer(&uri))
}

/// A plan.
pub(super) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
) -> Result<Json<Plan>, Oops> {
    let plan = portal.reading.look(|core| Plan::of(core, visitor.person.as_ref(), &name(&named)));
    plan.map(Json).ok_or(Oops::NotFound)
}

/// Who uses a plan.
pub(super) async fn subscribers(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    uri: Uri,
    Listed { sought: Everything {}, part }: Listed<Everything>,
) -> Result<Response, Oops> {
    let from = part.from()?;
    let names = portal.reading.look(|core| subscribers::to_plan(core, &name(&named)));
    let found = subscribers::find(&portal.reading, visitor.person.as_ref(), &names, "", (from, part.limit));
    let items: Vec<Subscriber> = found.part.into_iter().map(Subscriber::from).collect();
    let next = part.next_of(from, found.all);
    Ok(List { items, next }.answer(&uri))
}
