//! The kind `Application`.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, LocalRef, Security};

/// A program that calls APIs.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "portico.dev",
    version = "v1alpha1",
    kind = "Application",
    namespaced,
    status = "ApplicationStatus",
    derive = "PartialEq",
    shortname = "papp",
    category = "portico",
    doc = "A program that calls APIs. It subscribes to plans and has credentials.",
    printcolumn(
        name = "Authentication",
        type_ = "string",
        json_path = ".spec.authentication",
        description = "How it proves who it is."
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
        name = "Subscriptions",
        type_ = "integer",
        json_path = ".status.subscriptions",
        description = "How many subscriptions it has."
    ),
    printcolumn(
        name = "Team",
        type_ = "string",
        json_path = ".spec.team.name",
        description = "Whose it is.",
        priority = 1
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
#[x_kube(validation = Rule::new("has(self.externalClientId) == (self.authentication == 'ExternalClient')")
    .message("externalClientId must be given with authentication ExternalClient, and only with it"))]
#[x_kube(validation = Rule::new("self.authentication == oldSelf.authentication")
    .message("authentication cannot be changed; make another Application"))]
pub struct ApplicationSpec {
    /// What people read instead of the name: at least 3 characters.
    #[schemars(length(min = 3, max = 128))]
    pub title: String,
    /// What it does, in a few sentences. Approvers read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Where an identity provider may send people back to, for example `https://shop.example.com/callback`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 2048)))]
    pub redirect_uris: Vec<String>,
    /// The id that other systems know it by, for example in an inventory. No two applications have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub reference_id: Option<String>,
    /// How it proves who it is. Only plans with the same security can be subscribed to. It cannot be changed.
    /// `ApiKey` is a key that Portico makes. `ClientCredentials` is an OAuth client with a secret. `PrivateKeyJwt` is an
    /// OAuth client that signs with its own private key. `ExternalClient` is an OAuth client that somebody else manages.
    #[serde(default)]
    pub authentication: Security,
    /// The id of its OAuth client, with `ExternalClient`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub external_client_id: Option<String>,
    /// The Team that it belongs to. Left out, it belongs to whoever may write in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<LocalRef>,
}

/// What became of an application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationStatus {
    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled` and what leads to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How many subscriptions it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriptions: Option<i64>,
    /// How many credentials it has, those of its subscriptions included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<i64>,
}
