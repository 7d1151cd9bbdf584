//! Products and plans that were deleted: who holds them, and who goes with them.
//!
//! What is deleted with `Refuse` is in force as it last stood for those who were there, and takes nobody new. Once
//! nobody [`holds`] it any more, it is gone. What is deleted with `Cascade` is gone at once and takes its subscriptions
//! along. What is deleted with `Orphan` is not in the world at all.

use std::collections::BTreeSet;

use jiff::Timestamp;
use portico_crds::DeletionPolicy;

use super::Scene;
use super::plan::PlanTerms;
use super::subscription::Left;
use crate::batch::{Deletion, asked};
use crate::diagnostic::Diagnostic;
use crate::key::{Kind, Name, ObjectKey};
use crate::world::World;

/// So many holders are counted and no more, so that whoever ends one of 100,000 does not wait for all to be counted.
const COUNTED: usize = 1000;
/// So many are named.
const NAMED: usize = 3;

/// What became of an object that was deleted, or needs one that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is not deleted itself.
    Stands,
    /// It was deleted, and there is still somebody who holds it, or has to go with it first.
    Held(DeletionPolicy),
    /// It is gone.
    Gone,
}

/// What a deletion leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeletionView {
    pub(crate) fate: Fate,
    pub(crate) problems: Vec<Diagnostic>,
}

/// Whether an object came after something was deleted.
pub(crate) fn came_later(deletion: &Deletion, key: &ObjectKey, created: Option<Timestamp>) -> bool {
    match deletion {
        Deletion::At(at) => created.is_some_and(|created| created > *at),
        Deletion::Before(later) => later.contains(key),
    }
}

/// What of a plan was deleted before the subscription came: the plan, or one of its products.
pub(crate) fn missed(world: &World, subscription: &Name, plan: &PlanTerms) -> Option<ObjectKey> {
    if world.deletes_nothing() {
        return None;
    }
    // What it is on it had before.
    if world.on(subscription) == Some(&plan.name) {
        return None;
    }
    let created = world.subscriptions.get(subscription)?.meta.created;
    let key = subscription.clone().of(Kind::Subscription);
    let is_late = |deletion: Option<&Deletion>| deletion.is_some_and(|deletion| came_later(deletion, &key, created));
    if is_late(world.deleted_plans.get(&plan.name)) {
        return Some(plan.name.clone().of(Kind::Plan));
    }
    let product = plan.products.iter().find(|product| is_late(world.deleted_products.get(&product.name)))?;
    Some(product.name.clone().of(Kind::ApiProduct))
}

/// Whether a subscription holds a plan, and with the plan its products. It does
///
/// - while it is neither cancelled nor expired nor rejected,
/// - if it is granted the plan, in use or not; or asks for it, by `plan` or by `change`, from where that plan may be had,
/// - and if it asked before any of that was deleted.
///
/// One that may not have the plan holds nothing: nobody can keep alive what is not open to them.
pub(crate) fn holds(scene: Scene<'_>, subscription: &Name, plan: &Name) -> bool {
    let Scene { world, views, now: _ } = scene;
    let (Some(entry), Some(terms)) =
        (world.subscriptions.get(subscription), views.plans.get(plan).map(|view| &view.terms))
    else {
        return false;
    };
    let (Some(view), Some(candidate)) = (views.subscriptions.get(subscription), views.candidates.get(subscription))
    else {
        return false;
    };
    if view.ended() || view.left != Left::Stays || missed(world, subscription, terms).is_some() {
        return false;
    }
    let application = World::resolve_local(&entry.spec.application, subscription);
    let consumer = views.applications.get(&application);
    candidate.plans().any(|granted| granted == plan)
        || asked(&entry.spec, subscription).any(|asked| asked == *plan)
            && consumer.is_some_and(|consumer| terms.open_to(&application, consumer.team.as_ref()))
}

/// Whether a subscription is there still, and goes with its plan.
fn goes_with(scene: Scene<'_>, subscription: &Name, plan: &Name) -> bool {
    let entry = scene.world.subscriptions.get(subscription);
    let is_taken = scene.views.subscriptions.get(subscription).is_some_and(|view| view.left == Left::Taken);
    is_taken && entry.is_some_and(|entry| World::resolve(&entry.spec.plan, subscription) == *plan)
}

