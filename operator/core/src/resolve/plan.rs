//! Plans: the terms on which products are offered.

use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::{
    ApprovalMode, ChangeMode, DeletionPolicy, LifecycleStage, PlanProperty, PlanSpec, ScopeMode, Security, Span, Term,
};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::deletion::came_later;
use super::product::{ProductTerms, audience_teams};
use super::{Scene, stage_at};
use crate::diagnostic::Diagnostic;
use crate::gateway::GrantedScope;
use crate::key::{Kind, Name};
use crate::world::World;

/// What subscribers are held to. Limits are not here: gateways apply them by plan, so a change of limits touches no
/// subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlanTerms {
    pub(crate) name: Name,
    pub(crate) stage: LifecycleStage,
    pub(crate) deprecated_at: Option<Timestamp>,
    pub(crate) products: Vec<Arc<ProductTerms>>,
    pub(crate) security: Security,
    pub(crate) manual: bool,
    pub(crate) sandbox: bool,
    pub(crate) teams: Option<Vec<Name>>,
    /// The only application that may have it.
    pub(crate) custom_for: Option<Name>,
    pub(crate) terms_version: Option<Box<str>>,
    pub(crate) duration: Option<Term>,
    pub(crate) trial: Option<Term>,
    /// Whether it has a price.
    pub(crate) priced: bool,
    pub(crate) change: ChangeMode,
    /// Where it was made for one application: the plan that it is a copy of.
    pub(crate) copy_of: Option<Name>,
    pub(crate) max_subscriptions: Option<usize>,
    pub(crate) max_credentials: usize,
    /// What a subscription has to say about itself.
    pub(crate) properties: Vec<PlanProperty>,
    pub(crate) overlap: Option<Span>,
    pub(crate) lifetime: Option<Span>,
    /// It was deleted together with its subscriptions, or one of its products was.
    pub(crate) cascades: bool,
    /// The plan alone: what most clients carry, held once.
    pub(crate) solo: Arc<[Name]>,
    /// The scopes that come without asking: what most subscriptions have, held once.
    pub(crate) active: Arc<[GrantedScope]>,
}

/// A plan as subscriptions and APIs see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlanView {
    pub(crate) terms: Arc<PlanTerms>,
    /// Names exactly what is offered. Not among the terms, since limits are in it: only approvals that say it depend on it.
    pub(crate) digest: Box<str>,
    pub(crate) problems: Vec<Diagnostic>,
    pub(crate) wake: Option<Timestamp>,
}

impl PlanTerms {
    /// Whether an application may subscribe: every product consents to its namespace, and its team may see it all.
    pub(crate) fn open_to(&self, application: &Name, team: Option<&Name>) -> bool {
        let namespace = application.namespace();
        let sees = |teams: &Option<Vec<Name>>| {
            teams.as_ref().is_none_or(|teams| {
                teams.iter().any(|listed| match team {
                    Some(team) => listed == team,
                    None => listed.namespace() == namespace,
                })
            })
        };
        let shown = |owner: &Name, stage: LifecycleStage, teams: &Option<Vec<Name>>| {
            owner.namespace() == namespace || (stage != LifecycleStage::Draft && sees(teams))
        };
        !self.products.is_empty()
            && self.custom_for.as_ref().is_none_or(|only| only == application)
            && shown(&self.name, self.stage, &self.teams)
            && self
                .products
                .iter()
                .all(|product| product.admits(namespace) && shown(&product.name, product.stage, &product.teams))
    }

    /// A product without which the plan opens nothing, once all of them are over.
    pub(crate) fn retired_product(&self) -> Option<&Name> {
        let over = self.products.iter().all(|product| product.stage == LifecycleStage::Retired);
        self.products.first().filter(|_| over).map(|product| &product.name)
    }

    /// How a scope of one of the plan's products is had.
    pub(crate) fn scope(&self, name: &str) -> impl Iterator<Item = (GrantedScope, ScopeMode)> {
        self.products.iter().flat_map(move |product| {
            product
                .scopes
                .iter()
                .filter(move |(scope, _)| **scope == *name)
                .map(|(scope, mode)| (GrantedScope { product: product.name.clone(), scope: scope.clone() }, *mode))
        })
    }
}

