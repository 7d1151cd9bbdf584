//! The kind `ApiProduct`.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, DeletionPolicy, Lifecycle, NamespacedRef, SecretRef, Span, Visibility};

/// An API that others may subscribe to.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "portico.dev",
    version = "v1alpha1",
    kind = "ApiProduct",
    namespaced,
    status = "ApiProductStatus",
    derive = "PartialEq",
    shortname = "api",
    shortname = "apis",
    category = "portico",
    doc = "An API that others may subscribe to: its documents, where it is served, and who may see and use it.",
    printcolumn(
        name = "Lifecycle",
        type_ = "string",
        json_path = ".spec.lifecycle.stage",
        description = "Draft, Published, Deprecated or Retired."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether it is served as asked."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Why it is ready or not."
    ),
    printcolumn(
        name = "Plans",
        type_ = "integer",
        json_path = ".status.plans",
        description = "How many plans cover it."
    ),
    printcolumn(
        name = "Subscriptions",
        type_ = "integer",
        json_path = ".status.subscriptions",
        description = "How many subscriptions use it now."
    ),
    printcolumn(
        name = "Consumers",
        type_ = "string",
        json_path = ".spec.consumers.from",
        description = "From where it may be subscribed to.",
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
pub struct ApiProductSpec {
    /// What people read instead of the name.
    #[schemars(length(min = 1, max = 128))]
    pub title: String,
    /// What the API is for, in a few sentences. Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub description: Option<String>,
    /// Words to find it by in the catalogue, for example `payments`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 64)))]
    pub tags: Vec<String>,
    /// Whom to ask about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Where it is between its first draft and its end.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// Its versions. Left out, there is one with the name `v1`.
    #[serde(default = "default_versions")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub versions: Vec<ApiVersion>,
    /// Pages about it, in the order of the menu.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub docs: Vec<DocPage>,
    /// Where it is served: one entry for each environment and version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub endpoints: Vec<Endpoint>,
    /// Rights within the API that go beyond being let in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub scopes: Vec<ApiScope>,
    /// Who sees it in the portal.
    #[serde(default)]
    pub visibility: Visibility,
    /// Namespaces whose applications may subscribe.
    #[serde(default)]
    pub consumers: Consumers,
    /// What happens when it is deleted while there are live subscriptions. `Refuse` keeps it in force for those until there are
    /// none. `Orphan` deletes it; subscriptions stay and lose their access. `Cascade` deletes them too.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

fn default_versions() -> Vec<ApiVersion> {
    vec![ApiVersion { name: "v1".to_owned(), lifecycle: None, openapi: None }]
}

/// Whom to ask about a product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Owner {
    /// A team or a person, for example `Payments team`.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// A mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 320))]
    pub mail: Option<String>,
}

/// A version of a product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiVersion {
    /// Its name, for example `v2` or `2026-01`.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"))]
    pub name: String,
    /// Where this version is between its first draft and its end. Left out, it is as the product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
    /// The OpenAPI document. Plans and scopes may name its operations, and the portal shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openapi: Option<OpenApiSource>,
}

/// Where an OpenAPI document is: exactly one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "[has(self.path), has(self.configMap), has(self.inline)].filter(given, given).size() == 1")
    .message("give exactly one of path, configMap and inline"))]
pub struct OpenApiSource {
    /// A file in Git, relative to the file you are writing, for example `openapi.yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub path: Option<String>,
    /// A key of a ConfigMap in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapKey>,
    /// The document itself, as YAML or JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 524_288))]
    pub inline: Option<String>,
}

/// A key of a `ConfigMap` in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMapKey {
    /// The ConfigMap's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key within it, for example `openapi.yaml`.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A page about a product.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DocPage {
    /// Its title, in the menu and above the text.
    #[schemars(length(min = 1, max = 128))]
    pub title: String,
    /// A Markdown file in Git, relative to the file you are writing, for example `docs/getting-started.md`.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// Whether readers see it. Left out, they do.
    #[serde(default = "yes")]
    pub published: bool,
    /// `Everyone` is all who see the product. `Subscribers` are those with a live subscription. Left out, it is everyone.
    #[serde(default)]
    pub audience: DocAudience,
    /// The title of the page that this one stands below in the menu.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub parent: Option<String>,
}

fn yes() -> bool {
    true
}

/// Who reads a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum DocAudience {
    /// All who see the product.
    #[default]
    Everyone,
    /// Those with a live subscription.
    Subscribers,
}

