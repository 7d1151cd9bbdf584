//! What an owner looks after: requests that wait, and who uses what.

use std::collections::BTreeSet;

use jiff::Timestamp;
use portico_core::Core;
use portico_core::batch::Author;
use portico_core::key::{Kind, Name};
use portico_core::look;
use portico_crds::{ApprovalMode, ApproverKind, ScopeMode, SubscriptionStage};

use super::consumer::{Subject, subject};
use super::plans;
use super::state::{self, Standing};
use crate::may::{Action, Undecided, asked, decides, may};
use crate::people::Person;

/// Whether somebody looks after anything, and how many requests wait for their answer.
pub(crate) fn counts(core: &Core, person: &Person) -> (bool, usize) {
    let owns = !overseen(core, person).is_empty();
    let waiting = if owns { core.requests().filter(|name| decides(core, person, name).is_ok()).count() } else { 0 };
    (owns, waiting)
}

/// Plans that somebody looks after, in order of their names.
pub(crate) fn overseen(core: &Core, person: &Person) -> Vec<Name> {
    let namespaces: BTreeSet<&str> = person.teams.iter().map(|membership| membership.team.namespace()).collect();
    let near = |name: &Name, plan: &portico_crds::PlanSpec| {
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

/// A request that waits.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) name: Name,
    pub(crate) application: String,
    pub(crate) description: Option<String>,
    pub(crate) team: Option<String>,
    pub(crate) by: Option<String>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) subject: Subject,
    /// What they ask for, in a few words.
    pub(crate) wish: &'static str,
    /// What granting it gives, in sentences.
    pub(crate) impact: Vec<String>,
    /// Scopes that somebody has to grant, with the reason for each.
    pub(crate) scopes: Vec<(String, Option<String>)>,
    /// Why the visitor may not answer it.
    pub(crate) undecided: Option<Undecided>,
}

/// Requests that somebody looks after; the oldest first.
pub(crate) fn requests(core: &Core, person: &Person) -> Vec<Request> {
    let mine = core
        .requests()
        .filter(|name| may(core, Some(person), Action::Oversee, &(*name).clone().of(Kind::Subscription)));
    let mut requests: Vec<Request> = mine.filter_map(|name| request(core, person, name)).collect();
    requests.sort_by(|one, other| {
        (one.undecided.is_some(), one.since, &one.name).cmp(&(other.undecided.is_some(), other.since, &other.name))
    });
    requests
}

/// One request, as its owner sees it.
pub(crate) fn request(core: &Core, person: &Person, name: &Name) -> Option<Request> {
    let spec = core.subscription(name)?;
    let standing = state::subscription(core, name)?;
    let wanted = asked(core, name).into_iter().next_back()?;
    let plan = core.plan(&wanted)?;
    let application = Name::new(name.namespace(), spec.application.name.as_str());
    let consumer = core.application(&application);
    let card = plans::card(core, &wanted, None)?;
    let key = name.clone().of(Kind::Subscription);
    let by = match core.author(&key).map(|author| &**author) {
        Some(Author::Commit { mail, .. }) => Some(mail.to_string()),
        Some(Author::User { name, .. }) => Some(name.to_string()),
        Some(Author::Unknown(_)) | None => None,
    };
    let has = |scope: &str| standing.scopes.iter().any(|(_, granted)| granted == scope);
    let scopes: Vec<(String, Option<String>)> = spec
        .scopes
        .iter()
        .filter(|asked| !has(&asked.name))
        .filter(|asked| {
            let mode = card.scopes.iter().find(|scope| scope.name == asked.name).map(|scope| scope.mode);
            mode == Some(ScopeMode::Restricted) || plan.approval.mode == ApprovalMode::Manual
        })
        .map(|asked| {
            let title = card.scopes.iter().find(|scope| scope.name == asked.name).map(|scope| scope.title.clone());
            (title.unwrap_or_else(|| asked.name.clone()), asked.reason.clone())
        })
        .collect();
    let wish = if standing.stage == SubscriptionStage::InReview {
        "wants to go live"
    } else if spec.change.is_some() {
        "wants to change its plan"
    } else if standing.plan.is_some() && scopes.is_empty() {
        "has to agree to new terms"
    } else if standing.plan.is_some() {
        "wants more"
    } else {
        "wants access"
    };
    Some(Request {
        name: name.clone(),
        application: consumer.map_or_else(|| application.to_string(), |spec| spec.title.clone()),
        description: consumer.and_then(|spec| spec.description.clone()),
        team: consumer.and_then(|spec| spec.team.as_ref()).map(|team| {
            let team = Name::new(name.namespace(), team.name.as_str());
            core.team(&team).map_or_else(|| team.to_string(), |spec| spec.title.clone())
        }),
        by,
        since: core.created(&key),
        subject: subject(core, Some(person), name)?,
        wish,
        impact: impact(core, &wanted),
        scopes,
        undecided: decides(core, person, name).err(),
    })
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

/// Somebody who uses a plan.
#[derive(Clone, Debug)]
pub(crate) struct Subscriber {
    pub(crate) subscription: Name,
    pub(crate) application: String,
    pub(crate) team: Option<String>,
    pub(crate) standing: Standing,
    pub(crate) since: Option<Timestamp>,
}

/// Who uses a plan: a part of the list, and how many there are.
pub(crate) fn subscribers(core: &Core, plan: &Name, from: usize, most: usize) -> (Vec<Subscriber>, usize) {
    let all = core.subscriptions_to(plan).count();
    let part = core.subscriptions_to(plan).skip(from).take(most).filter_map(|name| {
        let spec = core.subscription(name)?;
        let application = Name::new(name.namespace(), spec.application.name.as_str());
        let consumer = core.application(&application);
        let team = consumer.and_then(|spec| spec.team.as_ref());
        let team = team.map(|team| Name::new(name.namespace(), team.name.as_str()));
        Some(Subscriber {
            subscription: name.clone(),
            application: consumer.map_or_else(|| application.to_string(), |spec| spec.title.clone()),
            team: team.map(|team| core.team(&team).map_or_else(|| team.to_string(), |spec| spec.title.clone())),
            standing: state::subscription(core, name)?,
            since: core.created(&name.clone().of(Kind::Subscription)),
        })
    });
    (part.collect(), all)
}
