//! Answers to requests. An answer is an Approval in the plan's namespace, written in the name of whoever gives it.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use portico_core::Core;
use portico_core::batch::Spec;
use portico_core::key::{Kind, Name};
use portico_crds::{ApprovalSpec, Decision, Grant, LocalRef, Stage};
use serde::Deserialize;

use super::Named;
use super::subscribe::refer;
use crate::error::Oops;
use crate::form::Posted;
use crate::gather::offer::is_taken;
use crate::may::asked;
use crate::people::Person;
use crate::portal::{Portal, Visitor};
use crate::wish;

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
    let (approval, spec, called) = portal.reading.look(|core| {
        let said = core.subscription(&name).ok_or(Oops::NotFound)?;
        let (plan, called) = decided(core, &name)?;
        let begins = core.plan(&plan).and_then(|plan| plan.sandbox.as_ref()).is_some_and(|sandbox| sandbox.required);
        let grant = Grant {
            plan: LocalRef { name: plan.name().to_string() },
            scopes: said.scopes.iter().map(|scope| scope.name.clone()).collect(),
            stage: if begins && !said.go_live { Stage::Sandbox } else { Stage::Production },
            terms: None,
            terms_version: None,
        };
        let spec = answer(&person, &name, &plan, Decision::Granted, Some(grant), None);
        Ok::<_, Oops>((answer_name(core, &name, &plan, Decision::Granted), spec, called))
    })?;
    send(&portal, &person, &once, format!("Grant {called}"), approval, spec).await
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
    let (decision, does) = match decision.as_str() {
        "deny" => (Decision::Denied, "Turn down"),
        "changes" => (Decision::ChangesRequested, "Ask for changes to"),
        _ => return Err(Oops::Bad("That is no answer.".to_owned())),
    };
    let reason = reason.trim();
    if !(1..=4096).contains(&reason.chars().count()) {
        return Err(Oops::Bad("Give a reason: whoever has asked reads it.".to_owned()));
    }
    let (approval, spec, called) = portal.reading.look(|core| {
        let (plan, called) = decided(core, &name)?;
        let spec = answer(&person, &name, &plan, decision, None, Some(reason.to_owned()));
        Ok::<_, Oops>((answer_name(core, &name, &plan, decision), spec, called))
    })?;
    send(&portal, &person, &once, format!("{does} {called}"), approval, spec).await
}

async fn send(
    portal: &Portal,
    person: &Person,
    once: &str,
    summary: String,
    approval: Name,
    spec: ApprovalSpec,
) -> Result<Response, Oops> {
    let edits = vec![wish::put(approval, Spec::Approval(Box::new(spec)))];
    wish::carry_out(portal, person, once, summary, edits).await?;
    Ok(Redirect::to("/requests").into_response())
}

/// The plan that an answer is about, and what to call the request. What is asked for last is what waits.
fn decided(core: &Core, name: &Name) -> Result<(Name, String), Oops> {
    if !core.asks(name) {
        return Err(Oops::Bad("This request was answered already, or taken back.".to_owned()));
    }
    let said = core.subscription(name).ok_or(Oops::NotFound)?;
    let plan = asked(core, name).pop().ok_or(Oops::NotFound)?;
    let application = Name::new(name.namespace(), said.application.name.as_str());
    let application = core.application(&application).map_or(said.application.name, |spec| spec.title.clone());
    let title = core.plan(&plan).map_or_else(|| plan.to_string(), |plan| plan.title.clone());
    Ok((plan, format!("{application} on plan {title}")))
}

fn answer(
    person: &Person,
    name: &Name,
    plan: &Name,
    decision: Decision,
    grant: Option<Grant>,
    reason: Option<String>,
) -> ApprovalSpec {
    ApprovalSpec {
        subscription: refer(name, plan.namespace()),
        decision,
        about: grant.is_none().then(|| LocalRef { name: plan.name().to_string() }),
        grant,
        reason,
        by: Some(person.mail.clone()),
    }
}

/// The newest answer that is there already, or a name for a new one. What grants something goes on granting it until somebody
/// takes that away: only another grant of the same plan takes its place.
fn answer_name(core: &Core, name: &Name, plan: &Name, decision: Decision) -> Name {
    let there = core.approvals_of(name).filter(|answer| answer.namespace() == plan.namespace());
    let newest = there.max_by_key(|answer| (core.created(&(*answer).clone().of(Kind::Approval)), *answer));
    let gives_way = |answer: &&Name| {
        let grant = core.approval(answer).filter(|said| said.decision == Decision::Granted);
        let grant = grant.and_then(|said| said.grant.as_ref());
        grant.is_none_or(|grant| decision == Decision::Granted && grant.plan.name == plan.name())
    };
    newest.filter(gives_way).cloned().unwrap_or_else(|| {
        let taken = |short: &str| is_taken(core, Kind::Approval, plan.namespace(), short);
        let short = wish::name(&format!("{}-{}", name.namespace(), name.name()), "approval", taken);
        Name::new(plan.namespace(), short)
    })
}
