//! Subscriptions that compete: for a limited number of places, and for the products of one application.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::Phase;

use super::Scene;
use super::subscription::{Candidate, Grant, Old, SubscriptionView};
use crate::diagnostic::Diagnostic;
use crate::key::{Kind, Name};
use crate::table::{Map, Set};
use crate::world::World;

/// Who has a place on a plan with a limited number of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) most: usize,
    pub(crate) taken: Set<Name>,
}

/// What a subscription would take: a place on a plan, and that plan's products for its application.
struct Claim<'a> {
    /// Those who change to a plan come after those who have it; then those whose age nobody knows, then by age, then by name.
    rank: (bool, Option<Timestamp>, &'a Name),
    application: Name,
    grant: &'a Grant,
}

/// What a subscription would take. One that changes to another plan keeps its place where it is until it no longer says so.
fn claims<'a>(scene: Scene<'a>, name: &'a Name) -> impl Iterator<Item = Claim<'a>> {
    let entry = scene.world.subscriptions.get(name);
    let candidate = scene.views.candidates.get(name).filter(|candidate| candidate.holds());
    entry.zip(candidate).into_iter().flat_map(move |(entry, candidate)| {
        let claim = move |late, grant| {
            let application = World::resolve_local(&entry.spec.application, name);
            Claim { rank: (late, entry.meta.created, name), application, grant }
        };
        let old = candidate.old.iter().map(move |old| claim(false, &old.grant));
        old.chain(candidate.alone.grant.iter().map(move |grant| claim(candidate.changed.is_some(), grant)))
    })
}

/// Why a claim comes to nothing.
enum Lost<'a> {
    /// An older subscription of the application covers the product.
    To(&'a Name, &'a Name),
    /// The plan has no place left; it has so many.
    Full(usize),
}

/// The products of applications that are taken, and by whom.
#[derive(Default)]
struct Taken<'a>(Map<(Name, &'a Name), &'a Name>);

