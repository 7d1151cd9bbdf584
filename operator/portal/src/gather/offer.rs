//! What somebody can do with a plan: for whom they can subscribe, and what that takes.

use portico_core::Core;
use portico_core::key::{Kind, Name, ObjectKey};
use portico_core::look;
use portico_crds::{AccessLevel, LifecycleStage, PlanProperty, ScopeMode, Security, Stage};

use super::plans::{self, Card, Scope};
use crate::may::{Action, may};
use crate::people::Person;

/// A plan, as somebody can have it.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) card: Card,
    /// The product that names are made of, its title, and where its page is.
    pub(crate) product: Option<(Name, String)>,
    /// Why nobody can subscribe, in a sentence.
    pub(crate) closed: Option<String>,
    /// Teams for which an application can be made.
    pub(crate) teams: Vec<(Name, String)>,
    /// Applications that can subscribe.
    pub(crate) applications: Vec<(Name, String)>,
    /// Applications that have it already.
    pub(crate) have: Vec<(Name, String, Name)>,
    /// Scopes that can be asked for.
    pub(crate) scopes: Vec<Scope>,
    /// What a subscription has to say about itself.
    pub(crate) properties: Vec<PlanProperty>,
    /// Where a key can be for.
    pub(crate) environments: Vec<(Name, String)>,
    /// Whether somebody has to approve it.
    pub(crate) is_manual: bool,
}

/// What a person can do with a plan.
pub(crate) fn offer(core: &Core, person: &Person, name: &Name) -> Option<Offer> {
    let plan = core.plan(name)?;
    let first = plan.products.first().map(|product| look::resolve_product(product, name));
    let product = first.and_then(|product| Some((product.clone(), core.product(&product)?.title.clone())));
    let card = plans::card(core, name, product.as_ref().map(|(name, _)| name))?;
    let takes_nobody = plan.products.iter().any(|product| {
        let stage = core.product_stage(&look::resolve_product(product, name));
        matches!(stage, Some(LifecycleStage::Deprecated | LifecycleStage::Retired))
    });
    let closed = match card.stage {
        LifecycleStage::Deprecated | LifecycleStage::Retired => Some("This plan takes nobody new.".to_owned()),
        _ if takes_nobody => Some("This API takes nobody new.".to_owned()),
        _ if plan.security.r#type != Security::ApiKey => {
            Some("Its gateways cannot check such clients yet, so nobody can use it.".to_owned())
        }
        _ => None,
    };
    let mut offer = Offer {
        scopes: card.scopes.iter().filter(|scope| scope.mode != ScopeMode::Active).cloned().collect(),
        properties: plan.properties.clone(),
        is_manual: plan.approval.mode == portico_crds::ApprovalMode::Manual,
        environments: environments(core, name),
        card,
        product,
        closed,
        teams: Vec::new(),
        applications: Vec::new(),
        have: Vec::new(),
    };
    for membership in person.teams.iter().filter(|one| one.access.teams >= AccessLevel::Full) {
        let team = &membership.team;
        // One that is not there yet, by a name that none has.
        if plan.custom_for.is_none() && core.open_to(name, &team.beside(""), Some(team)) {
            offer.teams.push((team.clone(), membership.title.clone()));
        }
        let named = core.applications_of(team).map(|application| (application, Some(team)));
        let others =
            core.applications_without_team(team.namespace()).into_iter().map(|application| (application, None));
        for (application, of) in named.chain(others) {
            let Some(spec) = core.application(application) else { continue };
            // Two teams of one namespace both have what belongs to neither.
            let is_known = offer.applications.iter().any(|(known, _)| known == application)
                || offer.have.iter().any(|(known, ..)| known == application);
            if spec.authentication != plan.security.r#type
                || is_known
                || !core.open_to(name, application, of)
                || !may(core, Some(person), Action::Change, &application.clone().of(Kind::Application))
            {
                continue;
            }
            let live = core.subscriptions_by(application).find(|subscription| {
                let standing = super::state::subscription(core, subscription);
                let over = standing.is_none_or(|standing| {
                    use portico_crds::Phase::{Cancelled, Expired, Rejected};
                    matches!(standing.phase, Cancelled | Expired | Rejected)
                });
                !over && crate::may::asked(core, subscription).contains(name)
            });
            match live {
                Some(subscription) => {
                    offer.have.push((application.clone(), spec.title.clone(), subscription.clone()));
                }
                None => offer.applications.push((application.clone(), spec.title.clone())),
            }
        }
    }
    Some(offer)
}

/// Environments that serve a plan's products, at the stage in which a subscription begins.
pub(crate) fn environments(core: &Core, name: &Name) -> Vec<(Name, String)> {
    let Some(plan) = core.plan(name) else { return Vec::new() };
    let begins = match &plan.sandbox {
        Some(sandbox) if sandbox.required => Stage::Sandbox,
        _ => Stage::Production,
    };
    let mut found: Vec<(Name, String)> = Vec::new();
    for covered in &plan.products {
        let product = look::resolve_product(covered, name);
        for endpoint in core.product(&product).into_iter().flat_map(|product| &product.endpoints) {
            let environment = look::resolve(&endpoint.environment, &product);
            let Some(spec) = core.environment(&environment).filter(|spec| spec.stage == begins) else { continue };
            if !found.iter().any(|(known, _)| *known == environment) {
                let title = spec.title.clone().unwrap_or_else(|| environment.name().to_string());
                found.push((environment, title));
            }
        }
    }
    found
}

/// Whether there is an object by this name, or was one to which somebody has given an answer: that would be about the new one too.
pub(crate) fn is_taken(core: &Core, kind: Kind, namespace: &str, name: &str) -> bool {
    let key = ObjectKey::new(kind, namespace, name);
    core.has(&key) || (kind == Kind::Subscription && core.approvals_of(&key.name).next().is_some())
}