/// The subscriptions that hold a product or a plan; or, where it was deleted with `Cascade`, that go with it. One that was also
/// answered comes more than once.
pub(crate) fn holders<'a>(scene: Scene<'a>, key: &'a ObjectKey) -> impl Iterator<Item = &'a Name> {
    let Scene { world, views, now: _ } = scene;
    let deletion = world.deleted(key);
    let cascades = deletion.is_some() && world.policy(key) == Some(DeletionPolicy::Cascade);
    // Files cannot be deleted from here: they do not keep alive what they went with.
    let deletes = !cascades || matches!(deletion, Some(Deletion::At(_)));
    let offers = |plan: &&Name| {
        let view = views.plans.get(*plan);
        view.is_some_and(|view| view.terms.products.iter().any(|product| product.name == key.name))
    };
    let plan = Some(&key.name).filter(|_| key.kind == Kind::Plan && deletes);
    let product = Some(&key.name).filter(|_| key.kind == Kind::ApiProduct && deletes);
    let plans = product.into_iter().flat_map(|product| world.plans_of.of(product)).filter(offers);
    plan.into_iter().chain(plans).flat_map(move |plan| {
        let holds = if cascades { goes_with } else { holds };
        let asking = world.subscriptions_to_plan.of(plan).chain(world.answered(plan));
        asking.filter(move |subscription| holds(scene, subscription, plan))
    })
}

/// What becomes of a product that was deleted; `None` of one that was not.
pub(crate) fn deleted_product(scene: Scene<'_>, name: &Name) -> Option<DeletionView> {
    scene.world.deleted_products.get(name)?;
    Some(deleted(scene, &name.clone().of(Kind::ApiProduct)))
}

/// What becomes of a plan that was deleted, or lacks what was deleted; `None` of another.
pub(crate) fn deleted_plan(scene: Scene<'_>, name: &Name) -> Option<DeletionView> {
    let key = name.clone().of(Kind::Plan);
    if scene.world.deleted_plans.contains_key(name) {
        return Some(deleted(scene, &key));
    }
    let mut problems = Vec::new();
    for (index, product) in scene.world.covered(name).enumerate() {
        let Some(view) = scene.views.deleted_products.get(&product) else { continue };
        let offers = scene
            .views
            .plans
            .get(name)
            .is_some_and(|view| view.terms.products.iter().any(|offered| offered.name == product));
        let path = format!("spec.products[{index}].name");
        match view.fate {
            // It says so already.
            _ if !offers => {}
            Fate::Held(DeletionPolicy::Refuse) => {
                let message = format!(
                    "ApiProduct {product} is deleted: it stays for those who have this plan, and nobody else gets it"
                );
                problems.push(
                    Diagnostic::warning("deleted-product", &key, path, message)
                        .help("restore it, or offer a plan without it"),
                );
            }
            Fate::Stands | Fate::Held(_) | Fate::Gone => {
                let message = format!("ApiProduct {product} was deleted");
                problems.push(
                    Diagnostic::error("missing-reference", &key, path, message)
                        .help("restore it, or leave it out: nobody gets a plan that lacks one of its products"),
                );
            }
        }
    }
    (!problems.is_empty()).then_some(DeletionView { fate: Fate::Stands, problems })
}

fn deleted(scene: Scene<'_>, key: &ObjectKey) -> DeletionView {
    let policy = scene.world.policy(key).unwrap_or_default();
    let mut found = BTreeSet::new();
    for holder in holders(scene, key) {
        found.insert(holder);
        if found.len() > COUNTED {
            break;
        }
    }
    let holders = found;
    if holders.is_empty() {
        return DeletionView { fate: Fate::Gone, problems: Vec::new() };
    }
    let mut names: Vec<String> = holders.iter().take(NAMED).map(ToString::to_string).collect();
    let count = match holders.len() {
        1 => "1 subscription".to_owned(),
        count if count > COUNTED => format!("more than {COUNTED} subscriptions"),
        count => format!("{count} subscriptions"),
    };
    if holders.len() > NAMED {
        names.push("…".to_owned());
    }
    let names = names.join(", ");
    let problem = if policy == DeletionPolicy::Cascade {
        let message = format!("{key} was deleted, and waits for what goes with it: {count} ({names})");
        Diagnostic::warning("deletion-cascades", key, "", message)
    } else {
        let hold = if holders.len() == 1 { "holds" } else { "hold" };
        let message = format!("the deletion of {key} is refused, and it stays in force: {count} {hold} it ({names})");
        Diagnostic::warning("deletion-refused", key, "", message).help(
            "restore it; or end those, and it goes with the last of them; or give it another `deletionPolicy`, in files \
             before it is deleted",
        )
    };
    DeletionView { fate: Fate::Held(policy), problems: vec![problem] }
}