impl<'a> Taken<'a> {
    /// Takes a claim's products, if they are free and `room` says that there is a place.
    fn take(&mut self, claim: &Claim<'a>, room: impl FnOnce() -> Result<(), usize>) -> Result<(), Lost<'a>> {
        let name = claim.rank.2;
        let products = || claim.grant.plan.products.iter().map(|product| &product.name);
        let key = |product| (claim.application.clone(), product);
        let others = products().filter_map(|product| Some((*self.0.get(&key(product))?, product)));
        if let Some((holder, product)) = others.into_iter().find(|(holder, _)| *holder != name) {
            return Err(Lost::To(holder, product));
        }
        room().map_err(Lost::Full)?;
        let keys: Vec<_> = products().map(key).collect();
        self.0.extend(keys.into_iter().map(|key| (key, name)));
        Ok(())
    }
}

/// How many places a plan has, if that is limited.
fn places_of(scene: Scene<'_>, plan: &Name) -> Option<usize> {
    scene.views.plans.get(plan)?.terms.max_subscriptions
}

/// Who gets the places of a plan that has a limited number of them. Whoever loses a product to an older subscription of the same
/// application needs no place, and whoever gets no place takes no product from a younger one: so it is decided together with
/// all the plans that compete with it in such a way, which come out too. `None`: it has any number of places.
pub(crate) fn places(scene: Scene<'_>, plan: &Name) -> Vec<(Name, Option<Places>)> {
    let world = scene.world;
    let Some(most) = places_of(scene, plan) else { return vec![(plan.clone(), None)] };
    let mut plans = BTreeMap::from([(plan.clone(), Some(most))]);
    let mut open = vec![plan.clone()];
    let mut names: BTreeSet<&Name> = BTreeSet::new();
    while let Some(plan) = open.pop() {
        for name in world.subscriptions_to_plan.of(&plan).chain(world.answered(&plan)) {
            let claim = claims(scene, name).find(|claim| claim.grant.plan.name == plan);
            let Some(claim) = claim.filter(|_| names.insert(name)) else { continue };
            if world.subscriptions_of_application.count(&claim.application) < 2 {
                continue;
            }
            for sibling in world.subscriptions_of_application.of(&claim.application) {
                names.insert(sibling);
                for Claim { grant, .. } in claims(scene, sibling) {
                    let beside = &grant.plan.name;
                    let most = places_of(scene, beside);
                    if most.is_some() && !plans.contains_key(beside) {
                        plans.insert(beside.clone(), most);
                        open.push(beside.clone());
                    }
                }
            }
        }
    }
    let mut queue: Vec<Claim<'_>> = names.into_iter().flat_map(|name| claims(scene, name)).collect();
    queue.sort_by_key(|claim| claim.rank);
    let mut taken = Taken::default();
    let mut places: BTreeMap<Name, Option<Places>> =
        plans.into_iter().map(|(plan, most)| (plan, most.map(|most| Places { most, taken: Set::default() }))).collect();
    for claim in queue {
        let limited = places.get_mut(&claim.grant.plan.name).and_then(Option::as_mut);
        let Some(places) = limited else {
            // Who loses here has nothing to do with places.
            let _ = taken.take(&claim, || Ok(()));
            continue;
        };
        let room = || if places.taken.len() < places.most { Ok(()) } else { Err(places.most) };
        if taken.take(&claim, room).is_ok() {
            places.taken.insert(claim.rank.2.clone());
        }
    }
    places.into_iter().collect()
}

/// What holds, now that the others are known.
pub(crate) fn settle(scene: Scene<'_>, name: &Name) -> Option<Arc<SubscriptionView>> {
    let candidate = scene.views.candidates.get(name)?;
    let Candidate { alone, wake: _, changed, old } = candidate;
    let Some(grant) = alone.grant.as_ref().filter(|_| candidate.holds()) else { return Some(alone.clone()) };
    let (had, lost) = claimed(scene, name);
    let Some(lost) = lost else { return Some(alone.clone()) };
    let mut view = SubscriptionView::clone(alone);
    let plan = &grant.plan.name;
    let (code, message, help) = match lost {
        Lost::To(rival, product) => (
            "duplicate-subscription",
            format!("Subscription {rival} of the same application came first and covers ApiProduct {product} too"),
            "change the plan of that subscription instead, or use another application",
        ),
        Lost::Full(most) => {
            let message = match most {
                0 => format!("Plan {plan} takes no subscriptions"),
                1 => format!("Plan {plan} takes 1 subscription, and has it"),
                most => format!("Plan {plan} takes at most {most} subscriptions, and has them"),
            };
            ("plan-is-full", message, "it is granted when a place is free; or ask the plan's owner for more places")
        }
    };
    if let Some(Old { phase, stage, grant, on }) = old.as_deref().filter(|_| had) {
        let text = format!("{message}; Plan {} serves until there is a place", grant.plan.name);
        (view.phase, view.stage, view.grant, view.waiting) = (*phase, *stage, Some(grant.clone()), Some(text.into()));
        view.on.clone_from(on);
    } else {
        (view.phase, view.grant, view.waiting, view.on) = (Phase::Pending, None, Some(message.clone().into()), None);
    }
    let key = name.clone().of(Kind::Subscription);
    let field = changed.unwrap_or("spec.plan.name");
    view.problems.push(Diagnostic::error(code, &key, field, message).help(help));
    Some(Arc::new(view))
}

/// Whether a subscription has what it leaves, where it changes to another plan; and why it has not what it is granted.
fn claimed<'a>(scene: Scene<'a>, name: &'a Name) -> (bool, Option<Lost<'a>>) {
    let Some(entry) = scene.world.subscriptions.get(name) else { return (false, None) };
    let application = World::resolve_local(&entry.spec.application, name);
    let siblings = scene.world.subscriptions_of_application.of(&application);
    let mut queue: Vec<Claim<'a>> = siblings.flat_map(|sibling| claims(scene, sibling)).collect();
    queue.sort_by_key(|claim| claim.rank);
    let mut taken = Taken::default();
    let mut own = Vec::new();
    for claim in queue {
        let subscription = claim.rank.2;
        let room = || match scene.views.places.get(&claim.grant.plan.name) {
            Some(places) if !places.taken.contains(subscription) => Err(places.most),
            _ => Ok(()),
        };
        let came = taken.take(&claim, room);
        if subscription == name {
            own.push(came.err());
        }
    }
    let last = own.pop().flatten();
    (own.first().is_some_and(Option::is_none), last)
}
