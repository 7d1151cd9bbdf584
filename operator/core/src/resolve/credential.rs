//! Credentials: what a key opens, and which of its generations are good.

use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::{CredentialSpec, Phase, Security, Span, Stage, SubscriptionStage};

use super::plan::PlanTerms;
use super::subscription::{Grant, Left, SubscriptionView};
use super::{Scene, after, sooner};
use crate::diagnostic::Diagnostic;
use crate::gateway::{Client, GrantedScope};
use crate::key::{Kind, Name, ObjectKey};
use crate::world::{Made, World};

/// What becomes of a credential's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// They are enforced.
    Live,
    /// They are kept, and open nothing for now.
    Kept,
    /// They are destroyed.
    Gone,
}

/// Why a credential opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    /// Its file has to be mended: see its problems.
    Broken,
    /// Its key has ended by the plan's rule, and it does not rotate by itself.
    Outlived,
    /// Nothing that it opens is served where it works.
    Unserved,
    /// No gateway of this build can check it.
    Unsupported,
    /// Until somebody does something: approves, lets it go live, mends what it is for.
    Waiting,
    /// What it is for was turned down.
    Rejected,
    /// What it is for is off for now.
    Suspended,
    /// What it is for was ended.
    Cancelled,
    /// Its time is over, or that of what it is for.
    Expired,
    /// Its own file says so.
    Disabled,
}

/// What holds for a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CredentialView {
    pub(crate) hold: Hold,
    /// Generations that should exist.
    pub(crate) generations: Vec<i64>,
    /// What a gateway should know; `None` opens nothing.
    pub(crate) client: Option<Arc<Client>>,
    /// Why it opens nothing, the second in a sentence.
    pub(crate) idle: Option<(Idle, Box<str>)>,
    /// Until when the previous generation is good.
    pub(crate) previous_until: Option<Timestamp>,
    /// How long a key is good for that is made now.
    pub(crate) lifetime: Option<Span>,
    /// When it ends, if that is soon.
    pub(crate) ends_soon: Option<Timestamp>,
    pub(crate) problems: Vec<Diagnostic>,
    pub(crate) wake: Option<Timestamp>,
}

impl CredentialView {
    fn idle(hold: Hold, idle: Idle, why: impl Into<Box<str>>) -> Self {
        CredentialView {
            hold,
            generations: Vec::new(),
            client: None,
            idle: Some((idle, why.into())),
            previous_until: None,
            lifetime: None,
            ends_soon: None,
            problems: Vec::new(),
            wake: None,
        }
    }
}

pub(crate) fn credential(scene: Scene<'_>, name: &Name) -> Option<CredentialView> {
    let entry = scene.world.credentials.get(name)?;
    let key = name.clone().of(Kind::Credential);
    let mut view = subject(scene, name, &key, &entry.spec);
    let Some(made) = scene.world.made.get(name) else { return Some(view) };
    if view.hold == Hold::Kept {
        // What is kept is what there is; nothing new is made for a credential that opens nothing.
        view.generations = made.iter().map(|made| made.generation).collect();
    }
    Some(view)
}

