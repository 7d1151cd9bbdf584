//! What an owner looks after: requests that wait for an answer, and what an answer comes to.

use std::collections::BTreeSet;

use jiff::Timestamp;
use portico_core::Core;
use portico_core::batch::Author;
use portico_core::key::{Kind, Name};
use portico_core::look;
use portico_crds::{ApprovalMode, ApproverKind, PlanSpec, ScopeMode, Stage, SubscriptionStage};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::compare::{self, Comparison, compare};
use super::consumer::{Subject, subject};
use super::life::Life;
use super::plans;
use super::state::{self, Standing};
use crate::may::{Action, Undecided, asked, decides, may};
use crate::people::Person;

/// More requests than this are not counted for the navigation: it says that there are more.
pub(crate) const MOST_COUNTED: usize = 99;
/// So many are looked at for that, since some of them may be nobody's whom we count for.
const MOST_LOOKED_AT: usize = 1_000;

/// Whether somebody looks after anything, and how many requests wait for their answer, or one more than [`MOST_COUNTED`].
pub(crate) fn counts(core: &Core, person: &Person) -> (bool, usize) {
    let overseen = overseen(core, person);
    let near = overseen.iter().flat_map(|plan| core.requests_to(plan)).take(MOST_LOOKED_AT);
    let waiting = near.filter(|name| decides(core, person, name).is_ok()).take(MOST_COUNTED + 1).count();
    (!overseen.is_empty(), waiting)
}

/// Plans that somebody looks after, in order of their names.
pub(crate) fn overseen(core: &Core, person: &Person) -> Vec<Name> {
    let namespaces: BTreeSet<&str> = person.teams.iter().map(|membership| membership.team.namespace()).collect();
    let near = |name: &Name, plan: &PlanSpec| {
        namespaces.contains(name.namespace())
            || plan.approval.approvers.iter().any(|one| one.kind == ApproverKind::User && person.is(&one.name))
    };
    let mut plans: Vec<Name> = core
        .plans()
        .filter(|(name, plan)| near(name, plan))
        .filter(|(name, _)| may(core, Some(person), Action::Oversee, &(*name).clone().of(Kind::Plan)))
        .map(|(name, _)| name.clone())
        .collect();
    plans.sort();
    plans
}

/// What somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To be let in.
    Access,
    /// More scopes.
    Scopes,
    /// To leave the sandbox.
    GoLive,
    /// Another plan.
    Plan,
    /// To go on on terms that have changed.
    Terms,
}

impl Wish {
    /// After the name of who asks: `wants to go live`.
    pub(crate) fn says(self) -> &'static str {
        match self {
            Wish::Access => "wants access",
            Wish::Scopes => "wants more",
            Wish::GoLive => "wants to go live",
            Wish::Plan => "wants to change its plan",
            Wish::Terms => "goes on under changed terms",
        }
    }

    /// In a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Wish::Access => "New subscription",
            Wish::Scopes => "More scopes",
            Wish::GoLive => "Going live",
            Wish::Plan => "Another plan",
            Wish::Terms => "Changed terms",
        }
    }
}

/// A request that waits, or was told no.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) name: Name,
    pub(crate) application: String,
    pub(crate) description: Option<String>,
    pub(crate) team: Option<String>,
    pub(crate) by: Option<String>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) subject: Subject,
    pub(crate) wish: Wish,
    /// How it stands.
    pub(crate) standing: Standing,
    /// The title of the plan that an answer is about.
    pub(crate) plan: String,
    /// What granting it changes, in sentences. Where nothing is granted yet, everything is new.
    pub(crate) impact: Comparison,
    /// Scopes that somebody has to grant, with the reason for each.
    pub(crate) scopes: Vec<(String, Option<String>)>,
    /// Why the visitor may not answer it.
    pub(crate) undecided: Option<Undecided>,
    /// What is asked for, in a few letters, so that nobody grants what they have not seen.
    pub(crate) seen: String,
}

/// Which requests are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that wait for an answer.
    Waiting,
    /// Those that were told no, or not yet, and can be answered again.
    Refused,
}

/// A part of a list of requests.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    pub(crate) part: Vec<Request>,
    /// How many there are, in all parts.
    pub(crate) all: usize,
    /// How many of them this person may answer.
    pub(crate) mine: usize,
}

/// Requests that somebody looks after: first those that they may answer, the oldest first.
pub(crate) fn requests(core: &Core, person: &Person, which: Which, from: usize, most: usize) -> Requests {
    let overseen = overseen(core, person);
    let mut found: Vec<(bool, Option<Timestamp>, &Name)> = Vec::new();
    for plan in &overseen {
        let names: Vec<&Name> = match which {
            Which::Waiting => core.requests_to(plan).collect(),
            Which::Refused => core.refused_to(plan).collect(),
        };
        for name in names {
            let since = core.created(&name.clone().of(Kind::Subscription));
            found.push((decides(core, person, name).is_err(), since, name));
        }
    }
    found.sort();
    let mine = found.iter().filter(|(undecided, ..)| !undecided).count();
    let part = found.iter().skip(from).take(most).filter_map(|(_, _, name)| request(core, person, name));
    Requests { part: part.collect(), all: found.len(), mine }
}

/// The names of requests that somebody looks after, in order; only those that they may answer, or may not, where that is said.
pub(crate) fn waiting(core: &Core, person: &Person, may_decide: Option<bool>) -> Vec<Name> {
    let overseen = overseen(core, person);
    let near = overseen.iter().flat_map(|plan| core.requests_to(plan));
    let wanted = near.filter(|name| may_decide.is_none_or(|wanted| decides(core, person, name).is_ok() == wanted));
    let names: BTreeSet<Name> = wanted.cloned().collect();
    names.into_iter().collect()
}

