//! Answers to requests, from the inbox.

use std::collections::BTreeSet;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::Named;
use crate::act::answer::{Say, answer};
use crate::error::Oops;
use crate::form::Posted;
use crate::gather::address;
use crate::portal::{Portal, Visitor};

/// An answer, as a form has it.
#[derive(Debug, Deserialize)]
pub(crate) struct Said {
    once: String,
    decision: Option<String>,
    reason: Option<String>,
    /// The page that it was sent from.
    from: Option<String>,
}

/// Grants what is asked for.
pub(crate) async fn grant(
    state: State<Portal>,
    visitor: Extension<Visitor>,
    named: Path<(String, String)>,
    Posted(said): Posted<Said>,
) -> Result<Response, Oops> {
    send(state, visitor, named, Said { decision: Some("grant".to_owned()), ..said }).await
}

/// Turns it down, asks for changes, or takes back what was granted.
pub(crate) async fn refuse(
    state: State<Portal>,
    visitor: Extension<Visitor>,
    named: Path<(String, String)>,
    Posted(said): Posted<Said>,
) -> Result<Response, Oops> {
    if said.decision.as_deref() == Some("grant") {
        return Err(Oops::Bad("That is no answer.".to_owned()));
    }
    send(state, visitor, named, said).await
}

async fn send(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    said: Said,
) -> Result<Response, Oops> {
    let person = visitor.person.clone().ok_or(Oops::NotFound)?;
    let name = super::name(&named);
    let say = Say::read(said.decision.as_deref().unwrap_or_default(), said.reason.as_deref())?;
    let answer = portal.reading.look(|core| answer(core, &person, &name, &say, &mut BTreeSet::new()))?;
    answer.deed.carry_out(&portal, &person, &said.once).await?;
    let to = if said.from.as_deref() == Some("subscription") {
        address("subscriptions", &name)
    } else {
        "/requests".to_owned()
    };
    Ok(Redirect::to(&to).into_response())
}
