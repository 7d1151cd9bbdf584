//! Requests that wait for an owner's answer.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::{Extension, Json};
use portico_core::key::Name;
use schemars::JsonSchema;
use serde::Deserialize;

use super::accepted::carry;
use super::person;
use super::sent::{Bare, List, Listed, Once, Sent};
use super::view::Request;
use crate::act::answer::{Say, answer};
use crate::error::Oops;
use crate::gather::inbox;
use crate::pages::{Named, name};
use crate::people::Person;
use crate::portal::{Portal, Visitor};

/// Which requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Sought {
    /// Whether whoever asks may answer it.
    may_decide: Option<bool>,
}

/// Requests for what one looks after.
pub(super) async fn list(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
    Listed { sought: Sought { may_decide }, part }: Listed<Sought>,
) -> Result<Response, Oops> {
    let person = person(&visitor)?;
    let (items, next) = portal.reading.look(|core| {
        let names = inbox::waiting(core, person, may_decide);
        let (names, next) = part.of(names);
        let items = names.iter().filter_map(|name| inbox::request(core, person, name)).map(Request::from);
        (items.collect(), next)
    });
    Ok(List::<Request> { items, next }.answer(&uri))
}

/// A request.
pub(super) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
) -> Result<Json<Request>, Oops> {
    let (person, name) = (person(&visitor)?, name(&named));
    let found = portal.reading.look(|core| if core.asks(&name) { inbox::request(core, person, &name) } else { None });
    found.map(|request| Json(Request::from(request))).ok_or(Oops::NotFound)
}

/// Grants what is asked for.
pub(super) async fn grant(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Bare { once, headers: _ }: Bare,
) -> Result<Response, Oops> {
    let (person, name) = (person(&visitor)?, name(&named));
    say(&portal, person, &once, &name, &Say::Yes).await
}

/// A no, or not yet.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Refusal {
    decision: No,
    /// Why, for whoever has asked.
    #[schemars(length(min = 1, max = 4096))]
    reason: String,
}

/// Which no.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "RefusalDecision")]
enum No {
    /// It is turned down.
    Denied,
    /// It can be asked for anew, with changes.
    ChangesRequested,
}

/// Turns a request down, or asks for changes.
pub(super) async fn refuse(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    sent: Sent<Refusal>,
) -> Result<Response, Oops> {
    let (person, name) = (person(&visitor)?, name(&named));
    let Refusal { decision, reason } = sent.said;
    let decision = match decision {
        No::Denied => "deny",
        No::ChangesRequested => "changes",
    };
    say(&portal, person, &sent.once, &name, &Say::read(decision, Some(&reason), &[])?).await
}

/// Gives an answer.
async fn say(portal: &Portal, person: &Person, once: &Once, name: &Name, say: &Say) -> Result<Response, Oops> {
    carry(portal, person, once, |core| Ok(answer(core, person, name, say, None, &mut BTreeSet::new())?.deed)).await
}
