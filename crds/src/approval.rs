//! The kind `Approval`.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, LocalRef, NamespacedRef, Stage};

/// An API owner's answer to a subscription.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "portico.dev",
    version = "v1alpha1",
    kind = "Approval",
    namespaced,
    status = "ApprovalStatus",
    derive = "PartialEq",
    shortname = "appr",
    category = "portico",
    doc = "An API owner's answer to a subscription. What it grants is what is enforced.",
    printcolumn(
        name = "From",
        type_ = "string",
        json_path = ".spec.subscription.namespace",
        description = "The namespace of the subscription."
    ),
    printcolumn(
        name = "Subscription",
        type_ = "string",
        json_path = ".spec.subscription.name",
        description = "What it answers."
    ),
    printcolumn(name = "Decision", type_ = "string", json_path = ".spec.decision", description = "The answer."),
    printcolumn(
        name = "Plan",
        type_ = "string",
        json_path = ".spec.grant.plan.name",
        description = "The plan it grants."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether it is in effect."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Why it is in effect or not."
    ),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.by", description = "Who decided.", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        description = "What is wrong and what to do.",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.grant) == (self.decision == 'Granted')")
    .message("grant must be given with decision Granted, and only with it"))]
#[x_kube(validation = Rule::new("has(self.reason) == (self.decision != 'Granted')")
    .message("reason must be given with decision Denied or ChangesRequested, and only with them"))]
#[x_kube(validation = Rule::new("!has(self.about) || self.decision != 'Granted'")
    .message("about needs decision Denied or ChangesRequested; what is granted stands in grant"))]
pub struct ApprovalSpec {
    /// The Subscription that it answers. It cannot be changed.
    #[x_kube(validation = Rule::new("self == oldSelf").message("subscription cannot be changed; make another Approval"))]
    pub subscription: NamespacedRef,
    /// `Granted` lets the subscription have what `grant` says. `Denied` turns it down. `ChangesRequested` says what has
    /// to change first.
    pub decision: Decision,
    /// What exactly is granted. A subscriber who asks for more later keeps this until somebody grants more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
    /// The Plan, in this namespace, that a decision other than `Granted` is about. Left out, whatever the subscription asks of
    /// this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<LocalRef>,
    /// Why not, for the subscriber to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub reason: Option<String>,
    /// Who decided, as a mail address. Nobody may decide about their own request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 320))]
    pub by: Option<String>,
}

/// An API owner's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum Decision {
    /// Yes.
    Granted,
    /// No.
    Denied,
    /// Not like this.
    ChangesRequested,
}

/// What exactly is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grant {
    /// The Plan, in this namespace.
    pub plan: LocalRef,
    /// Scopes, besides those that come with every subscription.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9:._/-]{1,128}$")))]
    pub scopes: Vec<String>,
    /// How far it may go: `Sandbox` is environments for trying out, `Production` is all.
    #[serde(default)]
    pub stage: Stage,
    /// The plan's terms that are granted: what its `status.terms` said then. Where the plan says something else now, access
    /// goes on, and the subscription says that the new terms wait for an answer. Left out, whatever the plan says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 16, max = 16), regex(pattern = r"^[0-9a-f]{16}$"))]
    pub terms: Option<String>,
    /// The version of the plan's terms that it was granted under. A newer one waits for an answer in the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub terms_version: Option<String>,
}

/// What became of an approval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled` and what leads to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Who wrote the answer, as Portico found. Absent where only `spec.by` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Decided>,
}

/// Who wrote an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decided {
    /// The author's mail address, or the user's name.
    pub by: String,
    /// The Git commit since which it says so; absent where a user of the API server wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The SSH key that the commit has a good signature of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_with: Option<String>,
}
