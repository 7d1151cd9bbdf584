//! What several kinds share.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// An object by name, in this object's namespace or another.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespacedRef {
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The object's namespace. Left out, it is the namespace of the object you are writing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// An object by name, in this object's own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalRef {
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A value in a Secret of this object's namespace. The value itself never stands in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key within the Secret. It may be left out where the Secret has one key only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

/// What an environment is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum Stage {
    /// For trying things out.
    Sandbox,
    /// For real traffic.
    #[default]
    Production,
}

/// How an application proves who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum Security {
    /// A key that Portico makes, sent in a header.
    #[default]
    ApiKey,
    /// An OAuth client with a secret, at the environment's identity provider.
    ClientCredentials,
    /// An OAuth client that signs with its own private key.
    PrivateKeyJwt,
    /// An OAuth client that somebody else manages.
    ExternalClient,
}

/// Where something is between its first draft and its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.sunsetAt) || !has(self.deprecatedAt) || self.sunsetAt > self.deprecatedAt")
    .message("sunsetAt must be later than deprecatedAt"))]
#[x_kube(validation = Rule::new("!has(self.sunsetAt) || self.stage in ['Deprecated', 'Retired']")
    .message("sunsetAt needs stage Deprecated or Retired"))]
pub struct Lifecycle {
    /// `Draft` is seen by its owner only. `Published` is open to subscribers. `Deprecated` goes on for those who
    /// have it and takes nobody new. `Retired` is over: nothing is served.
    #[serde(default)]
    pub stage: LifecycleStage,
    /// Since when it is deprecated. Callers are told in the `Deprecation` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated_at: Option<Timestamp>,
    /// When it ends. Callers are told in the `Sunset` header. From this moment on it counts as `Retired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sunset_at: Option<Timestamp>,
    /// What to use instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<NamespacedRef>,
    /// Where people can read what ends and what to do, for example `https://developers.example.com/moving-to-v2`. Callers
    /// are told in the `Link` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = r"^https?://[!#-;=?-~]+$"))]
    pub url: Option<String>,
}

/// A step of a [`Lifecycle`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum LifecycleStage {
    /// Only its owner sees it.
    Draft,
    /// Open to subscribers.
    #[default]
    Published,
    /// Goes on for those who have it, and takes nobody new.
    Deprecated,
    /// Over.
    Retired,
}

/// What happens to live subscriptions when something they need is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It stays in force for those who have it, takes nobody new, and goes when there is no live subscription any more.
    #[default]
    Refuse,
    /// It is deleted. Subscriptions stay, lose their access and say why. Their keys work again if it comes back.
    Orphan,
    /// It is deleted, and so are its subscriptions. Their keys are destroyed.
    Cascade,
}

/// Who may see a product or a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "(self.audience == 'Teams') == (has(self.teams) && size(self.teams) > 0 || has(self.groups) && size(self.groups) > 0)")
    .message("teams or groups must be given with audience Teams, and only with it"))]
pub struct Visibility {
    /// `Public` is everyone, without signing in. `SignedIn` is everyone with an account. `Teams` is who is listed
    /// below. `Hidden` is nobody in the portal; those who know the name can still refer to it.
    #[serde(default)]
    pub audience: Audience,
    /// Teams that see it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub teams: Vec<NamespacedRef>,
    /// Groups that see it, as the identity provider names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 256)))]
    pub groups: Vec<String>,
}

/// A circle of people who see something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum Audience {
    /// Everyone, without signing in.
    #[default]
    Public,
    /// Everyone with an account.
    SignedIn,
    /// Listed teams and groups.
    Teams,
    /// Nobody.
    Hidden,
}

/// Terms that a subscriber or a developer accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Terms {
    /// The version, for example `2026-01`. A new version has to be accepted anew.
    #[schemars(length(min = 1, max = 64))]
    pub version: String,
    /// The terms in Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub text: Option<String>,
    /// Where the terms can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = r"^https?://"))]
    pub url: Option<String>,
}

/// One aspect of an object's state.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which aspect: `Ready`, `Reconciling`, `Stalled`, `Accepted`, `ResolvedRefs`, `Approved` or `Programmed`.
    #[schemars(length(min = 1, max = 316))]
    pub r#type: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// The `metadata.generation` that this condition is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// When `status` last changed.
    pub last_transition_time: Timestamp,
    /// Why, in one word for programs.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"))]
    pub reason: String,
    /// Why, for people: what is wrong, where, and what to do.
    #[schemars(length(max = 32768))]
    pub message: String,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It cannot be told yet.
    #[default]
    Unknown,
}
