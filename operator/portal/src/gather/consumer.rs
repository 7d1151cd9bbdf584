//! What somebody has as a consumer: applications, subscriptions, credentials.

use std::sync::Arc;

use jiff::Timestamp;
use portico_core::Core;
use portico_core::batch::Author;
use portico_core::key::{Kind, Name};
use portico_core::look;
use portico_crds::{AccessLevel, Decision, ScopeMode};

use super::plans::{self, Scope};
use super::state::{self, Credential, Standing};
use crate::may::{Action, may};
use crate::people::{Membership, Person};

/// A team and its applications.
#[derive(Clone, Debug)]
pub(crate) struct Team {
    pub(crate) title: String,
    pub(crate) applications: Vec<Row>,
}

/// An application in a list.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: Name,
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    /// How its subscriptions stand: the product's title, and a word.
    pub(crate) subscriptions: Vec<(String, Standing)>,
}

/// The teams of a person whose applications they may see.
pub(crate) fn teams(core: &Core, person: &Person) -> Vec<Team> {
    let sees = person.teams.iter().filter(|membership| membership.access.teams >= AccessLevel::Read);
    sees.map(|Membership { team, title, access: _, named: _ }| {
        let named = core.applications_of(team);
        let mut applications: Vec<Row> = named
            .chain(core.applications_without_team(team.namespace()))
            .filter_map(|name| {
                let spec = core.application(name)?;
                let subscriptions = core.subscriptions_by(name).filter_map(|subscription| {
                    Some((subject(core, Some(person), subscription)?.product, state::subscription(core, subscription)?))
                });
                Some(Row {
                    name: name.clone(),
                    title: spec.title.clone(),
                    description: spec.description.clone(),
                    subscriptions: subscriptions.collect(),
                })
            })
            .collect();
        applications.sort_by(|one, other| (&one.title, &one.name).cmp(&(&other.title, &other.name)));
        Team { title: title.clone(), applications }
    })
    .collect()
}

/// What a subscription is about.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// The title of the plan that it has, or asks for.
    pub(crate) plan: String,
    pub(crate) plan_name: Name,
    /// The titles of its products, in one text.
    pub(crate) product: String,
    /// The first product, if the visitor sees it.
    pub(crate) to: Option<Name>,
}

/// What a subscription is about, as a visitor may know it. Of a plan that the consumer may not subscribe to, nothing is told
/// but its name.
pub(crate) fn subject(core: &Core, person: Option<&Person>, name: &Name) -> Option<Subject> {
    let spec = core.subscription(name)?;
    let granted = state::subscription(core, name).and_then(|standing| standing.plan);
    let plan_name = granted.unwrap_or_else(|| look::resolve(&spec.plan, name));
    let application = Name::new(name.namespace(), spec.application.name.as_str());
    let team = core.application(&application).and_then(|spec| spec.team.as_ref());
    let team = team.map(|team| Name::new(name.namespace(), team.name.as_str()));
    let is_known = core.open_to(&plan_name, &application, team.as_ref())
        || may(core, person, Action::See, &plan_name.clone().of(Kind::Plan));
    let Some(plan) = core.plan(&plan_name).filter(|_| is_known) else {
        return Some(Subject { plan: plan_name.to_string(), product: plan_name.to_string(), plan_name, to: None });
    };
    let products: Vec<Name> = plan.products.iter().map(|one| look::resolve_product(one, &plan_name)).collect();
    let titles: Vec<String> = products.iter().filter_map(|one| Some(core.product(one)?.title.clone())).collect();
    let product = if titles.is_empty() { plan.title.clone() } else { titles.join(" + ") };
    let to = products.into_iter().find(|one| may(core, person, Action::See, &one.clone().of(Kind::ApiProduct)));
    Some(Subject { plan: plan.title.clone(), plan_name, product, to })
}

/// An application's page.
#[derive(Clone, Debug)]
pub(crate) struct Application {
    pub(crate) name: Name,
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    pub(crate) team: Option<String>,
    pub(crate) authentication: &'static str,
    pub(crate) reference: Option<String>,
    pub(crate) subscriptions: Vec<(Name, Subject, Standing)>,
    /// Credentials that are for the whole application; `None` where the visitor may not know of them.
    pub(crate) credentials: Option<Vec<Credential>>,
    /// What is wrong with it, in sentences.
    pub(crate) problems: Vec<String>,
}

/// An application as somebody of its team sees it.
pub(crate) fn application(core: &Core, person: Option<&Person>, name: &Name) -> Option<Application> {
    let spec = core.application(name)?;
    let team = spec.team.as_ref().map(|team| Name::new(name.namespace(), team.name.as_str()));
    let subscriptions = core.subscriptions_by(name).filter_map(|subscription| {
        let subject = subject(core, person, subscription)?;
        Some((subscription.clone(), subject, state::subscription(core, subscription)?))
    });
    let key = name.clone().of(Kind::Application);
    Some(Application {
        name: name.clone(),
        title: spec.title.clone(),
        description: spec.description.clone(),
        team: team.and_then(|team| core.team(&team)).map(|team| team.title.clone()),
        authentication: crate::words::security(spec.authentication),
        reference: spec.reference_id.clone(),
        subscriptions: subscriptions.collect(),
        credentials: credentials(core, person, core.credentials_of_application(name)),
        problems: core.diagnostics_of(&key).map(ToString::to_string).collect(),
    })
}

