//! The kind `Subscription`.

use std::collections::BTreeMap;
use std::ops::Deref;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, LocalRef, NamespacedRef, Timestamp};

/// The wish of an application to use a plan.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "portico.dev",
    version = "v1alpha1",
    kind = "Subscription",
    namespaced,
    status = "SubscriptionStatus",
    derive = "PartialEq",
    shortname = "psub",
    category = "portico",
    doc = "The wish of an application to use a plan. Its status says what has been granted.",
    printcolumn(
        name = "Application",
        type_ = "string",
        json_path = ".spec.application.name",
        description = "Who subscribes."
    ),
    printcolumn(name = "Plan", type_ = "string", json_path = ".spec.plan.name", description = "What it asks for."),
    printcolumn(
        name = "Phase",
        type_ = "string",
        json_path = ".status.phase",
        description = "Where it is in its life."
    ),
    printcolumn(
        name = "Stage",
        type_ = "string",
        json_path = ".status.stage",
        description = "How far it is on its way to production."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether what was asked for is granted and enforced."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Why it is ready or not."
    ),
    printcolumn(
        name = "Granted",
        type_ = "string",
        json_path = ".status.granted.plan.name",
        description = "The plan that is enforced.",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        description = "What is wrong and what to do.",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new(
        "!(has(oldSelf.status) && has(oldSelf.status.phase) && oldSelf.status.phase == 'Cancelled' && has(oldSelf.spec.cancelAt)) || \
         (has(self.spec.cancelAt) && self.spec.cancelAt == oldSelf.spec.cancelAt)"
    )
    .message("it was cancelled, and does not begin again; make another Subscription")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubscriptionSpec {
    /// The Application that subscribes. It cannot be changed.
    #[x_kube(validation = Rule::new("self == oldSelf").message("application cannot be changed; make another Subscription"))]
    pub application: LocalRef,
    /// The Plan that it has, or asks for. Another one written here while one is in use is the wish to change to it, as that
    /// plan's `changeMode` lets you: what you have serves until the other is granted.
    pub plan: NamespacedRef,
    /// The wish to change to another Plan. What it has serves until that is granted, and again if the grant is taken back. Write
    /// it as `plan`, and take this away, once you are sure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Box<PlanChange>>,
    /// Scopes that it asks for, besides those that come with every subscription.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub scopes: Vec<RequestedScope>,
    /// The version of the plan's terms that was accepted. A plan with terms is granted only with its present version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub accepted_terms: Option<String>,
    /// What the plan wants to know, by the names of its `properties`.
    #[serde(default, skip_serializing_if = "Answers::is_empty")]
    #[schemars(with = "BTreeMap<String, String>", extend("maxProperties" = 32))]
    pub properties: Answers,
    /// Whether access is off for now. Credentials stay, and work again afterwards.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// When it ends, for example `2026-12-31T23:59:59Z`. A moment in the past ends it at once. What has ended by it does not
    /// begin again: that takes another Subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_at: Option<Timestamp>,
    /// Whether it should leave the sandbox for production. Somebody may have to agree.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub go_live: bool,
}

/// Answers by the names of what is asked. Most Subscriptions give none, and then it takes no more than a pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
#[expect(clippy::box_collection, reason = "it is smaller where there are none, as nearly everywhere")]
pub struct Answers(Option<Box<BTreeMap<String, String>>>);

impl Answers {
    /// Whether nothing is answered.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl From<BTreeMap<String, String>> for Answers {
    fn from(answers: BTreeMap<String, String>) -> Answers {
        Answers((!answers.is_empty()).then(|| Box::new(answers)))
    }
}

impl From<Answers> for BTreeMap<String, String> {
    fn from(answers: Answers) -> BTreeMap<String, String> {
        answers.0.map(|answers| *answers).unwrap_or_default()
    }
}

impl Deref for Answers {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.0.as_deref().unwrap_or(&NONE)
    }
}

/// The wish to change to another plan, as far as that plan's `changeMode` lets you.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanChange {
    /// The Plan to change to.
    pub plan: NamespacedRef,
    /// The version of that plan's terms that was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub accepted_terms: Option<String>,
}

/// A scope that a subscription asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestedScope {
    /// The scope, as a product of the plan names it.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9:._/-]{1,128}$"))]
    pub name: String,
    /// What it is needed for. `Restricted` scopes are granted only with a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub reason: Option<String>,
}

/// What became of a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionStatus {
    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled` and what leads to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Where it is in its life. Only `Active` and `PendingCancellation` have access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// How far it is on its way to production.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<SubscriptionStage>,
    /// What is enforced. It may be less than what is asked for. The limits that go with it stand in the Plan's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<Granted>,
    /// When access ends or ended, because it is cancelled or its time is over, whichever is sooner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

/// Where a subscription is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum Phase {
    /// Waits for an approval, or for something that it refers to.
    #[default]
    Pending,
    /// Waits for a payment.
    PendingPayment,
    /// A payment failed.
    PaymentFailed,
    /// Has access.
    Active,
    /// Access is off for now.
    Suspended,
    /// Was turned down.
    Rejected,
    /// Has access until it ends.
    PendingCancellation,
    /// Was ended.
    Cancelled,
    /// Its time is over.
    Expired,
}

/// How far a subscription is on its way to production.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum SubscriptionStage {
    /// In sandboxes only.
    Sandbox,
    /// In sandboxes, and somebody is asked to let it go live.
    InReview,
    /// In sandboxes, and something has to change before it may go live.
    ChangesRequested,
    /// Live.
    #[default]
    Production,
}

/// What is enforced for a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Granted {
    /// The Plan.
    pub plan: NamespacedRef,
    /// The scopes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub scopes: Vec<String>,
}
