//! Products and plans.

use portico_core::Core;
use portico_core::key::{Kind, Name};
use portico_core::look;
use portico_crds::{
    ApprovalMode, Lifecycle, LifecycleStage, Limit, Owner, ScopeMode, Security, Stage, Terms, Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::Ref;
use crate::gather::catalog::Card;
use crate::gather::{plans, product};
use crate::may::{Action, may};
use crate::people::Person;

/// A product in the catalogue.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProductSummary {
    #[serde(flatten)]
    of: Ref,
    title: String,
    /// The beginning of what it says of itself, without markup.
    summary: String,
    tags: Vec<String>,
    /// Who looks after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    stage: LifecycleStage,
    /// How many plans of it whoever asks sees.
    plans: usize,
}

impl From<Card> for ProductSummary {
    fn from(card: Card) -> ProductSummary {
        let Card { name, title, summary, tags, owner, stage, plans, page: _ } = card;
        ProductSummary { of: Ref::of(&name), title, summary, tags, owner, stage, plans }
    }
}

/// A product.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Product {
    #[serde(flatten)]
    of: Ref,
    title: String,
    /// Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Owner>,
    #[serde(flatten)]
    life: Life,
    /// What to use instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced_by: Option<Ref>,
    versions: Vec<Version>,
    /// Where it is called.
    addresses: Vec<Address>,
    /// Plans that whoever asks sees.
    plans: Vec<Plan>,
}

/// How long something is there.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Life {
    stage: LifecycleStage,
    /// Since when nobody should begin to use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecated_at: Option<Timestamp>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    sunset_at: Option<Timestamp>,
}

impl Life {
    fn new(stage: LifecycleStage, lifecycle: Option<&Lifecycle>) -> Life {
        Life {
            stage,
            deprecated_at: lifecycle.and_then(|lifecycle| lifecycle.deprecated_at),
            sunset_at: lifecycle.and_then(|lifecycle| lifecycle.sunset_at),
        }
    }
}

/// A version of a product.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Version {
    name: String,
    #[serde(flatten)]
    life: Life,
    /// Where its OpenAPI document is, as a path on this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<String>,
}

/// Where a product is called.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Address {
    environment: Ref,
    stage: Stage,
    version: String,
    url: String,
}

impl Address {
    pub(super) fn of(address: &product::Address) -> Address {
        let product::Address { name, environment: _, stage, version, url, header: _, cors: _ } = address;
        Address { environment: Ref::of(name), stage: *stage, version: version.clone(), url: url.clone() }
    }
}

impl Product {
    /// A product as somebody sees it.
    pub(crate) fn of(core: &Core, person: Option<&Person>, name: &Name) -> Option<Product> {
        let product::Product {
            name,
            title,
            description,
            tags,
            owner,
            stage,
            lifecycle,
            replaced_by,
            versions,
            plans,
            docs: _,
            addresses,
            oversees: _,
        } = product::product(core, person, name)?;
        let document = |version: &str| format!("{}/openapi/{version}", crate::gather::address("apis", &name));
        Some(Product {
            of: Ref::of(&name),
            title,
            description,
            tags,
            owner,
            life: Life::new(stage, Some(&lifecycle)),
            replaced_by: replaced_by.map(|(_, name)| Ref::of(&name)),
            versions: versions
                .iter()
                .map(|version| Version {
                    name: version.name.clone(),
                    life: Life::new(
                        version.lifecycle.as_ref().map_or(stage, |lifecycle| lifecycle.stage),
                        version.lifecycle.as_ref(),
                    ),
                    document: version.has_document.then(|| document(&version.name)),
                })
                .collect(),
            addresses: addresses.iter().map(Address::of).collect(),
            plans: plans.iter().filter_map(|card| Plan::of(core, person, &card.name)).collect(),
        })
    }
}

/// The terms on which products are offered.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plan {
    #[serde(flatten)]
    of: Ref,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(flatten)]
    life: Life,
    /// Products that it covers and whoever asks sees.
    products: Vec<CoveredProduct>,
    /// What it costs, in words.
    price: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    price_note: Option<String>,
    /// Whether somebody has to approve requests.
    approval: ApprovalMode,
    security: Security,
    limits: Vec<Limit>,
    scopes: Vec<Scope>,
    /// What has to be accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    terms: Option<Terms>,
    /// Whether subscriptions begin in the sandbox.
    sandbox: bool,
    /// How long it is free.
    #[serde(skip_serializing_if = "Option::is_none")]
    trial: Option<String>,
    /// After how long it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<String>,
    /// How many credentials a subscription may have.
    max_credentials: i64,
}

/// A product that a plan covers.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CoveredProduct {
    #[serde(flatten)]
    of: Ref,
    /// The only operations that it allows; none named is all.
    operations: Vec<String>,
}

/// A scope that a plan can give.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Scope {
    name: String,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    mode: ScopeMode,
}

impl Plan {
    /// A plan as somebody sees it.
    pub(crate) fn of(core: &Core, person: Option<&Person>, name: &Name) -> Option<Plan> {
        let spec = core.plan(name)?;
        let plans::Card { title, description, price, price_note, scopes, terms, stage, .. } =
            plans::card(core, name, None)?;
        let products = spec.products.iter().filter_map(|one| {
            let product = look::resolve_product(one, name);
            let covered = CoveredProduct { of: Ref::of(&product), operations: one.operations.clone() };
            may(core, person, Action::See, &product.of(Kind::ApiProduct)).then_some(covered)
        });
        let scopes = scopes.into_iter().map(|plans::Scope { name, title, description, mode }| Scope {
            name,
            title,
            description,
            mode,
        });
        Some(Plan {
            of: Ref::of(name),
            title,
            description,
            life: Life::new(stage, Some(&spec.lifecycle)),
            products: products.collect(),
            price,
            price_note,
            approval: spec.approval.mode,
            security: spec.security.r#type,
            limits: spec.limits.clone(),
            scopes: scopes.collect(),
            terms,
            sandbox: spec.sandbox.as_ref().is_some_and(|sandbox| sandbox.required),
            trial: spec.trial.as_ref().map(ToString::to_string),
            duration: spec.duration.as_ref().map(ToString::to_string),
            max_credentials: spec.credentials.max,
        })
    }
}
