//! The kind `Credential`.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, LocalRef, NamespacedRef, SecretRef, Span, Timestamp};

/// The wish for a key or an OAuth client. It never holds the key itself.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "portico.dev",
    version = "v1alpha1",
    kind = "Credential",
    namespaced,
    status = "CredentialStatus",
    derive = "PartialEq",
    shortname = "cred",
    category = "portico",
    doc = "The wish for a key or an OAuth client in one environment. It never holds the key itself.",
    printcolumn(
        name = "Subscription",
        type_ = "string",
        json_path = ".spec.subscription.name",
        description = "What it is for, if one subscription."
    ),
    printcolumn(
        name = "Application",
        type_ = "string",
        json_path = ".spec.application.name",
        description = "What it is for, if a whole application."
    ),
    printcolumn(
        name = "Environment",
        type_ = "string",
        json_path = ".spec.environment.name",
        description = "Where it works."
    ),
    printcolumn(
        name = "Generation",
        type_ = "integer",
        json_path = ".status.generation",
        description = "How often it has been made, the first time included."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether it works."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Why it works or not."
    ),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.expiresAt", description = "When it ends."),
    printcolumn(
        name = "Fingerprint",
        type_ = "string",
        json_path = ".status.fingerprint",
        description = "Which key it is.",
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
#[x_kube(validation = Rule::new("has(self.subscription) != has(self.application)")
    .message("give exactly one of subscription and application"))]
#[x_kube(validation = Rule::new(
    "has(self.subscription) == has(oldSelf.subscription) && (!has(self.subscription) || self.subscription == oldSelf.subscription)")
    .message("subscription cannot be changed; make another Credential"))]
#[x_kube(validation = Rule::new(
    "has(self.application) == has(oldSelf.application) && (!has(self.application) || self.application == oldSelf.application)")
    .message("application cannot be changed; make another Credential"))]
#[x_kube(validation = Rule::new("!has(self.rotateEvery) || self.rotateEvery.matches('[1-9]')")
    .message("rotateEvery must be longer than no time"))]
pub struct CredentialSpec {
    /// The Subscription that it is for. It cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<LocalRef>,
    /// The Application that it is for: it works for everything the application subscribes to. It cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<LocalRef>,
    /// The Environment where it works.
    pub environment: NamespacedRef,
    /// What people read instead of the name, for example `Checkout service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub title: Option<String>,
    /// Which one it is. Raise it by one to rotate: a new key is made, and the old one stays good for the overlap. It
    /// cannot go down.
    #[serde(default = "default_generation")]
    #[schemars(range(min = 1))]
    #[x_kube(validation = Rule::new("self >= oldSelf").message("generation cannot go down; a revoked key never comes back"))]
    pub generation: i64,
    /// The key that its clients use already, so that they can go on with it: 16 to 256 printable characters without spaces,
    /// in a Secret of this namespace with the label `portico.dev/secret: import`. `portico up` is given it by `portico
    /// credential import` instead. It is the key of `generation` 1, and is taken once: when it has been revoked or
    /// replaced, it is never taken again, by no Credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<Box<SecretRef>>,
    /// How long the old key stays good after a rotation, for example `24h`. `0s` ends it at once. Left out, as the plan
    /// has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Span>,
    /// How often it rotates by itself, for example `90d`: a new key is made so long after the last one, or when that ends
    /// by the rule of its plan, and the old one stays good for the overlap. The generation in the status goes up;
    /// `generation` here stays, and can still be raised to rotate at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_every: Option<Span>,
    /// When it ends, for example `2026-12-31T23:59:59Z`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Whether it is off for now. The key stays, and works again afterwards.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// Where the key is delivered to. Left out, a Secret with this credential's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_to: Option<DeliverTo>,
    /// Where the public keys of the OAuth client are, for applications with `PrivateKeyJwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^https://"))]
    pub jwks_uri: Option<String>,
    /// The id of the OAuth client in this environment, for applications with `ExternalClient`. Left out, it is the
    /// application's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub external_client_id: Option<String>,
}

fn default_generation() -> i64 {
    1
}

/// Where a key is delivered to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeliverTo {
    /// The name of a Secret in this namespace. Portico makes it, and leaves alone one that it did not make.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub secret: String,
}

/// What became of a credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialStatus {
    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled` and what leads to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The newest key, counted from `spec.generation` on: those that it made by itself, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// A digest that identifies the newest key and does not give it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// When the newest key ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Until when the key before it stays good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_valid_until: Option<Timestamp>,
}
