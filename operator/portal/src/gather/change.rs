//! Other plans that a subscription can go to, and what that takes.

use portico_core::Core;
use portico_core::key::{Kind, Name};
use portico_core::look;
use portico_crds::{ApprovalMode, ChangeMode, LifecycleStage, Phase};

use super::compare::{self, Comparison};
use super::consumer::{self, Subject};
use super::life::{Life, Step};
use super::plans::{self, Card};
use crate::may::{Action, may};
use crate::people::Person;

/// A plan that it can go to.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    pub(crate) card: Card,
    /// What is different there.
    pub(crate) differs: Comparison,
    /// Scopes that it asks for and that are not to be had there.
    pub(crate) lost: Vec<String>,
    /// Whether its owner has to let it.
    pub(crate) by_request: bool,
}

/// What a page about changing the plan shows.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) life: Life,
    pub(crate) application_title: String,
    pub(crate) subject: Subject,
    /// The title of the plan that it wants to go to already.
    pub(crate) wanted: Option<String>,
    pub(crate) others: Vec<Other>,
}

impl Change {
    /// Whether what it has serves until the other plan is granted; else it only asks for another one.
    pub(crate) fn serves(&self) -> bool {
        self.life.is_live() || self.life.phase == Phase::Expired
    }
}

/// Where a subscription can go, as one of its team sees it.
pub(crate) fn change(core: &Core, person: Option<&Person>, name: &Name) -> Option<Change> {
    let life = Life::of(core, name)?;
    let subject = consumer::subject(core, person, name)?;
    let application = name.beside(&life.spec.application.name);
    let spec = core.application(&application)?;
    let here = life.granted.clone().unwrap_or_else(|| life.own.clone());
    let asked = |scope: &str| life.spec.scopes.iter().any(|asked| asked.name == scope);
    let before = compare::given(core, &here, life.stage, asked).unwrap_or_default();
    let mut others: Vec<Other> = Vec::new();
    // Of a plan that it may not have, nothing is told.
    let is_known = life.granted.is_some() || may(core, person, Action::See, &here.clone().of(Kind::Plan));
    if is_known && life.may(Step::ChangePlan) {
        for plan in candidates(core, person, &life, &here, name) {
            let Some(said) = core.plan(&plan) else { continue };
            let Some(card) = plans::card(core, &plan, subject.to.as_ref()) else { continue };
            let known = |scope: &str| card.scopes.iter().any(|one| one.name == scope);
            let lost = life.spec.scopes.iter().map(|asked| &asked.name).filter(|asked| !known(asked)).cloned();
            let after = compare::given(core, &plan, life.stage, asked).unwrap_or_default();
            let is_manual = said.approval.mode == ApprovalMode::Manual;
            others.push(Other {
                differs: compare::compare(&before, &after),
                lost: lost.collect(),
                by_request: is_manual || matches!(said.change_mode, ChangeMode::Request | ChangeMode::RequestWithCard),
                card,
            });
        }
    }
    others.sort_by(|one, other| (&one.card.title, &one.card.name).cmp(&(&other.card.title, &other.card.name)));
    let wanted = life.wanted.as_ref().map(|wanted| {
        let known = core.plan(wanted).filter(|_| may(core, person, Action::See, &wanted.clone().of(Kind::Plan)));
        known.map_or_else(|| wanted.to_string(), |plan| plan.title.clone())
    });
    Some(Change { application_title: spec.title.clone(), subject, wanted, others, life })
}

/// Plans of the same products that the application may have, and that take somebody from another plan.
fn candidates(core: &Core, person: Option<&Person>, life: &Life, here: &Name, name: &Name) -> Vec<Name> {
    let application = name.beside(&life.spec.application.name);
    let Some(spec) = core.application(&application) else { return Vec::new() };
    let team = spec.team.as_ref().map(|team| name.beside(&team.name));
    let mut found: Vec<Name> = Vec::new();
    let covered = core.plan(here).into_iter().flat_map(|plan| &plan.products);
    for product in covered.map(|one| look::resolve_product(one, here)) {
        for plan in core.plans_of(&product) {
            let Some(said) = core.plan(plan) else { continue };
            let is_ending = |one| matches!(one, Some(LifecycleStage::Deprecated | LifecycleStage::Retired));
            let products = said.products.iter().map(|one| core.product_stage(&look::resolve_product(one, plan)));
            let takes = core.plan_stage(plan).unwrap_or(said.lifecycle.stage) == LifecycleStage::Published
                && said.change_mode != ChangeMode::None
                && said.security.r#type == spec.authentication
                && !products.into_iter().any(is_ending);
            if *plan != *here
                && takes
                && !found.contains(plan)
                && core.open_to(plan, &application, team.as_ref())
                && may(core, person, Action::See, &plan.clone().of(Kind::Plan))
            {
                found.push(plan.clone());
            }
        }
    }
    found
}
