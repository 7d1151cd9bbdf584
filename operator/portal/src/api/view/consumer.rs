//! What consumers have.

use portico_core::Core;
use portico_core::key::{Kind, Name};
use portico_core::look;
use portico_crds::{Phase, Security, SubscriptionStage, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::Ref;
use super::product::Address;
use crate::gather::{call, consumer, state};
use crate::people::Person;

/// A program that calls APIs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Application {
    #[serde(flatten)]
    of: Ref,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// The team that owns it; without one every team of its namespace does.
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<Ref>,
    authentication: Security,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_id: Option<String>,
    subscriptions: Vec<Ref>,
    /// What is wrong with it.
    problems: Vec<String>,
}

impl Application {
    pub(crate) fn of(core: &Core, name: &Name) -> Option<Application> {
        let spec = core.application(name)?;
        Some(Application {
            of: Ref::of(name),
            title: spec.title.clone(),
            description: spec.description.clone(),
            team: spec.team.as_ref().map(|team| Ref::of(&name.beside(&team.name))),
            authentication: spec.authentication,
            reference_id: spec.reference_id.clone(),
            subscriptions: core.subscriptions_by(name).map(Ref::of).collect(),
            problems: core.diagnostics_of(&name.clone().of(Kind::Application)).map(ToString::to_string).collect(),
        })
    }
}

/// An application's access to a plan, or its wish for it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Subscription {
    #[serde(flatten)]
    of: Ref,
    application: Ref,
    /// The plan that it has, or asks for.
    plan: Ref,
    phase: Phase,
    stage: SubscriptionStage,
    /// How it stands, in words.
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Whether it is granted and every gateway has confirmed it.
    enforced: bool,
    scopes: Vec<GrantedScope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<Timestamp>,
    /// Where it can be called.
    addresses: Vec<Address>,
    /// What happened, the newest first.
    history: Vec<Event>,
}

/// A scope that a subscription has or asks for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct GrantedScope {
    name: String,
    granted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Something that somebody did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Subscription {
    /// A subscription as its team sees it, or its plan's owner.
    pub(crate) fn of(core: &Core, person: Option<&Person>, name: &Name) -> Option<Subscription> {
        let consumer::Subscription { application, subject, standing, scopes, addresses, history, is_consumer, .. } =
            consumer::subscription(core, person, name)?;
        let granted =
            scopes.into_iter().map(|(scope, granted, reason)| GrantedScope { name: scope.name, granted, reason });
        let history = history.into_iter().map(|consumer::Event { at, text, by, commit, reason }| Event {
            at: at.map(Timestamp),
            what: text,
            by,
            commit,
            reason,
        });
        Some(Subscription {
            of: Ref::of(name),
            application: Ref::of(&application),
            plan: Ref::of(&subject.plan_name),
            phase: standing.phase,
            stage: standing.stage,
            state: standing.state.label.to_owned(),
            message: standing.state.text,
            enforced: standing.works,
            scopes: granted.collect(),
            ends_at: standing.ends_at.map(Timestamp),
            // As on the page: where to call it is for those who call.
            addresses: addresses.iter().filter(|_| is_consumer).map(Address::of).collect(),
            history: history.collect(),
        })
    }
}

/// A key, without what it says.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Credential {
    #[serde(flatten)]
    of: Ref,
    title: String,
    /// The subscription that it is for; without one it is for a whole application.
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<Ref>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<Ref>,
    environment: Ref,
    /// How it stands, in words.
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    disabled: bool,
    /// Tells keys apart without giving them away.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    /// Which generation of it is the newest that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// Until when the key before works.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_valid_until: Option<Timestamp>,
}

impl Credential {
    pub(crate) fn of(core: &Core, name: &Name) -> Option<Credential> {
        let spec = core.credential(name)?;
        let state::Credential {
            name,
            title,
            environment: _,
            state,
            fingerprint,
            generation,
            expires_at,
            previous_until,
            asked: _,
            is_off,
            ends_at_once: _,
        } = state::credential(core, name)?;
        Some(Credential {
            of: Ref::of(&name),
            title,
            subscription: spec.subscription.as_ref().map(|one| Ref::of(&name.beside(&one.name))),
            application: core.application_of(&name).map(|application| Ref::of(&application)),
            environment: Ref::of(&look::resolve(&spec.environment, &name)),
            state: state.label.to_owned(),
            message: state.text,
            disabled: is_off,
            fingerprint,
            generation,
            expires_at: expires_at.map(Timestamp),
            previous_valid_until: previous_until.map(Timestamp),
        })
    }
}

/// A key itself.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RevealedKey {
    /// What opens it.
    pub(crate) key: String,
    pub(crate) generation: i64,
    /// Whether it can be shown again.
    pub(crate) shows_again: bool,
    /// Where it opens something.
    pub(crate) places: Vec<Place>,
}

/// Where a key opens something.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Place {
    product: Ref,
    version: String,
    url: String,
    /// The header that the key goes into.
    header: String,
}

impl Place {
    pub(crate) fn all(core: &Core, credential: &Name) -> Vec<Place> {
        let place =
            |call::Place { product, title: _, version, url, header, cors: _, only: _, denied: _, closed: _ }| Place {
                product: Ref::of(&product),
                version,
                url,
                header,
            };
        call::places(core, credential).into_iter().map(place).collect()
    }
}
