//! Answers to requests. An answer is an Approval in the plan's namespace, written in the name of whoever gives it.

use std::collections::BTreeSet;

use portico_core::Core;
use portico_core::batch::Spec;
use portico_core::key::{Kind, Name};
use portico_crds::{ApprovalSpec, Decision, Grant, LocalRef};

use super::{Deed, refer};
use crate::error::Oops;
use crate::gather::inbox;
use crate::gather::offer::is_taken;
use crate::gather::state;
use crate::may::{Undecided, asked, decides_about};
use crate::people::Person;
use crate::wish;

/// What an owner says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Say {
    /// Have what you ask for.
    Yes,
    /// No, for a reason. What is granted already goes on.
    No(String),
    /// Not like this, and what has to change.
    NotYet(String),
    /// Have no longer what is granted, for a reason.
    NoLonger(String),
    /// Have these scopes no longer, for a reason.
    Fewer(Vec<String>, String),
}

impl Say {
    /// What a form says: its decision, its reason, and the scopes that it is about.
    pub(crate) fn read(decision: &str, reason: Option<&str>, scopes: &[String]) -> Result<Say, Oops> {
        let reason = reason.unwrap_or_default().trim().to_owned();
        let reasoned = |say: &dyn Fn(String) -> Say| {
            if !(1..=4096).contains(&reason.chars().count()) {
                return Err(Oops::Bad("Give a reason: whoever has asked reads it.".to_owned()));
            }
            Ok(say(reason.clone()))
        };
        match decision {
            "grant" => Ok(Say::Yes),
            "deny" => reasoned(&Say::No),
            "changes" => reasoned(&Say::NotYet),
            "revoke" => reasoned(&Say::NoLonger),
            "fewer" if scopes.is_empty() => Err(Oops::Bad("Choose at least one scope.".to_owned())),
            "fewer" => reasoned(&|reason| Say::Fewer(scopes.to_vec(), reason)),
            _ => Err(Oops::Bad("That is no answer.".to_owned())),
        }
    }
}

/// An answer, ready to be written.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// What the request is called.
    pub(crate) called: String,
    pub(crate) deed: Deed,
}

/// Makes an answer of what an owner says, if they may say it. `saw` is what they were shown that is asked for, `others` are
/// names that answers to other requests have got.
pub(crate) fn answer(
    core: &Core,
    person: &Person,
    name: &Name,
    say: &Say,
    saw: Option<&str>,
    others: &mut BTreeSet<Name>,
) -> Result<Answer, Oops> {
    let said = core.subscription(name).ok_or(Oops::NotFound)?;
    let standing = state::subscription(core, name).ok_or(Oops::NotFound)?;
    let plan = match say {
        Say::NoLonger(_) | Say::Fewer(..) => standing.plan.clone().filter(|_| state::holds(standing.phase)),
        Say::Yes | Say::No(_) | Say::NotYet(_) => {
            asked(core, name).pop().filter(|_| core.asks(name) || core.is_refused(name))
        }
    };
    let plan = plan.ok_or_else(|| {
        Oops::Bad(match say {
            Say::NoLonger(_) | Say::Fewer(..) => "Nothing is granted that could be taken back.".to_owned(),
            _ => "This request was answered already, or taken back.".to_owned(),
        })
    })?;
    decides_about(core, person, name, &plan).map_err(|undecided| Oops::Forbidden(why_not(undecided).to_owned()))?;
    // What was asked for since then, nobody has looked at.
    if *say == Say::Yes && saw.is_some_and(|saw| saw != inbox::seen(core, name, &standing, &plan)) {
        return Err(Oops::Bad(
            "It asks for something else than when you looked. Load the page anew, and look again.".to_owned(),
        ));
    }
    let by = |decision, grant: Option<Grant>, reason: Option<&String>| ApprovalSpec {
        subscription: refer(name, plan.namespace()),
        decision,
        about: grant.is_none().then(|| LocalRef { name: plan.name().to_string() }),
        grant,
        reason: reason.cloned(),
        by: Some(person.mail.clone()),
    };
    let (does, spec) = match say {
        Say::Yes => {
            let grant = Grant {
                plan: LocalRef { name: plan.name().to_string() },
                scopes: said.scopes.iter().map(|scope| scope.name.clone()).collect(),
                stage: state::would_reach(core, name, &standing, &plan),
                terms: None,
                terms_version: None,
            };
            ("Grant", by(Decision::Granted, Some(grant), None))
        }
        Say::No(reason) => ("Turn down", by(Decision::Denied, None, Some(reason))),
        Say::NotYet(reason) => ("Ask for changes to", by(Decision::ChangesRequested, None, Some(reason))),
        Say::NoLonger(reason) => ("Take back", by(Decision::Denied, None, Some(reason))),
        // It goes on asking for them, and this is the answer to that.
        Say::Fewer(_, reason) => ("Take scopes back from", by(Decision::Denied, None, Some(reason))),
    };
    let mut written: Vec<(Name, ApprovalSpec)> = match say {
        Say::NoLonger(_) => grants_of(core, name, &plan).into_iter().map(|name| (name, spec.clone())).collect(),
        Say::Fewer(scopes, _) => with_fewer(core, name, &plan, scopes, person)?,
        Say::Yes | Say::No(_) | Say::NotYet(_) => Vec::new(),
    };
    if written.is_empty() || matches!(say, Say::Fewer(..)) {
        written.push((answer_name(core, name, &plan, spec.decision, others), spec));
    }
    others.extend(written.iter().map(|(name, _)| name.clone()));
    let application = core.application(&name.beside(&said.application.name));
    let application = application.map_or(said.application.name, |spec| spec.title.clone());
    let title = core.plan(&plan).map_or_else(|| plan.to_string(), |plan| plan.title.clone());
    let called = format!("{application} on plan {title}");
    let edits = written.into_iter().map(|(name, spec)| wish::put(name, Spec::Approval(Box::new(spec))));
    let about = name.clone().of(Kind::Subscription);
    Ok(Answer { deed: Deed { summary: format!("{does} {called}"), edits: edits.collect(), about }, called })
}