pub(crate) fn plan(scene: Scene<'_>, name: &Name) -> Option<PlanView> {
    let entry = scene.world.plans.get(name)?;
    let spec = &entry.spec;
    let key = name.clone().of(Kind::Plan);
    let (stage, wake) = stage_at(&spec.lifecycle, scene.now);
    let mut problems = Vec::new();
    let mut products = Vec::new();
    let mut lacks = false;

    for (index, reference) in spec.products.iter().enumerate() {
        let product = World::resolve_product(reference, name);
        let deletion = scene.world.deleted_products.get(&product);
        let is_late = deletion.is_some_and(|deletion| came_later(deletion, &key, entry.meta.created));
        match scene.views.products.get(&product) {
            Some(view) if view.terms.admits(name.namespace()) && !is_late => {
                for (place, operation) in reference.operations.iter().enumerate() {
                    if !super::api::knows(scene, &product, operation) {
                        let path = format!("spec.products[{index}].operations[{place}]");
                        let until = "the plan does not allow it";
                        problems.push(super::api::unknown_operation(scene, &key, path, &product, operation, until));
                    }
                }
                products.push(view.terms.clone());
            }
            _ => {
                lacks = true;
                problems.push(
                    Diagnostic::error(
                        "missing-reference",
                        &key,
                        format!("spec.products[{index}].name"),
                        format!("there is no ApiProduct {product} that namespace `{}` may offer", name.namespace()),
                    )
                    .help("create it, or ask its owner to admit this namespace in `spec.consumers`"),
                );
            }
        }
    }
    limits(scene, name, &key, &mut problems);

    if spec.security.r#type != Security::ApiKey {
        let message = format!("gateways cannot check {:?} yet, so nobody can use this plan", spec.security.r#type);
        problems.push(Diagnostic::warning("unsupported-security", &key, "spec.security.type", message));
    }
    products.sort_by(|one, other| one.name.cmp(&other.name));
    products.dedup_by(|one, other| one.name == other.name);
    if lacks {
        // A plan that lacks one of its products is not the plan that was offered.
        products.clear();
    } else if products.len() < spec.products.len() {
        problems.push(
            Diagnostic::warning("duplicate-product", &key, "spec.products", "the same product is listed twice")
                .help("remove one of them; of their operations those of the first count"),
        );
    }
    if spec.network.is_some() {
        let message = "gateways cannot look at where requests come from yet, so this is not enforced";
        problems.push(Diagnostic::warning("unsupported-network", &key, "spec.network", message));
    }
    if spec.lifecycle.stage == LifecycleStage::Deprecated && spec.lifecycle.deprecated_at.is_none() {
        problems.push(super::dateless(&key));
    }
    let mut active: Vec<GrantedScope> = products
        .iter()
        .flat_map(|product| {
            let scopes = product.scopes.iter().filter(|(_, mode)| *mode == ScopeMode::Active);
            scopes.map(|(scope, _)| GrantedScope { product: product.name.clone(), scope: scope.clone() })
        })
        .collect();
    active.sort();

    let is_deleted = scene.world.deleted_plans.contains_key(name);
    let cascades = is_deleted && spec.deletion_policy == DeletionPolicy::Cascade;
    let terms = PlanTerms {
        name: name.clone(),
        cascades: cascades || products.iter().any(|product| product.cascades),
        stage,
        deprecated_at: spec.lifecycle.deprecated_at.map(|at| *at),
        products,
        security: spec.security.r#type,
        manual: spec.approval.mode == ApprovalMode::Manual,
        sandbox: spec.sandbox.as_ref().is_some_and(|sandbox| sandbox.required),
        teams: audience_teams(spec.visibility.audience, &spec.visibility.teams, name),
        custom_for: spec.custom_for.as_ref().map(|only| World::resolve(only, name)),
        terms_version: spec.terms.as_ref().map(|terms| terms.version.as_str().into()),
        duration: spec.duration,
        trial: spec.trial,
        priced: spec.price.is_some(),
        change: spec.change_mode,
        copy_of: spec.custom_for.as_ref().and(spec.replaces.as_ref()).map(|plan| World::resolve_local(plan, name)),
        max_subscriptions: spec.max_subscriptions.map(|most| usize::try_from(most).unwrap_or(0)),
        max_credentials: usize::try_from(spec.credentials.max).unwrap_or(0),
        properties: spec.properties.clone(),
        overlap: spec.credentials.rotation_overlap,
        lifetime: spec.credentials.lifetime,
        solo: [name.clone()].into(),
        active: active.into(),
    };
    let digest = digest(spec, &terms);
    Some(PlanView { terms: Arc::new(terms), digest, problems, wake })
}

