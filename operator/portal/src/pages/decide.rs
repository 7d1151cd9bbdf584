//! Answers to requests, from the inbox.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use portico_crds::Decision;
use serde::Deserialize;

use super::Named;
use crate::act::answer;
use crate::error::Oops;
use crate::form::Posted;
use crate::portal::{Portal, Visitor};

/// A yes.
#[derive(Debug, Deserialize)]
pub(crate) struct Yes {
    once: String,
}

/// Grants what is asked for.
pub(crate) async fn grant(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Posted(Yes { once }): Posted<Yes>,
) -> Result<Response, Oops> {
    let person = visitor.person.clone().ok_or(Oops::NotFound)?;
    let name = super::name(&named);
    let deed = portal.reading.look(|core| answer::grant(core, &person, &name))?;
    deed.carry_out(&portal, &person, &once).await?;
    Ok(Redirect::to("/requests").into_response())
}

/// A no, or not yet.
#[derive(Debug, Deserialize)]
pub(crate) struct No {
    once: String,
    decision: String,
    reason: String,
}

/// Turns it down, or asks for changes.
pub(crate) async fn refuse(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Posted(No { once, decision, reason }): Posted<No>,
) -> Result<Response, Oops> {
    let person = visitor.person.clone().ok_or(Oops::NotFound)?;
    let name = super::name(&named);
    let decision = match decision.as_str() {
        "deny" => Decision::Denied,
        "changes" => Decision::ChangesRequested,
        _ => return Err(Oops::Bad("That is no answer.".to_owned())),
    };
    let deed = portal.reading.look(|core| answer::refuse(core, &person, &name, decision, &reason))?;
    deed.carry_out(&portal, &person, &once).await?;
    Ok(Redirect::to("/requests").into_response())
}