fn subject(scene: Scene<'_>, name: &Name, key: &ObjectKey, spec: &CredentialSpec) -> CredentialView {
    let world = scene.world;
    let failed = |hold, code, path: &str, message: String, help: &str| {
        let mut view = CredentialView::idle(hold, Idle::Broken, message.as_str());
        view.problems.push(Diagnostic::error(code, key, path, message).help(help));
        view
    };
    let left = |subscription: &Name| {
        let view = scene.views.subscriptions.get(subscription);
        view.is_some_and(|view| view.left != Left::Stays)
    };
    let (application, subscriptions, siblings) = match (&spec.subscription, &spec.application) {
        (Some(reference), _) => {
            let subscription = World::resolve_local(reference, name);
            let Some(entry) = world.subscriptions.get(&subscription) else {
                let message = format!("there is no Subscription {subscription}");
                return failed(
                    Hold::Gone,
                    "missing-reference",
                    "spec.subscription.name",
                    message,
                    "create it, or correct the name",
                );
            };
            if left(&subscription) {
                let message = format!("Subscription {subscription} was deleted with its plan");
                let help = "remove this too; where the plan comes back, a new key is made";
                return failed(Hold::Gone, "missing-reference", "spec.subscription.name", message, help);
            }
            let application = World::resolve_local(&entry.spec.application, &subscription);
            (application, vec![subscription.clone()], &world.credentials_of_subscription)
        }
        (None, Some(reference)) => {
            let application = World::resolve_local(reference, name);
            let subscriptions = world.subscriptions_of_application.of(&application);
            let subscriptions = subscriptions.filter(|subscription| !left(subscription)).cloned().collect();
            (application, subscriptions, &world.credentials_of_application)
        }
        (None, None) => {
            let message = "it names neither a subscription nor an application".to_owned();
            return failed(Hold::Gone, "missing-reference", "spec", message, "set `subscription` or `application`");
        }
    };
    let Some((application, consumer)) = scene.views.applications.get_key_value(&application) else {
        let field = if spec.subscription.is_some() { "subscription" } else { "application" };
        return failed(
            Hold::Gone,
            "missing-reference",
            &format!("spec.{field}.name"),
            format!("there is no Application {application}"),
            "create it, or correct the name",
        );
    };
    let over = |subscription| scene.views.subscriptions.get(subscription).is_some_and(|view| view.ended());
    if !subscriptions.is_empty() && subscriptions.iter().all(over) {
        return grants(scene, name, application, &subscriptions, Stage::Production);
    }
    if let Some(end) = spec.expires_at
        && *end <= scene.now
    {
        return CredentialView::idle(Hold::Gone, Idle::Expired, format!("it expired on {}", *end));
    }
    let environment = World::resolve(&spec.environment, name);
    let mut view = match scene.views.environments.get(&environment) {
        None => failed(
            Hold::Kept,
            "missing-reference",
            "spec.environment.name",
            format!("there is no Environment {environment}"),
            "create it, or correct the name",
        ),
        Some(place) if place.gateway.is_none() => {
            let why = format!("Environment {environment} has no gateway that can enforce it");
            CredentialView::idle(Hold::Kept, Idle::Unsupported, why)
        }
        Some(_) if consumer.authentication != Security::ApiKey => {
            let why = format!("gateways cannot check {:?} yet", consumer.authentication);
            CredentialView::idle(Hold::Kept, Idle::Unsupported, why)
        }
        Some(_) if spec.disabled => {
            let why = "it is disabled; its keys are kept, and work again without `disabled`";
            CredentialView::idle(Hold::Kept, Idle::Disabled, why)
        }
        Some(place) => grants(scene, name, application, &subscriptions, place.stage),
    };
    if view.client.is_some() {
        let plans: Vec<&PlanTerms> = subscriptions
            .iter()
            .filter_map(|subscription| scene.views.subscriptions.get(subscription)?.in_force())
            .map(|grant| &*grant.plan)
            .collect();
        let subject = subscriptions.first().filter(|_| spec.subscription.is_some()).unwrap_or(application);
        let rank = |name: &Name| (world.credentials.get(name).and_then(|entry| entry.meta.created), name.clone());
        let older = siblings
            .of(subject)
            .filter(|other| in_environment(world, other, &environment) && rank(other) < rank(name))
            .count();
        if let Some(plan) = plans.iter().min_by_key(|plan| plan.max_credentials)
            && older >= plan.max_credentials
        {
            let message = format!(
                "Plan {} allows {} for each subscription in Environment {environment}, and there are as many older ones",
                plan.name,
                match plan.max_credentials {
                    1 => "1 credential".to_owned(),
                    most => format!("{most} credentials"),
                }
            );
            view = failed(Hold::Kept, "too-many-credentials", "metadata.name", message, "delete one of them first");
        } else {
            let overlap = spec.overlap.or(plans.iter().find_map(|plan| plan.overlap)).unwrap_or_default();
            view.lifetime = plans.iter().filter_map(|plan| plan.lifetime).min();
            rotate(scene, name, spec, overlap, &mut view);
            let products = || plans.iter().flat_map(|plan| &plan.products);
            if view.idle.is_none() && !products().any(|product| product.environments.contains(&environment)) {
                let why = format!("none of the products that it opens is served in Environment {environment}");
                view.idle = Some((Idle::Unserved, why.into()));
            }
        }
    }
    view.wake = sooner(view.wake, spec.expires_at.map(|end| *end));
    view
}

