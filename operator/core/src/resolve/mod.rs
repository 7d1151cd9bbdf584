//! From what objects say to what holds.
//!
//! One function a kind, each of one object, the world and the views before it; none changes anything. A view holds what
//! later ones and the status need, and no more, since there are 100,000 of some.

mod api;
mod application;
mod approval;
mod credential;
mod deletion;
mod environment;
mod plan;
mod product;
mod settle;
mod subscription;

use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::{Lifecycle, LifecycleStage};

pub(crate) use api::{apis, id as limit_id};
pub(crate) use application::{ApplicationView, application};
pub(crate) use approval::{ApprovalView, approval};
pub(crate) use credential::{CredentialView, Hold, Idle, credential};
pub(crate) use deletion::{DeletionView, Fate, deleted_plan, deleted_product, holders};
pub(crate) use environment::{EnvironmentView, environment};
pub(crate) use plan::{PlanView, plan};
pub(crate) use product::{ProductView, product};
pub(crate) use settle::{Places, places, settle};
pub(crate) use subscription::{Against, Candidate, Left, SubscriptionView, candidate, ends_at, time_is_over};

use crate::diagnostic::Diagnostic;
use crate::key::{Name, ObjectKey};
use crate::table::Map;
use crate::world::World;

/// What has been resolved so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Views {
    pub(crate) environments: Map<Name, EnvironmentView>,
    pub(crate) products: Map<Name, ProductView>,
    pub(crate) plans: Map<Name, PlanView>,
    pub(crate) applications: Map<Name, ApplicationView>,
    pub(crate) approvals: Map<Name, ApprovalView>,
    pub(crate) candidates: Map<Name, Candidate>,
    pub(crate) places: Map<Name, Places>,
    pub(crate) subscriptions: Map<Name, Arc<SubscriptionView>>,
    pub(crate) deleted_products: Map<Name, DeletionView>,
    pub(crate) deleted_plans: Map<Name, DeletionView>,
    pub(crate) credentials: Map<Name, CredentialView>,
}

/// What a resolver may look at.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) world: &'a World,
    pub(crate) views: &'a Views,
    pub(crate) now: Timestamp,
}

impl Scene<'_> {
    /// Whether a plan is a copy of another that was made for an application.
    fn is_copy(&self, plan: &Name, of: &Name, application: &Name) -> bool {
        let terms = self.views.plans.get(plan).map(|view| &view.terms);
        terms.is_some_and(|terms| terms.copy_of.as_ref() == Some(of) && terms.custom_for.as_ref() == Some(application))
    }
}

/// The stage that a lifecycle is in at a moment, and when that changes by itself.
fn stage_at(lifecycle: &Lifecycle, now: Timestamp) -> (LifecycleStage, Option<Timestamp>) {
    match (lifecycle.stage, lifecycle.sunset_at) {
        (LifecycleStage::Deprecated, Some(sunset)) if *sunset <= now => (LifecycleStage::Retired, None),
        (LifecycleStage::Deprecated, Some(sunset)) => (LifecycleStage::Deprecated, Some(*sunset)),
        (stage, _) => (stage, None),
    }
}

/// A deprecation that does not say since when lets everybody in.
fn dateless(key: &ObjectKey) -> Diagnostic {
    let message = "it does not say since when it is deprecated, so new subscriptions are let in";
    Diagnostic::warning("missing-date", key, "spec.lifecycle.deprecatedAt", message)
        .help("set `deprecatedAt`; subscriptions that are newer are turned away")
}

/// The earlier of two moments, where there is one.
pub(crate) fn sooner(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The moment a span after another; the end of time where that is out of range.
pub(crate) fn after(moment: Timestamp, span: portico_crds::Span) -> Timestamp {
    let seconds = i64::try_from(span.seconds).unwrap_or(i64::MAX);
    Timestamp::from_second(moment.as_second().saturating_add(seconds)).unwrap_or(Timestamp::MAX)
}

/// The candidate that a mistyped word may have meant.
fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's edit distance.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.chars().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
