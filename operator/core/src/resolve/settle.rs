//! Subscriptions that compete: for a limited number of places, and for the products of one application.

use jiff::Timestamp;
use portico_crds::Phase;

use super::Scene;
use super::subscription::{Candidate, Grant, SubscriptionView};
use crate::diagnostic::Diagnostic;
use crate::key::{Kind, Name};
use crate::table::Set;
use crate::world::World;

/// Who has a place on a plan with a limited number of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) most: usize,
    pub(crate) taken: Set<Name>,
}

/// Who came first: those whose age nobody knows, then by age, then by name.
fn seniority(world: &World, name: &Name) -> (Option<Timestamp>, Name) {
    (world.subscriptions.get(name).and_then(|entry| entry.meta.created), name.clone())
}

/// Who gets the places of a plan that has a limited number of them.
pub(crate) fn places(scene: Scene<'_>, plan: &Name) -> Option<Places> {
    let most = scene.views.plans.get(plan)?.terms.max_subscriptions?;
    let world = scene.world;
    let granted = world.approvals_of_plan.of(plan).filter_map(|approval| {
        let entry = world.approvals.get(approval)?;
        Some(World::resolve(&entry.spec.subscription, approval))
    });
    let contenders: Set<Name> = world.subscriptions_to_plan.of(plan).cloned().chain(granted).collect();
    let mut queue: Vec<_> = contenders
        .into_iter()
        .filter(|name| {
            let candidate = scene.views.candidates.get(name).filter(|candidate| candidate.holds());
            let grant = candidate.and_then(|candidate| candidate.grant.as_ref());
            grant.is_some_and(|grant| grant.plan.name == *plan && rival(scene, name, grant).is_none())
        })
        .map(|name| seniority(world, &name))
        .collect();
    queue.sort();
    Some(Places { most, taken: queue.into_iter().take(most).map(|(_, name)| name).collect() })
}

/// What holds, now that the others are known.
pub(crate) fn settle(scene: Scene<'_>, name: &Name) -> Option<SubscriptionView> {
    let candidate = scene.views.candidates.get(name)?;
    let Candidate { phase, stage, grant, waiting, against, problems, wake: _ } = candidate;
    let mut view = SubscriptionView {
        phase: *phase,
        stage: *stage,
        grant: grant.clone(),
        waiting: waiting.clone(),
        against: *against,
        problems: problems.clone(),
    };
    let Some(grant) = grant.as_ref().filter(|_| candidate.holds()) else { return Some(view) };
    let key = name.clone().of(Kind::Subscription);
    let mut refuse = |code, message: String, help: &str| {
        view.phase = Phase::Pending;
        view.grant = None;
        view.waiting = Some(message.clone().into());
        view.problems.push(Diagnostic::error(code, &key, "spec.plan.name", message).help(help));
    };
    if let Some((rival, product)) = rival(scene, name, grant) {
        let message =
            format!("Subscription {rival} of the same application came first and covers ApiProduct {product} too");
        refuse(
            "duplicate-subscription",
            message,
            "change the plan of that subscription instead, or use another application",
        );
    } else if let Some(places) = scene.views.places.get(&grant.plan.name)
        && !places.taken.contains(name)
    {
        let message = match places.most {
            0 => format!("Plan {} takes no subscriptions", grant.plan.name),
            1 => format!("Plan {} takes 1 subscription, and has it", grant.plan.name),
            most => format!("Plan {} takes at most {most} subscriptions, and has them", grant.plan.name),
        };
        refuse("plan-is-full", message, "it is granted when a place is free; or ask the plan's owner for more places");
    }
    Some(view)
}

/// The oldest other subscription of the same application to one of the same products, and which: a request could not
/// tell which of them counts.
fn rival<'a>(scene: Scene<'a>, name: &Name, grant: &Grant) -> Option<(&'a Name, &'a Name)> {
    let spec = &scene.world.subscriptions.get(name)?.spec;
    let application = World::resolve_local(&spec.application, name);
    if scene.world.subscriptions_of_application.count(&application) < 2 {
        return None;
    }
    let mine = seniority(scene.world, name);
    let siblings = scene.world.subscriptions_of_application.of(&application);
    let rivals = siblings.filter_map(|other| {
        let candidate = scene.views.candidates.get(other).filter(|candidate| candidate.holds())?;
        let theirs = &candidate.grant.as_ref()?.plan.products;
        let both = theirs.iter().find(|one| grant.plan.products.iter().any(|two| one.name == two.name))?;
        Some((seniority(scene.world, other), other, &both.name)).filter(|(rank, ..)| *rank < mine)
    });
    rivals.min().map(|(_, other, product)| (other, product))
}