fn in_environment(world: &World, credential: &Name, environment: &Name) -> bool {
    let entry = world.credentials.get(credential);
    entry.is_some_and(|entry| World::resolve(&entry.spec.environment, credential) == *environment)
}

/// What the subscriptions open together in an environment of a stage.
fn grants(scene: Scene<'_>, name: &Name, application: &Name, subscriptions: &[Name], stage: Stage) -> CredentialView {
    let views: Vec<(&Name, &SubscriptionView)> = subscriptions
        .iter()
        .filter_map(|subscription| Some((subscription, &**scene.views.subscriptions.get(subscription)?)))
        .collect();
    let open = |view: &SubscriptionView| stage == Stage::Sandbox || view.stage == SubscriptionStage::Production;
    let grants: Vec<&Grant> =
        views.iter().filter(|(_, view)| open(view)).filter_map(|(_, view)| view.in_force()).collect();
    let (plans, scopes) = match grants.as_slice() {
        [] => {
            let all_over = !views.is_empty() && views.iter().all(|(_, view)| view.ended());
            let hold = if all_over { Hold::Gone } else { Hold::Kept };
            let why = match views.as_slice() {
                [] => format!("Application {application} has no subscription"),
                [(subscription, view)] if !open(view) && view.in_force().is_some() => {
                    format!("Subscription {subscription} is not live yet (stage {:?})", view.stage)
                }
                [(subscription, view)] => format!("Subscription {subscription} is {:?}", view.phase),
                _ => format!("no subscription of Application {application} is active"),
            };
            return CredentialView::idle(hold, idle(&views), why);
        }
        [one] => (one.plan.solo.clone(), one.scopes.clone()),
        several => {
            let mut plans: Vec<Name> = several.iter().map(|grant| grant.plan.name.clone()).collect();
            plans.sort();
            plans.dedup();
            let mut scopes: Vec<GrantedScope> = several.iter().flat_map(|grant| grant.scopes.iter().cloned()).collect();
            scopes.sort();
            scopes.dedup();
            (plans.into(), scopes.into())
        }
    };
    let client =
        Client { credential: name.clone(), application: application.clone(), generations: Vec::new(), plans, scopes };
    let client = Arc::new(client);
    CredentialView {
        hold: Hold::Live,
        generations: Vec::new(),
        client: Some(client),
        idle: None,
        previous_until: None,
        lifetime: None,
        ends_soon: None,
        problems: Vec::new(),
        wake: None,
    }
}

/// Why subscriptions that open nothing do not: what may still come of one of them counts before what will not.
fn idle(views: &[(&Name, &SubscriptionView)]) -> Idle {
    let is = |phase| views.iter().any(|(_, view)| view.phase == phase);
    let ended =
        [(Phase::Suspended, Idle::Suspended), (Phase::Rejected, Idle::Rejected), (Phase::Expired, Idle::Expired)];
    let rests = |view: &SubscriptionView| view.ended() || view.phase == Phase::Suspended;
    if views.is_empty() || !views.iter().all(|(_, view)| rests(view)) {
        return Idle::Waiting;
    }
    ended.into_iter().find(|(phase, _)| is(*phase)).map_or(Idle::Cancelled, |(_, idle)| idle)
}