/// One request, as its owner sees it.
pub(crate) fn request(core: &Core, person: &Person, name: &Name) -> Option<Request> {
    let life = Life::of(core, name)?;
    let standing = state::subscription(core, name)?;
    let wanted = asked(core, name).into_iter().next_back()?;
    let plan = core.plan(&wanted)?;
    let application = name.beside(&life.spec.application.name);
    let consumer = core.application(&application);
    let known = plans::scopes(core, &wanted, plan);
    let key = name.clone().of(Kind::Subscription);
    let by = match core.author(&key).map(|author| &**author) {
        Some(Author::Commit { mail, .. }) => Some(mail.to_string()),
        Some(Author::User { name, .. }) => Some(name.to_string()),
        Some(Author::Unknown(_)) | None => None,
    };
    let has = |scope: &str| standing.scopes.iter().any(|(_, granted)| granted == scope);
    let asks = |scope: &str| life.spec.scopes.iter().any(|asked| asked.name == scope);
    let scopes: Vec<(String, Option<String>)> = life
        .spec
        .scopes
        .iter()
        .filter(|asked| !has(&asked.name))
        .filter(|asked| {
            let mode = known.iter().find(|scope| scope.name == asked.name).map(|scope| scope.mode);
            mode == Some(ScopeMode::Restricted) || plan.approval.mode == ApprovalMode::Manual
        })
        .map(|asked| {
            let title = known.iter().find(|scope| scope.name == asked.name).map(|scope| scope.title.clone());
            (title.unwrap_or_else(|| asked.name.clone()), asked.reason.clone())
        })
        .collect();
    let wish = if standing.plan.is_none() {
        Wish::Access
    } else if life.wanted.is_some() {
        Wish::Plan
    } else if life.spec.go_live && standing.stage != SubscriptionStage::Production {
        Wish::GoLive
    } else if scopes.is_empty() {
        Wish::Terms
    } else {
        Wish::Scopes
    };
    let before = standing.plan.as_ref().and_then(|plan| compare::given(core, plan, standing.stage, has));
    let stage = match state::would_reach(core, name, &standing, &wanted) {
        Stage::Sandbox => SubscriptionStage::Sandbox,
        Stage::Production => SubscriptionStage::Production,
    };
    let after = compare::given(core, &wanted, stage, asks)?;
    Some(Request {
        name: name.clone(),
        application: consumer.map_or_else(|| application.to_string(), |spec| spec.title.clone()),
        description: consumer.and_then(|spec| spec.description.clone()),
        team: team(core, &application),
        by,
        since: core.created(&key),
        subject: subject(core, Some(person), name)?,
        wish,
        plan: plan.title.clone(),
        impact: compare(&before.unwrap_or_default(), &after),
        scopes,
        undecided: decides(core, person, name).err(),
        seen: seen(core, name, &standing, &wanted),
        standing,
    })
}

/// What a subscription asks for of a plan, in a few letters: it asks for something else when they differ.
pub(crate) fn seen(core: &Core, name: &Name, standing: &Standing, plan: &Name) -> String {
    let scopes = core.subscription(name).map(|spec| spec.scopes).unwrap_or_default();
    let said = json!([plan, scopes, state::would_reach(core, name, standing, plan)]).to_string();
    Sha256::digest(said.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What to call the team of an application.
pub(crate) fn team(core: &Core, application: &Name) -> Option<String> {
    let team = application.beside(core.application(application)?.team.as_ref()?.name.as_str());
    Some(core.team(&team).map_or_else(|| team.to_string(), |spec| spec.title.clone()))
}

/// What granting a plan gives, in sentences.
pub(crate) fn impact(core: &Core, name: &Name) -> Vec<String> {
    let Some(plan) = core.plan(name) else { return Vec::new() };
    let products: Vec<String> = plan
        .products
        .iter()
        .filter_map(|one| Some(core.product(&look::resolve_product(one, name))?.title.clone()))
        .collect();
    let mut impact = vec![format!("Calls to {} on plan {}", crate::words::listed(&products), plan.title)];
    impact.extend(plan.limits.iter().map(crate::words::limit));
    if let Some(duration) = &plan.duration {
        impact.push(format!("For {}", crate::words::span(&duration.to_string())));
    }
    impact
}

/// A plan that somebody looks after.
#[derive(Clone, Debug)]
pub(crate) struct Overseen {
    pub(crate) name: Name,
    pub(crate) title: String,
    pub(crate) product: String,
    pub(crate) subscriptions: usize,
}

/// The plans that somebody looks after, with how many use them.
pub(crate) fn plans_of(core: &Core, person: &Person) -> Vec<Overseen> {
    let overseen = overseen(core, person).into_iter().filter_map(|name| {
        let plan = core.plan(&name)?;
        let titles: Vec<String> = plan
            .products
            .iter()
            .filter_map(|one| Some(core.product(&look::resolve_product(one, &name))?.title.clone()))
            .collect();
        let subscriptions = core.subscriptions_to(&name).count();
        Some(Overseen { title: plan.title.clone(), product: titles.join(" + "), subscriptions, name })
    });
    let mut plans: Vec<Overseen> = overseen.collect();
    plans.sort_by(|one, other| (&one.product, &one.title).cmp(&(&other.product, &other.title)));
    plans
}