/// Credentials that a visitor may know of; `None` if there are some and they may not.
fn credentials<'a>(
    core: &Core,
    person: Option<&Person>,
    names: impl Iterator<Item = &'a Name>,
) -> Option<Vec<Credential>> {
    let mut hidden = false;
    let mut found = Vec::new();
    for name in names {
        if may(core, person, Action::See, &name.clone().of(Kind::Credential)) {
            found.extend(state::credential(core, name));
        } else {
            hidden = true;
        }
    }
    (!hidden || !found.is_empty()).then_some(found)
}

/// A subscription's page.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) name: Name,
    pub(crate) application: Name,
    pub(crate) application_title: String,
    pub(crate) is_consumer: bool,
    pub(crate) subject: Subject,
    pub(crate) standing: Standing,
    pub(crate) price: Option<(String, Option<String>)>,
    /// Scopes that it has or asks for: which, whether it has it, and why it wants it.
    pub(crate) scopes: Vec<(Scope, bool, Option<String>)>,
    pub(crate) credentials: Option<Vec<Credential>>,
    /// Whether keys of its application open it too.
    pub(crate) shared_keys: usize,
    pub(crate) addresses: Vec<super::product::Address>,
    pub(crate) history: Vec<Event>,
}

/// Something that somebody did.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) at: Option<Timestamp>,
    pub(crate) text: String,
    pub(crate) by: Option<String>,
    pub(crate) commit: Option<String>,
    pub(crate) reason: Option<String>,
}

/// A subscription as a visitor sees it.
pub(crate) fn subscription(core: &Core, person: Option<&Person>, name: &Name) -> Option<Subscription> {
    let spec = core.subscription(name)?;
    let standing = state::subscription(core, name)?;
    let application = Name::new(name.namespace(), spec.application.name.as_str());
    let subject = subject(core, person, name)?;
    let plan = core.plan(&subject.plan_name).filter(|_| subject.to.is_some());
    let known = plan.map(|plan| plans::scopes(core, &subject.plan_name, plan)).unwrap_or_default();
    let mut scopes = Vec::new();
    for scope in known {
        let has = standing.scopes.iter().any(|(_, granted)| *granted == scope.name);
        let asked = spec.scopes.iter().find(|asked| asked.name == scope.name);
        if has || asked.is_some() || scope.mode == ScopeMode::Active {
            scopes.push((scope, has, asked.and_then(|asked| asked.reason.clone())));
        }
    }
    let products = plan.into_iter().flat_map(|plan| &plan.products);
    let products = products.map(|one| look::resolve_product(one, &subject.plan_name));
    let addresses = products.filter_map(|one| Some(super::product::addresses(core, &one, core.product(&one)?)));
    Some(Subscription {
        name: name.clone(),
        application_title: core
            .application(&application)
            .map_or_else(|| spec.application.name.clone(), |application| application.title.clone()),
        is_consumer: may(core, person, Action::See, &application.clone().of(Kind::Application)),
        price: plan.map(crate::words::price),
        scopes,
        credentials: credentials(core, person, core.credentials_of(name)),
        shared_keys: core.credentials_of_application(&application).count(),
        addresses: addresses.flatten().collect(),
        history: history(core, name, person),
        application,
        subject,
        standing,
    })
}

/// Who did what about a subscription, the newest first.
fn history(core: &Core, name: &Name, person: Option<&Person>) -> Vec<Event> {
    let mut events = Vec::new();
    let key = name.clone().of(Kind::Subscription);
    let (by, commit) = author(core.author(&key));
    events.push(Event { at: core.created(&key), text: "Asked for".to_owned(), by, commit, reason: None });
    // Whoever sees the subscription sees the answers that count; those that do not are their owner's business.
    for answer in core.approvals_of(name).filter(|answer| core.approval_stands(answer)) {
        let Some(spec) = core.approval(answer) else { continue };
        let key = answer.clone().of(Kind::Approval);
        let (by, commit) = author(core.author(&key));
        let text = match spec.decision {
            Decision::Granted => "Granted",
            Decision::Denied => "Turned down",
            Decision::ChangesRequested => "Changes asked for",
        };
        events.push(Event {
            at: core.created(&key),
            text: text.to_owned(),
            by: by.or_else(|| spec.by.clone()),
            commit,
            reason: spec.reason.clone(),
        });
    }
    if person.is_none() {
        events.clear();
    }
    events.sort_by_key(|event| std::cmp::Reverse(event.at));
    events
}

fn author(author: Option<&Arc<Author>>) -> (Option<String>, Option<String>) {
    match author.map(|author| &**author) {
        Some(Author::Commit { mail, commit, .. }) => (Some(mail.to_string()), Some(commit.to_string())),
        Some(Author::User { name, .. }) => (Some(name.to_string()), None),
        Some(Author::Unknown(_)) | None => (None, None),
    }
}
