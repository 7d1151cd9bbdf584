//! The kind `Environment`.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, LocalRef, NamespacedRef, Stage};

/// One place where access is enforced.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "portico.dev",
    version = "v1alpha1",
    kind = "Environment",
    namespaced,
    status = "EnvironmentStatus",
    derive = "PartialEq",
    shortname = "env",
    category = "portico",
    doc = "One place where access is enforced: a gateway, and whether it is for trying out or for real traffic.",
    printcolumn(name = "Stage", type_ = "string", json_path = ".spec.stage", description = "What it is for."),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether the gateway enforces all that was asked."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Why it is ready or not."
    ),
    printcolumn(
        name = "Clients",
        type_ = "integer",
        json_path = ".status.clients",
        description = "How many credentials have access."
    ),
    printcolumn(
        name = "Endpoints",
        type_ = "integer",
        json_path = ".status.endpoints",
        description = "How many endpoints of products are served.",
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
pub struct EnvironmentSpec {
    /// What people read instead of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub title: Option<String>,
    /// `Sandbox` is for trying things out, `Production` for real traffic. A subscription that is not in production yet
    /// has access to sandboxes only.
    pub stage: Stage,
    /// The gateway that enforces access here.
    pub gateway: GatewayDriver,
    /// The identity provider whose tokens are accepted here. Plans with OAuth need one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityProvider>,
}

/// A gateway: exactly one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "[has(self.envoy), has(self.envoyGateway), has(self.kuadrant), has(self.kong)].filter(given, given).size() == 1")
    .message("give exactly one of envoy, envoyGateway, kuadrant and kong"))]
pub struct GatewayDriver {
    /// An Envoy that takes its configuration from Portico.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envoy: Option<EnvoySettings>,
    /// A Gateway that Envoy Gateway runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envoy_gateway: Option<EnvoyGatewaySettings>,
    /// A Gateway that Kuadrant protects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kuadrant: Option<KuadrantSettings>,
    /// A Gateway that Kong runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kong: Option<KongSettings>,
}

/// An Envoy that takes its configuration from Portico.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvoySettings {
    /// Where it listens.
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub listeners: Vec<EnvoyListener>,
    /// The request header that holds an API key. It is taken out before the request goes on.
    #[serde(default = "default_api_key_header")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-z0-9-]+$"))]
    pub api_key_header: String,
    /// Request headers that tell the upstream who calls. What a caller sends in them is thrown away.
    #[serde(default)]
    pub identity_headers: IdentityHeaders,
}

fn default_api_key_header() -> String {
    "x-api-key".to_owned()
}

/// A port where Envoy listens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvoyListener {
    /// A name of your choice, for example `https`.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// The address to listen on. `0.0.0.0` is every address of the machine.
    #[serde(default = "default_address")]
    #[schemars(length(min = 1, max = 64))]
    pub address: String,
    /// The port, from 1 to 65535.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Certificates. Left out, the port speaks plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
}

fn default_address() -> String {
    "0.0.0.0".to_owned()
}

/// TLS at a port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerTls {
    /// Certificates, chosen by the host that the caller asks for.
    #[schemars(length(min = 1, max = 64))]
    pub certificates: Vec<Certificate>,
}

/// A certificate and the hosts it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Certificate {
    /// Host names, for example `api.example.com` or `*.example.com`. Empty is any host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub hosts: Vec<String>,
    /// The Secret that holds the certificate, with the keys `tls.crt` and `tls.key`.
    pub secret: LocalRef,
}

/// Request headers that tell the upstream who calls.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityHeaders {
    /// The header with the application, as `namespace/name`.
    #[serde(default = "default_application_header")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-z0-9-]+$"))]
    pub application: String,
    /// The header with the plan, as `namespace/name`.
    #[serde(default = "default_plan_header")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-z0-9-]+$"))]
    pub plan: String,
    /// The header with the product, as `namespace/name`.
    #[serde(default = "default_product_header")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-z0-9-]+$"))]
    pub product: String,
    /// The header with the environment, as `namespace/name`. Left out, it is not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-z0-9-]+$"))]
    pub environment: Option<String>,
}

impl Default for IdentityHeaders {
    fn default() -> Self {
        IdentityHeaders {
            application: default_application_header(),
            plan: default_plan_header(),
            product: default_product_header(),
            environment: None,
        }
    }
}

fn default_application_header() -> String {
    "x-portico-application".to_owned()
}

fn default_plan_header() -> String {
    "x-portico-plan".to_owned()
}

fn default_product_header() -> String {
    "x-portico-product".to_owned()
}

/// A Gateway that Envoy Gateway runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvoyGatewaySettings {
    /// The Gateway (`gateway.networking.k8s.io`) that routes are attached to.
    pub gateway: NamespacedRef,
}

/// A Gateway that Kuadrant protects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KuadrantSettings {
    /// The Gateway (`gateway.networking.k8s.io`) that routes are attached to.
    pub gateway: NamespacedRef,
}

/// A Gateway that Kong runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KongSettings {
    /// The Gateway (`gateway.networking.k8s.io`) that routes are attached to.
    pub gateway: NamespacedRef,
    /// The ingress class of Kong's controller, where it is not `kong`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub ingress_class: Option<String>,
}

/// An identity provider whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityProvider {
    /// The issuer, exactly as it stands in the tokens' `iss`.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^https?://"))]
    pub issuer: String,
    /// Where the public keys are. Left out, it is looked up in the issuer's `/.well-known/openid-configuration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = r"^https?://"))]
    pub jwks_uri: Option<String>,
    /// Audiences that a token may be for. Empty is any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)))]
    pub audiences: Vec<String>,
    /// The claim that holds the client id.
    #[serde(default = "default_client_id_claim")]
    #[schemars(length(min = 1, max = 128))]
    pub client_id_claim: String,
}

fn default_client_id_claim() -> String {
    "azp".to_owned()
}

/// What became of an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled` and what leads to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How many credentials the gateway is asked to let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<i64>,
    /// How many endpoints of products the gateway is asked to serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<i64>,
}