/// What a subscriber gets and owes, in a few letters: two plans that offer the same have the same. What is written about a plan
/// and who may have it is not in it.
fn digest(spec: &PlanSpec, terms: &PlanTerms) -> Box<str> {
    let PlanSpec {
        title: _,
        description: _,
        products,
        security,
        limits,
        limits_shared_by,
        approval: _,
        sandbox,
        change_mode: _,
        price,
        contract: _,
        terms: text,
        properties: _,
        duration,
        trial,
        max_subscriptions: _,
        credentials,
        lifecycle: _,
        visibility: _,
        version: _,
        replaces: _,
        custom_for: _,
        deletion_policy: _,
        network,
    } = spec;
    let scopes = terms.products.iter().map(|product| (product.name.to_string(), &product.scopes));
    let scopes: Vec<_> = scopes.map(|(product, scopes)| json!([product, scopes])).collect();
    let version = text.as_ref().map(|text| &text.version);
    let said = json!([
        products,
        security,
        limits,
        limits_shared_by,
        sandbox,
        price,
        version,
        duration,
        trial,
        credentials,
        network,
        scopes
    ]);
    let digest = Sha256::digest(said.to_string());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// Checks the limits of a plan; [`super::api`] compiles them.
fn limits(scene: Scene<'_>, name: &Name, key: &crate::key::ObjectKey, problems: &mut Vec<Diagnostic>) {
    let Some(entry) = scene.world.plans.get(name) else { return };
    let spec = &entry.spec;
    for (index, limit) in spec.limits.iter().enumerate() {
        let path = |field: &str| format!("spec.limits[{index}]{field}");
        let whole = |limit: &portico_crds::Limit| limit.operations.is_empty() && limit.methods.is_empty();
        // More specific limits can allow what it denies.
        let alone = || spec.limits.iter().all(|other| whole(other) || other.requests == 0);
        if limit.requests == 0 && limit.product.is_none() && whole(limit) && alone() {
            problems.push(
                Diagnostic::warning("limit-of-zero", key, path(".requests"), "a limit of 0 denies every request")
                    .help("this plan serves nothing; give a number, or remove the limit for an unlimited plan"),
            );
        }
        let products: Vec<Name> = match &limit.product {
            Some(product) => spec
                .products
                .iter()
                .filter(|reference| reference.name == *product)
                .map(|reference| World::resolve_product(reference, name))
                .collect(),
            None => spec.products.iter().map(|reference| World::resolve_product(reference, name)).collect(),
        };
        if let Some(product) = &limit.product
            && products.is_empty()
        {
            let message = format!("the plan does not cover a product `{product}`");
            problems.push(
                Diagnostic::error("missing-reference", key, path(".product"), message)
                    .help("name one of `spec.products`, or leave it out for all of them; this limit is not applied"),
            );
        }
        for (place, operation) in limit.operations.iter().enumerate() {
            if !products.is_empty() && !products.iter().any(|product| super::api::knows(scene, product, operation)) {
                let path = path(&format!(".operations[{place}]"));
                let until = "every limit counts every request";
                problems.push(super::api::unknown_operation(scene, key, path, &products[0], operation, until));
            }
        }
        let same = |other: &portico_crds::Limit| {
            other.per == limit.per
                && other.product == limit.product
                && other.operations == limit.operations
                && other.methods == limit.methods
        };
        if spec.limits[..index].iter().any(same) {
            let message = format!("a limit for the same requests per {:?} stands above", limit.per);
            problems.push(
                Diagnostic::error("duplicate-limit", key, path(""), message).help("the smaller of the two is applied"),
            );
        }
    }
}
