//! The kind `Developer`.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// A person's account.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "portico.dev",
    version = "v1alpha1",
    kind = "Developer",
    namespaced,
    status = "DeveloperStatus",
    derive = "PartialEq",
    shortname = "dev",
    category = "portico",
    doc = "A person's account at the portal. It never holds a password.",
    printcolumn(name = "Mail", type_ = "string", json_path = ".spec.mail", description = "Who it is."),
    printcolumn(
        name = "State",
        type_ = "string",
        json_path = ".spec.state",
        description = "Whether the person is let in."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether all is well."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Why it is ready or not."
    ),
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
pub struct DeveloperSpec {
    /// The mail address that the person signs in with.
    #[schemars(length(min = 3, max = 320), regex(pattern = r"^[^@\s]+@[^@\s]+$"))]
    pub mail: String,
    /// The person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub name: Option<String>,
    /// `Pending` waits for somebody to decide. `Approved` may sign in and do what teams allow. `Rejected` was turned
    /// down. `Suspended` may not sign in for now; applications of the person's teams go on.
    #[serde(default)]
    pub state: DeveloperState,
    /// Answers to the questions that the portal asks at registration, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub attributes: BTreeMap<String, String>,
    /// The version of the portal's terms that the person accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub accepted_terms: Option<String>,
}

/// Whether a person is let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum DeveloperState {
    /// Waits for somebody to decide.
    #[default]
    Pending,
    /// Let in.
    Approved,
    /// Turned down.
    Rejected,
    /// Shut out for now.
    Suspended,
}

/// What became of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeveloperStatus {
    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled` and what leads to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
