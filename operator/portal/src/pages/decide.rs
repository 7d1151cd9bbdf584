//! Answers to requests, from the inbox.

use std::collections::BTreeSet;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};

use super::Named;
use crate::act::answer::{Say, answer};
use crate::error::Oops;
use crate::form::Posted;
use crate::gather::address;
use crate::portal::{Portal, Visitor};

/// Grants what is asked for.
pub(crate) async fn grant(
    state: State<Portal>,
    visitor: Extension<Visitor>,
    named: Path<(String, String)>,
    Posted(pairs): Posted<Vec<(String, String)>>,
) -> Result<Response, Oops> {
    send(state, visitor, named, "grant", &pairs).await
}

/// Turns it down, asks for changes, or takes back what was granted.
pub(crate) async fn refuse(
    state: State<Portal>,
    visitor: Extension<Visitor>,
    named: Path<(String, String)>,
    Posted(pairs): Posted<Vec<(String, String)>>,
) -> Result<Response, Oops> {
    match value(&pairs, "decision") {
        Some(decision) if decision != "grant" => send(state, visitor, named, decision, &pairs).await,
        _ => Err(Oops::Bad("That is no answer.".to_owned())),
    }
}

fn value<'a>(pairs: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
}

async fn send(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    decision: &str,
    pairs: &[(String, String)],
) -> Result<Response, Oops> {
    let person = visitor.person.clone().ok_or(Oops::NotFound)?;
    let name = super::name(&named);
    let missing = || Oops::Bad("Something is missing in the form. Go back and try again.".to_owned());
    let once = value(pairs, "once").ok_or_else(missing)?;
    let scopes = pairs.iter().filter(|(name, _)| name == "scope");
    let scopes: Vec<String> = scopes.map(|(_, scope)| scope.clone()).collect();
    let say = Say::read(decision, value(pairs, "reason"), &scopes)?;
    // What was shown that is asked for.
    let saw = value(pairs, "seen");
    let answer = portal.reading.look(|core| answer(core, &person, &name, &say, saw, &mut BTreeSet::new()))?;
    answer.deed.carry_out(&portal, &person, once).await?;
    let is_from_there = value(pairs, "from") == Some("subscription");
    let to = if is_from_there { address("subscriptions", &name) } else { "/requests".to_owned() };
    Ok(Redirect::to(&to).into_response())
}
