//! Plans, in words.

use portico_core::Core;
use portico_core::key::{Kind, Name};
use portico_core::look;
use portico_crds::{
    ApiScope, ApprovalMode, Approver, ApproverKind, Contract, LifecycleStage, PlanSpec, ScopeMode, Terms,
};

use crate::may::{Action, may};
use crate::people::Person;
use crate::words;

/// A plan as a card shows it.
#[derive(Clone, Debug)]
pub(crate) struct Card {
    pub(crate) name: Name,
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    pub(crate) price: String,
    pub(crate) price_note: Option<String>,
    /// What one gets.
    pub(crate) points: Vec<String>,
    /// What one does not get.
    pub(crate) without: Vec<String>,
    pub(crate) approval: String,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) terms: Option<Terms>,
    pub(crate) contract: Option<Contract>,
    pub(crate) stage: LifecycleStage,
    /// Titles of products that it covers besides the one that is looked at.
    pub(crate) also: Vec<String>,
}

/// A scope that a plan can give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    pub(crate) mode: ScopeMode,
}

/// Whether a plan is among those that a visitor is shown: they see it, and it is not over.
pub(crate) fn is_offered(core: &Core, person: Option<&Person>, name: &Name) -> bool {
    core.plan(name).is_some_and(|spec| {
        core.plan_stage(name).unwrap_or(spec.lifecycle.stage) != LifecycleStage::Retired
            && may(core, person, Action::See, &name.clone().of(Kind::Plan))
    })
}

/// Plans of a product that a visitor sees; the cheapest way in comes first.
pub(crate) fn of_product(core: &Core, person: Option<&Person>, product: &Name) -> Vec<Card> {
    let mut cards: Vec<(bool, Card)> = core
        .plans_of(product)
        .filter(|plan| is_offered(core, person, plan))
        .filter_map(|plan| {
            let spec = core.plan(plan)?;
            Some((spec.price.is_some() || spec.contract.is_some(), card(core, plan, Some(product))?))
        })
        .collect();
    cards.sort_by(|(one, a), (other, b)| (one, a.also.len(), &a.title).cmp(&(other, b.also.len(), &b.title)));
    cards.into_iter().map(|(_, card)| card).collect()
}

/// A plan, looked at from one of its products.
pub(crate) fn card(core: &Core, name: &Name, product: Option<&Name>) -> Option<Card> {
    let spec = core.plan(name)?;
    let (price, price_note) = words::price(spec);
    let (no, limits): (Vec<_>, Vec<_>) = spec.limits.iter().partition(|limit| limit.requests == 0);
    let mut points: Vec<String> = limits.into_iter().map(words::limit).collect();
    if points.is_empty() {
        points.push("As many requests as you like".to_owned());
    }
    let only = spec.products.iter().find(|one| {
        !one.operations.is_empty() && product.is_none_or(|product| look::resolve_product(one, name) == *product)
    });
    let mut without: Vec<String> = no.into_iter().map(words::limit).collect();
    if let Some(only) = only {
        without.push(format!("Nothing but {}", words::listed(&only.operations)));
    }
    points.push(words::security(spec.security.r#type).to_owned());
    let keys = usize::try_from(spec.credentials.max).unwrap_or_default();
    points.push(format!("Up to {}", words::count(keys, "key")));
    if let Some(lifetime) = &spec.credentials.lifetime {
        points.push(format!("A key is good for {}", words::span(&lifetime.to_string())));
    }
    if let Some(sandbox) = &spec.sandbox
        && sandbox.required
    {
        points.push("Begins in the sandbox, and asks to go live".to_owned());
    }
    if let Some(trial) = &spec.trial {
        points.push(format!("Free for the first {}", words::span(&trial.to_string())));
    }
    if let Some(duration) = &spec.duration {
        points.push(format!("Ends after {}", words::span(&duration.to_string())));
    }
    let others = spec.products.iter().map(|one| look::resolve_product(one, name));
    let also =
        others.filter(|other| Some(other) != product).filter_map(|other| Some(core.product(&other)?.title.clone()));
    Some(Card {
        name: name.clone(),
        title: spec.title.clone(),
        description: spec.description.clone(),
        price,
        price_note,
        points,
        without,
        approval: approval(spec),
        scopes: scopes(core, name, spec),
        terms: spec.terms.clone(),
        contract: spec.contract.clone(),
        stage: core.plan_stage(name).unwrap_or(spec.lifecycle.stage),
        also: also.collect(),
    })
}

/// Scopes of all products of a plan, but for those that are for operations that the plan does not allow.
pub(crate) fn scopes(core: &Core, name: &Name, spec: &PlanSpec) -> Vec<Scope> {
    let mut scopes = Vec::new();
    for covered in &spec.products {
        let Some(product) = core.product(&look::resolve_product(covered, name)) else { continue };
        let useful = |scope: &&ApiScope| {
            covered.operations.is_empty()
                || scope.operations.is_empty()
                || scope.operations.iter().any(|operation| covered.operations.contains(operation))
        };
        scopes.extend(product.scopes.iter().filter(useful).map(|scope| Scope {
            name: scope.name.clone(),
            title: scope.title.clone().unwrap_or_else(|| scope.name.clone()),
            description: scope.description.clone(),
            mode: scope.mode,
        }));
    }
    scopes
}

/// Who lets one in, in a sentence.
fn approval(spec: &PlanSpec) -> String {
    if spec.approval.mode == ApprovalMode::Automatic {
        return "Access at once".to_owned();
    }
    let approvers = &spec.approval.approvers;
    if approvers.is_empty() {
        return "Access once its owner has approved it".to_owned();
    }
    let name = |approver: &Approver| match approver.kind {
        ApproverKind::User => approver.name.clone(),
        ApproverKind::Group => format!("group {}", approver.name),
        ApproverKind::Team => format!("team {}", approver.name),
    };
    let names: Vec<String> = approvers.iter().take(3).map(name).collect();
    let names = if approvers.len() > 3 { format!("{} or others", names.join(", ")) } else { names.join(" or ") };
    format!("Access once {names} has approved it")
}