/// Why somebody may not answer, in a sentence.
pub(crate) fn why_not(undecided: Undecided) -> &'static str {
    match undecided {
        Undecided::Own => "It is your own or your team's, and nobody decides about their own request.",
        Undecided::NotAnApprover => "Its plan names others who decide.",
    }
}

/// The answers that grant these scopes, without them.
fn with_fewer(
    core: &Core,
    name: &Name,
    plan: &Name,
    scopes: &[String],
    person: &Person,
) -> Result<Vec<(Name, ApprovalSpec)>, Oops> {
    let mut written = Vec::new();
    for answer in grants_of(core, name, plan) {
        let Some(mut said) = core.approval(&answer).cloned() else { continue };
        let Some(grant) = said.grant.as_mut().filter(|grant| grant.scopes.iter().any(|one| scopes.contains(one)))
        else {
            continue;
        };
        grant.scopes.retain(|scope| !scopes.contains(scope));
        said.by = Some(person.mail.clone());
        written.push((answer, said));
    }
    if written.is_empty() {
        return Err(Oops::Bad("None of these scopes is granted by an answer.".to_owned()));
    }
    Ok(written)
}

/// Scopes that somebody has granted a subscription on a plan, and that can be taken back.
pub(crate) fn scopes_granted(core: &Core, name: &Name, plan: &Name) -> Vec<String> {
    let given = grants_of(core, name, plan).into_iter().filter_map(|answer| core.approval(&answer)?.grant.clone());
    given.flat_map(|grant| grant.scopes).collect()
}

/// The answers that grant a subscription a plan: only they can take that back.
fn grants_of(core: &Core, name: &Name, plan: &Name) -> Vec<Name> {
    let grants = |answer: &&Name| {
        answer.namespace() == plan.namespace()
            && core
                .approval(answer)
                .and_then(|said| said.grant.as_ref())
                .is_some_and(|one| one.plan.name == plan.name())
    };
    core.approvals_of(name).filter(grants).cloned().collect()
}

/// The newest answer that is there already, or a name for a new one. What grants something goes on granting it until somebody
/// takes that away: only another grant of the same plan takes its place.
fn answer_name(core: &Core, name: &Name, plan: &Name, decision: Decision, others: &BTreeSet<Name>) -> Name {
    let there = core.approvals_of(name).filter(|answer| answer.namespace() == plan.namespace());
    let newest = there.max_by_key(|answer| (core.created(&(*answer).clone().of(Kind::Approval)), *answer));
    let gives_way = |answer: &&Name| {
        let grant = core.approval(answer).filter(|said| said.decision == Decision::Granted);
        let grant = grant.and_then(|said| said.grant.as_ref());
        grant.is_none_or(|grant| decision == Decision::Granted && grant.plan.name == plan.name())
    };
    newest.filter(gives_way).cloned().unwrap_or_else(|| {
        let taken = |short: &str| {
            is_taken(core, Kind::Approval, plan.namespace(), short) || others.contains(&plan.beside(short))
        };
        plan.beside(wish::name(&format!("{}-{}", name.namespace(), name.name()), "approval", taken))
    })
}
