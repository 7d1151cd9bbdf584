//! Credentials: what a key opens, and which of its generations are good.

use jiff::Timestamp;
use portico_crds::{CredentialSpec, Phase, Security, Span, Stage, SubscriptionStage};

use super::plan::PlanTerms;
use super::subscription::{Grant, SubscriptionView};
use super::{Scene, after, sooner};
use crate::diagnostic::Diagnostic;
use crate::gateway::{Client, GrantedScope};
use crate::key::{Kind, Name, ObjectKey};
use crate::world::World;

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
    pub(crate) client: Option<Client>,
    /// Why it opens nothing, the second in a sentence.
    pub(crate) idle: Option<(Idle, Box<str>)>,
    /// Until when the previous generation is good.
    pub(crate) previous_until: Option<Timestamp>,
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
            let application = World::resolve_local(&entry.spec.application, &subscription);
            (application, vec![subscription.clone()], &world.credentials_of_subscription)
        }
        (None, Some(reference)) => {
            let application = World::resolve_local(reference, name);
            let subscriptions = world.subscriptions_of_application.of(&application).cloned().collect();
            (application, subscriptions, &world.credentials_of_application)
        }
        (None, None) => {
            let message = "it names neither a subscription nor an application".to_owned();
            return failed(Hold::Gone, "missing-reference", "spec", message, "set `subscription` or `application`");
        }
    };
    let Some(consumer) = scene.views.applications.get(&application) else {
        let field = if spec.subscription.is_some() { "subscription" } else { "application" };
        return failed(
            Hold::Gone,
            "missing-reference",
            &format!("spec.{field}.name"),
            format!("there is no Application {application}"),
            "create it, or correct the name",
        );
    };
    let over = |subscription| scene.views.subscriptions.get(subscription).is_some_and(SubscriptionView::ended);
    if !subscriptions.is_empty() && subscriptions.iter().all(over) {
        return grants(scene, name, &application, &subscriptions, Stage::Production);
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
        Some(place) => grants(scene, name, &application, &subscriptions, place.stage),
    };
    if view.client.is_some() {
        let plans: Vec<&PlanTerms> = subscriptions
            .iter()
            .filter_map(|subscription| scene.views.subscriptions.get(subscription)?.in_force())
            .map(|grant| &*grant.plan)
            .collect();
        let subject = subscriptions.first().filter(|_| spec.subscription.is_some()).unwrap_or(&application);
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
            rotate(scene, name, spec, overlap, &mut view);
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
        .filter_map(|subscription| Some((subscription, scene.views.subscriptions.get(subscription)?)))
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
    CredentialView {
        hold: Hold::Live,
        generations: Vec::new(),
        client: Some(client),
        idle: None,
        previous_until: None,
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

/// Which generations are good: the current one once it is made, and until then, or for the overlap, the one before.
/// Without an overlap the one before is over at once, whether or not there is a new one yet.
fn rotate(scene: Scene<'_>, name: &Name, spec: &CredentialSpec, overlap: Span, view: &mut CredentialView) {
    let Some(client) = &mut view.client else { return };
    let made = scene.world.made.get(name).map(Vec::as_slice).unwrap_or_default();
    let current = made.iter().find(|made| made.generation == spec.generation);
    let previous = made.iter().rfind(|made| made.generation < spec.generation);
    if let Some(previous) = previous.filter(|_| overlap > Span::default()) {
        let until = current.map(|current| after(current.at, overlap));
        if until.is_none_or(|until| until > scene.now) {
            view.generations.push(previous.generation);
            view.previous_until = until;
            view.wake = sooner(view.wake, until);
        }
    }
    view.generations.push(spec.generation);
    client.generations =
        view.generations.iter().copied().filter(|wanted| made.iter().any(|made| made.generation == *wanted)).collect();
}
