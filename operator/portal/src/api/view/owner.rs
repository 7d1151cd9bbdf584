//! What owners look after.

use portico_crds::{Phase, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::Ref;
use crate::gather::compare::Comparison;
use crate::gather::{inbox, subscribers};
use crate::may::Undecided;

/// A subscription that waits for an answer.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request {
    #[serde(flatten)]
    of: Ref,
    /// What people call the application.
    application: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<String>,
    /// Who has asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    plan: Ref,
    /// What they want, in a few words.
    wish: String,
    /// What granting it changes.
    impact: Impact,
    scopes: Vec<AskedScope>,
    /// Whether whoever reads this may answer it.
    may_decide: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    undecided: Option<Why>,
}

/// What granting a request changes, in sentences.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Impact {
    /// What they get.
    gains: Vec<String>,
    /// What they have now, and not any more.
    loses: Vec<String>,
    /// What they have now, and go on to have.
    stays: Vec<String>,
}

/// A scope that somebody has to grant.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AskedScope {
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Why somebody may not answer a request.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Undecided")]
enum Why {
    /// The plan names others.
    NotAnApprover,
    /// It is their own or their team's.
    Own,
}

impl From<inbox::Request> for Request {
    fn from(request: inbox::Request) -> Request {
        let inbox::Request {
            name,
            application,
            description,
            team,
            by,
            since,
            subject,
            wish,
            standing: _,
            plan: _,
            impact: Comparison { gains, loses, stays },
            scopes,
            undecided,
            seen: _,
        } = request;
        Request {
            of: Ref::of(&name),
            application,
            description,
            team,
            by,
            since: since.map(Timestamp),
            plan: Ref::of(&subject.plan_name),
            wish: wish.says().to_owned(),
            impact: Impact { gains, loses, stays },
            scopes: scopes.into_iter().map(|(title, reason)| AskedScope { title, reason }).collect(),
            may_decide: undecided.is_none(),
            undecided: undecided.map(|why| match why {
                Undecided::NotAnApprover => Why::NotAnApprover,
                Undecided::Own => Why::Own,
            }),
        }
    }
}

/// Somebody who uses a plan.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Subscriber {
    subscription: Ref,
    /// What people call the application.
    application: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<String>,
    phase: Phase,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
}

impl From<subscribers::Subscriber> for Subscriber {
    fn from(subscriber: subscribers::Subscriber) -> Subscriber {
        let subscribers::Subscriber { subscription, application, team, plan: _, standing, since } = subscriber;
        Subscriber {
            subscription: Ref::of(&subscription),
            application,
            team,
            phase: standing.phase,
            since: since.map(Timestamp),
        }
    }
}