/// The longest time that it is said beforehand that a key ends, and at most this part of its life.
const WARNING: Span = Span::from_secs(14 * 24 * 60 * 60);
const PART: u64 = 5;

/// Which generations are good: the current one once it is made, and until then, or for the overlap, the one before.
/// Without an overlap the one before is over at once, whether or not there is a new one yet; unless it is rotated by
/// itself, for which nobody should be locked out. One that was asked for later than what is asked for now is over too: the
/// commit that asked for it was reverted.
///
/// A key whose time is over opens nothing and is kept all the same: that it was there is why no other is made.
fn rotate(scene: Scene<'_>, name: &Name, spec: &CredentialSpec, overlap: Span, view: &mut CredentialView) {
    let Some(client) = &mut view.client else { return };
    let now = scene.now;
    let made = scene.world.made.get(name).map(Vec::as_slice).unwrap_or_default();
    let newest = made.last();
    let standing = newest.filter(|newest| newest.asked == spec.generation);
    let due = standing.zip(spec.rotate_every).and_then(|(key, every)| {
        let ends = key.expires.map(|end| earlier(key.at, end, overlap.seconds, 2));
        sooner(Some(after(key.at, every)), ends)
    });
    let is_due = due.is_some_and(|due| due <= now);
    let wanted = match (standing, newest) {
        (Some(standing), _) if !is_due => standing.generation,
        (_, Some(newest)) => spec.generation.max(newest.generation.saturating_add(1)),
        (_, None) => spec.generation,
    };
    let current = standing.filter(|_| !is_due);
    let previous = made.iter().rfind(|made| made.generation < wanted && made.asked <= spec.generation);
    if let Some(previous) = previous.filter(|previous| (overlap > Span::default() || is_due) && is_good(previous, now))
    {
        let until = current.map(|current| after(current.at, overlap));
        if until.is_none_or(|until| until > now) {
            view.generations.push(previous.generation);
            view.previous_until = until.and_then(|until| sooner(Some(until), previous.expires));
            view.wake = sooner(view.wake, view.previous_until.or(previous.expires));
        }
    }
    view.generations.push(wanted);
    if wanted == 1
        && spec.import.is_some()
        && let Some(why) = scene.world.not_imported.get(name)
    {
        let key = name.clone().of(Kind::Credential);
        let message = format!("the key that it imports was not taken: {why}");
        let help = "give another key, or leave out `import` to have one made";
        view.problems.push(Diagnostic::error("not-imported", &key, "spec.import", message).help(help));
    }
    let client = Arc::make_mut(client);
    client.generations = made
        .iter()
        .filter(|made| view.generations.contains(&made.generation) && is_good(made, now))
        .map(|made| made.generation)
        .collect();
    let Some(current) = current else { return };
    if client.generations.is_empty() {
        let ended = current.expires.unwrap_or(now);
        let why = format!("its key ended on {ended}, by the rule of its plan; raise `generation` for a new one");
        view.idle = Some((Idle::Outlived, why.into()));
        view.client = None;
        return;
    }
    view.wake = sooner(view.wake, due);
    let end = sooner(spec.expires_at.map(|end| *end), current.expires.filter(|_| spec.rotate_every.is_none()));
    if let Some(end) = end.filter(|end| *end > now) {
        let soon = earlier(current.at, end, WARNING.seconds, PART);
        view.ends_soon = (soon <= now).then_some(end);
        view.wake = sooner(view.wake, Some(if soon <= now { end } else { soon }));
    }
}

fn is_good(made: &Made, now: Timestamp) -> bool {
    made.expires.is_none_or(|expires| expires > now)
}

/// So many seconds before the end of a key, and at most a part of its life.
fn earlier(made: Timestamp, end: Timestamp, seconds: u64, part: u64) -> Timestamp {
    let life = u64::try_from(end.as_second() - made.as_second()).unwrap_or(0);
    let before = i64::try_from(seconds.min(life / part)).unwrap_or(0);
    Timestamp::from_second(end.as_second() - before).unwrap_or(end)
}
