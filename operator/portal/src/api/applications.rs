//! Applications.

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;

use super::accepted::carry;
use super::sent::{List, Listed, Object, Sent};
use super::view::{Application, Ref};
use super::{named, person};
use crate::act;
use crate::error::Oops;
use crate::gather::consumer;
use crate::pages::{Named, name};
use crate::portal::{Portal, Visitor};

/// Which applications.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sought {
    /// The team that owns it, as NAMESPACE/NAME.
    #[schemars(regex(pattern = r"^[a-z0-9.-]{1,253}/[a-z0-9.-]{1,253}$"))]
    team: Option<String>,
}

/// Applications of one's teams.
pub(super) async fn list(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
    Listed { sought: Sought { team }, part }: Listed<Sought>,
) -> Result<Response, Oops> {
    let team = team.map(|team| named("team", &team)).transpose()?;
    let person = person(&visitor)?;
    let (items, next) = portal.reading.look(|core| {
        let names = consumer::applications(core, person, |one| team.as_ref().is_none_or(|team| one == team));
        let (names, next) = part.of(names);
        (names.iter().filter_map(|name| Application::of(core, name)).collect(), next)
    });
    Ok(List::<Application> { items, next }.answer(&uri))
}

/// An application.
pub(super) async fn show(State(portal): State<Portal>, Path(named): Named) -> Result<Json<Application>, Oops> {
    portal.reading.look(|core| Application::of(core, &name(&named))).map(Json).ok_or(Oops::NotFound)
}

/// A new application.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewApplication {
    /// The team that owns it.
    team: Object<Ref>,
    /// What people call it.
    #[schemars(length(min = 3, max = 128))]
    title: String,
    /// What it does.
    #[schemars(length(max = 4096))]
    description: Option<String>,
}

/// Makes an application.
pub(super) async fn make(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    sent: Sent<NewApplication>,
) -> Result<Response, Oops> {
    let person = person(&visitor)?;
    let NewApplication { team: Object(team), title, description } = sent.said;
    let description = description.unwrap_or_default();
    carry(&portal, person, &sent.once, |core| {
        act::application::make(core, person, &team.name(), &title, &description, Vec::new())
    })
    .await
}
