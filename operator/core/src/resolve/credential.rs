//! Credentials: what a key opens, and which of its generations are good.

use jiff::Timestamp;
use portico_crds::{CredentialSpec, Security, Span, Stage, SubscriptionStage};

use super::subscription::{Grant, SubscriptionView};
use super::{Scene, after, sooner};
use crate::diagnostic::Diagnostic;
use crate::gateway::{Client, GrantedScope};
use crate::key::{Kind, Name, ObjectKey};
use crate::world::World;

/// The overlap of a rotation where neither credential nor plan says one: a working day to roll out the new key.
const DEFAULT_OVERLAP: Span = Span { seconds: 24 * 60 * 60 };

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

/// What holds for a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CredentialView {
    pub(crate) hold: Hold,
    /// Generations that should exist.
    pub(crate) generations: Vec<i64>,
    /// What a gateway should know; `None` opens nothing.
    pub(crate) client: Option<Client>,
    /// Why it opens nothing, or less than one might think.
    pub(crate) waiting: Option<Box<str>>,
    /// Until when the previous generation is good.
    pub(crate) previous_until: Option<Timestamp>,
    pub(crate) problems: Vec<Diagnostic>,
    pub(crate) wake: Option<Timestamp>,
}

impl CredentialView {
    fn idle(hold: Hold, why: impl Into<Box<str>>) -> Self {
        CredentialView {
            hold,
            generations: Vec::new(),
            client: None,
            waiting: Some(why.into()),
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
        let mut view = CredentialView::idle(hold, message.as_str());
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
        let message = format!("there is no Application {application}");
        return failed(
            Hold::Gone,
            "missing-reference",
            "spec.application.name",
            message,
            "create it, or correct the name",
        );
    };
    let environment = World::resolve(&spec.environment, name);
    let Some(place) = scene.views.environments.get(&environment) else {
        let message = format!("there is no Environment {environment}");
        return failed(
            Hold::Kept,
            "missing-reference",
            "spec.environment.name",
            message,
            "create it, or correct the name",
        );
    };
    if consumer.authentication != Security::ApiKey {
        return CredentialView::idle(Hold::Kept, format!("gateways cannot check {:?} yet", consumer.authentication));
    }
    if let Some(end) = spec.expires_at
        && *end <= scene.now
    {
        return CredentialView::idle(Hold::Kept, format!("it expired on {}", *end));
    }
    let mut view = grants(scene, name, &application, &subscriptions, place.stage);
    view.wake = sooner(view.wake, spec.expires_at.map(|end| *end));
    let terms = subscriptions
        .iter()
        .filter_map(|subscription| scene.views.subscriptions.get(subscription)?.grant.as_ref())
        .map(|grant| &grant.plan);
    let (mut most, mut overlap) = (usize::MAX, None);
    for plan in terms {
        most = most.min(plan.max_credentials);
        overlap = overlap.or(plan.overlap);
    }
    let subject = subscriptions.first().filter(|_| spec.subscription.is_some()).unwrap_or(&application);
    let rank = |name: &Name| (world.credentials.get(name).and_then(|entry| entry.created), name.clone());
    let rivals =
        siblings.of(subject).filter(|other| in_environment(world, other, &environment) && rank(other) < rank(name));
    if view.client.is_some() && rivals.count() >= most {
        let message = format!("the plan allows {most} credentials here, and there are as many older ones");
        return failed(Hold::Kept, "too-many-credentials", "metadata.name", message, "delete one of them first");
    }
    if spec.disabled {
        return CredentialView::idle(Hold::Kept, "it is disabled");
    }
    rotate(scene, name, spec, overlap, &mut view);
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
            return CredentialView::idle(hold, why);
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
        waiting: None,
        previous_until: None,
        problems: Vec::new(),
        wake: None,
    }
}

/// Which generations are good: the current one once it is made, and until then, or for the overlap, the one before.
fn rotate(scene: Scene<'_>, name: &Name, spec: &CredentialSpec, plan_overlap: Option<Span>, view: &mut CredentialView) {
    let Some(client) = &mut view.client else { return };
    let made = scene.world.made.get(name).map(Vec::as_slice).unwrap_or_default();
    let current = made.iter().find(|made| made.generation == spec.generation);
    let previous = made.iter().rfind(|made| made.generation < spec.generation);
    if let Some(previous) = previous {
        let until = current.map(|current| after(current.at, spec.overlap.or(plan_overlap).unwrap_or(DEFAULT_OVERLAP)));
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
