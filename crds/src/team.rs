//! The kind `Team`.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, Timestamp};

/// People who share applications.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "portico.dev",
    version = "v1alpha1",
    kind = "Team",
    namespaced,
    status = "TeamStatus",
    derive = "PartialEq",
    category = "portico",
    doc = "People who share the applications of a namespace, and what each of them may do.",
    printcolumn(name = "Title", type_ = "string", json_path = ".spec.title", description = "What people read."),
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
    printcolumn(name = "Members", type_ = "integer", json_path = ".status.members", description = "How many people."),
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
pub struct TeamSpec {
    /// What people read instead of the name.
    #[schemars(length(min = 1, max = 128))]
    pub title: String,
    /// Its members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["mail"]))]
    pub members: Vec<Member>,
    /// Groups of the identity provider whose people count as members in the portal, for as long as they are in the group. What
    /// Git or Kubernetes decides does not ask for groups: who answers requests has to be a member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub groups: Vec<TeamGroup>,
    /// Mail domains whose people may join, for example `example.com`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub mail_domains: Vec<String>,
    /// Whether people of those domains join by signing in. Otherwise they ask, and a member with full access to the team
    /// lets them in.
    #[serde(default)]
    pub auto_join: bool,
    /// People who have been asked to join and have not yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["mail"]))]
    pub invitations: Vec<Invitation>,
}

/// A member of a team.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Member {
    /// The mail address that the person signs in with.
    #[schemars(length(min = 3, max = 320), regex(pattern = r"^[^@\s]+@[^@\s]+$"))]
    pub mail: String,
    /// What the person may do.
    #[serde(default)]
    pub access: Access,
}

/// A group of the identity provider that has a part in a team.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TeamGroup {
    /// The group, as the provider's `groupsClaim` lists it.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// What each of its people may do.
    #[serde(default)]
    pub access: Access,
}

/// What a member may do. What is not said is not allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Access {
    /// The team, its applications and its subscriptions: `Read` sees them, `Full` changes them.
    #[serde(default)]
    pub teams: AccessLevel,
    /// The credentials of its applications: `Read` sees that they are there, `Full` sees and rotates keys.
    #[serde(default)]
    pub credentials: AccessLevel,
    /// Invoices and payment cards: `Read` sees them, `Full` changes them.
    #[serde(default)]
    pub billing: AccessLevel,
}

/// How much a member may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum AccessLevel {
    /// Nothing.
    #[default]
    None,
    /// See it.
    Read,
    /// See and change it.
    Full,
}

/// Somebody who has been asked to join.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Invitation {
    /// The mail address that was written to.
    #[schemars(length(min = 3, max = 320), regex(pattern = r"^[^@\s]+@[^@\s]+$"))]
    pub mail: String,
    /// What the person may do after joining.
    #[serde(default)]
    pub access: Access,
    /// Until when the invitation holds.
    pub expires_at: Timestamp,
}

/// What became of a team.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TeamStatus {
    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled` and what leads to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How many members it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<i64>,
    /// How many applications it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applications: Option<i64>,
}
