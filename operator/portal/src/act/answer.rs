//! Answers to requests. An answer is an Approval in the plan's namespace, written in the name of whoever gives it.

use portico_core::Core;
use portico_core::batch::Spec;
use portico_core::key::{Kind, Name};
use portico_crds::{ApprovalSpec, Decision, Grant, LocalRef, Stage};

use super::{Deed, refer};
use crate::error::Oops;
use crate::gather::offer::is_taken;
use crate::may::asked;
use crate::people::Person;
use crate::wish;

/// Grants what is asked for.
pub(crate) fn grant(core: &Core, person: &Person, name: &Name) -> Result<Deed, Oops> {
    let said = core.subscription(name).ok_or(Oops::NotFound)?;
    let (plan, called) = decided(core, name)?;
    let begins = core.plan(&plan).and_then(|plan| plan.sandbox.as_ref()).is_some_and(|sandbox| sandbox.required);
    let grant = Grant {
        plan: LocalRef { name: plan.name().to_string() },
        scopes: said.scopes.iter().map(|scope| scope.name.clone()).collect(),
        stage: if begins && !said.go_live { Stage::Sandbox } else { Stage::Production },
        terms: None,
        terms_version: None,
    };
    let spec = answer(person, name, &plan, Decision::Granted, Some(grant), None);
    Ok(deed(core, name, &plan, format!("Grant {called}"), spec))
}

/// Turns it down, or asks for changes.
pub(crate) fn refuse(
    core: &Core,
    person: &Person,
    name: &Name,
    decision: Decision,
    reason: &str,
) -> Result<Deed, Oops> {
    let does = match decision {
        Decision::Denied => "Turn down",
        Decision::ChangesRequested => "Ask for changes to",
        Decision::Granted => return Err(Oops::Bad("That is no answer.".to_owned())),
    };
    let reason = reason.trim();
    if !(1..=4096).contains(&reason.chars().count()) {
        return Err(Oops::Bad("Give a reason: whoever has asked reads it.".to_owned()));
    }
    let (plan, called) = decided(core, name)?;
    let spec = answer(person, name, &plan, decision, None, Some(reason.to_owned()));
    Ok(deed(core, name, &plan, format!("{does} {called}"), spec))
}

fn deed(core: &Core, name: &Name, plan: &Name, summary: String, spec: ApprovalSpec) -> Deed {
    let approval = answer_name(core, name, plan, spec.decision);
    let edits = vec![wish::put(approval, Spec::Approval(Box::new(spec)))];
    Deed { summary, edits, about: name.clone().of(Kind::Subscription) }
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