/// One place where a product is served.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    /// The Environment that serves it.
    pub environment: NamespacedRef,
    /// The version that is served here. Left out, it is the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub version: Option<String>,
    /// Host names that callers use, for example `api.example.com` or `*.example.com`. Empty is any host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(
            length(min = 1, max = 253),
            regex(pattern = r"^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$")
        )
    )]
    pub hosts: Vec<String>,
    /// Where the API begins at those hosts, for example `/payments`. Left out, or `/`, it is the whole host.
    #[serde(default = "default_base_path")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*$"))]
    pub base_path: String,
    /// Where requests go that are let in.
    pub upstream: Upstream,
    /// What web pages of other origins may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
}

fn default_base_path() -> String {
    "/".to_owned()
}

/// Where requests go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Upstream {
    /// The server, for example `http://payments.backend.svc:8080`. A path in the URL is put before the request's.
    #[schemars(length(min = 8, max = 2048), regex(pattern = r"^https?://[^/?#\s]+(/[^?#\s]*)?$"))]
    pub url: String,
    /// Replaces `basePath` at the start of the path. With `basePath: /payments` and `rewritePath: /`, the upstream sees
    /// `/payments/refunds` as `/refunds`. Left out, the path goes on as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^/"))]
    pub rewrite_path: Option<String>,
    /// How long a whole answer may take, for example `30s`. Left out, 15 seconds. `0s` is without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// How the server's certificate is checked. It matters with `https` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,
    /// Headers that are set on every request, by name. Values are seen by all who can read this file: no secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub request_headers: BTreeMap<String, String>,
}

/// How an upstream's certificate is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamTls {
    /// The name that the certificate must be for. Left out, it is the host of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
    /// The certificate authority to trust, as PEM. Left out, those that the gateway's system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<SecretRef>,
    /// Whether any certificate will do; left out, it will not. Never in production: anybody in between can read and change
    /// requests.
    #[serde(default)]
    pub insecure_skip_verify: bool,
}

/// What web pages of other origins may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "!has(self.allowCredentials) || !self.allowCredentials || !has(self.allowOrigins) || !('*' in self.allowOrigins)")
    .message("allowCredentials cannot go with the origin *"))]
pub struct Cors {
    /// Origins, for example `https://shop.example.com`. `*` is any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub allow_origins: Vec<String>,
    /// Methods besides `GET`, `HEAD` and `POST`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 32)))]
    pub allow_methods: Vec<String>,
    /// Request headers that pages may set. The header of the API key is always among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    pub allow_headers: Vec<String>,
    /// Response headers that pages may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    pub expose_headers: Vec<String>,
    /// Whether pages may send cookies. Left out, they may not.
    #[serde(default)]
    pub allow_credentials: bool,
    /// How long a browser remembers the answer, for example `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Span>,
}

/// A right within a product.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiScope {
    /// Its name, for example `payments:write`.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9:._/-]{1,128}$"))]
    pub name: String,
    /// What people read instead of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub title: Option<String>,
    /// What it allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// `Active` comes with every subscription. `Optional` comes with those that ask for it. `Restricted` has to be asked
    /// for with a reason, and somebody has to grant it.
    #[serde(default)]
    pub mode: ScopeMode,
    /// Operations that nobody may call without it: each an `operationId` of the OpenAPI document, or a method and a path
    /// such as `POST /refunds/{id}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 512)))]
    pub operations: Vec<String>,
}

/// How a scope is had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum ScopeMode {
    /// It comes with every subscription.
    #[default]
    Active,
    /// It comes with subscriptions that ask for it.
    Optional,
    /// It has to be granted.
    Restricted,
}

/// Namespaces whose applications may subscribe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(self.from == 'Selected') == (has(self.namespaces) && size(self.namespaces) > 0)")
    .message("namespaces must be given with from: Selected, and only with it"))]
pub struct Consumers {
    /// `Same` is the product's own namespace. `All` is every namespace. `Selected` is its own and those listed below.
    /// Taking a namespace away takes access away from its subscriptions.
    #[serde(default)]
    pub from: ConsumersFrom,
    /// The namespaces, with `Selected`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), inner(length(min = 1, max = 63)))]
    pub namespaces: Vec<String>,
}

/// From where a product may be subscribed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum ConsumersFrom {
    /// Its own namespace.
    #[default]
    Same,
    /// Every namespace.
    All,
    /// Its own and those listed.
    Selected,
}

/// What became of a product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiProductStatus {
    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled` and what leads to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How many plans cover it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plans: Option<i64>,
    /// How many subscriptions use it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriptions: Option<i64>,
    /// Subscriptions that its end concerns, or that of one of its versions, where it is deprecated or retired: the first 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub affected: Vec<NamespacedRef>,
}
