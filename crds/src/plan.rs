//! The kind `Plan`.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Condition, Contract, DeletionPolicy, FieldKind, Lifecycle, LocalRef, NamespacedRef, Price, Security, Span, Term,
    Terms, Visibility,
};

/// Terms on which products are offered.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "portico.dev",
    version = "v1alpha1",
    kind = "Plan",
    namespaced,
    status = "PlanStatus",
    derive = "PartialEq",
    category = "portico",
    doc = "Terms on which API products are offered: what is covered, how much, how one is let in, and at what price.",
    printcolumn(
        name = "Lifecycle",
        type_ = "string",
        json_path = ".spec.lifecycle.stage",
        description = "Draft, Published, Deprecated or Retired."
    ),
    printcolumn(
        name = "Approval",
        type_ = "string",
        json_path = ".spec.approval.mode",
        description = "Whether somebody has to approve subscriptions."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether it is enforced as asked."
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
        description = "How many subscriptions use it now."
    ),
    printcolumn(
        name = "Security",
        type_ = "string",
        json_path = ".spec.security.type",
        description = "How applications prove who they are.",
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
    validation = Rule::new("!has(self.spec.contract) || !has(self.spec.price)")
        .message("a plan with contract has no price: what it costs is agreed upon")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanSpec {
    /// What people read instead of the name.
    #[schemars(length(min = 1, max = 128))]
    pub title: String,
    /// Whom it is for, in a few sentences. Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub description: Option<String>,
    /// The products it covers. One subscription opens them all.
    #[schemars(length(min = 1, max = 64))]
    pub products: Vec<PlanProduct>,
    /// How applications prove who they are.
    #[serde(default)]
    pub security: PlanSecurity,
    /// How many requests. Of the limits that fit a request the most specific ones count: those for its operation, else
    /// those for its method, else those of the whole plan. Empty is without limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub limits: Vec<Limit>,
    /// What a limit is counted for. `Subscription` counts each subscription by itself. `Application` counts all
    /// subscriptions of one application together whose plans say so too, for limits of the whole plan or of methods.
    #[serde(default)]
    pub limits_shared_by: LimitsSharedBy,
    /// Whether somebody has to approve subscriptions.
    #[serde(default)]
    pub approval: PlanApproval,
    /// Whether subscriptions begin in a sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<PlanSandbox>,
    /// How a subscriber may change to this plan from another. `Direct` is at once. `Request` needs an approval. `Card`
    /// needs a payment card, `RequestWithCard` both. `None` is not at all.
    #[serde(default)]
    pub change_mode: ChangeMode,
    /// What it costs. Left out, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// For plans that are sold by talking to somebody. They have no price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// Terms that a subscriber has to accept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// What a subscription has to say about itself, for example a cost centre. One that does not give what is required is not
    /// granted. A question that is added and required is one for those who have the plan, too: they have no access until they
    /// answer it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub properties: Vec<PlanProperty>,
    /// How long a subscription lasts, for example `30d` or `1y`. Months and years are those of the calendar. Left out, until it
    /// is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Term>,
    /// How long a subscription needs no payment, from when it was made, for example `14d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Term>,
    /// How many subscriptions there may be at a time. The oldest keep their places. Left out, any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_subscriptions: Option<i64>,
    /// Rules for credentials.
    #[serde(default)]
    pub credentials: CredentialRules,
    /// Where it is between its first draft and its end.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// Who sees it in the portal. Nobody sees a plan of a product that they do not see.
    #[serde(default)]
    pub visibility: Visibility,
    /// The version of this plan, for readers, for example `2026-01`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub version: Option<String>,
    /// An older Plan that this one takes the place of. Beside `customFor`: the Plan that this one is a copy of. An Approval may
    /// grant it to that Application's subscription to the other one, and once it is taken away, that one counts again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<LocalRef>,
    /// The one Application that this plan was made for. Nobody else sees it or may subscribe to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_for: Option<NamespacedRef>,
    /// What happens when it is deleted while there are live subscriptions. `Refuse` keeps it in force for those until there are
    /// none. `Orphan` deletes it; subscriptions stay and lose their access. `Cascade` deletes them too.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// From where requests may come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

/// A product that a plan covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanProduct {
    /// The ApiProduct's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The ApiProduct's namespace. Left out, it is the plan's own. The product has to admit the plan's namespace in its
    /// `consumers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// The only operations that are covered: each an `operationId` of the OpenAPI document, or a method and a path
    /// such as `GET /refunds/{id}`. Empty is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 512)))]
    pub operations: Vec<String>,
}

/// Something that a subscription says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(self.kind == 'Choice') == (has(self.choices) && size(self.choices) > 0)")
    .message("choices must be given with kind Choice, and only with it"))]
pub struct PlanProperty {
    /// The name by which a Subscription gives it in `properties`, for example `costCentre`.
    #[schemars(length(min = 3, max = 63), regex(pattern = r"^[A-Za-z][A-Za-z0-9_-]*$"))]
    pub name: String,
    /// The question, as people read it.
    #[schemars(length(min = 1, max = 256))]
    pub title: String,
    /// `Text` is a line of text, `Choice` one of `choices`, `Checkbox` `true` or `false`.
    #[serde(default)]
    pub kind: FieldKind,
    /// Whether it must be given. A required checkbox must be `true`.
    #[serde(default)]
    pub required: bool,
    /// Possible answers to a `Choice`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    pub choices: Vec<String>,
}

impl PlanProduct {
    /// The product, as a reference.
    #[must_use]
    pub fn as_ref(&self) -> NamespacedRef {
        NamespacedRef { name: self.name.clone(), namespace: self.namespace.clone() }
    }
}

/// How applications prove who they are to a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.apiKey) || self.type == 'ApiKey'").message("apiKey needs type ApiKey"))]
#[x_kube(validation = Rule::new("!has(self.oauth) || self.type != 'ApiKey'")
    .message("oauth needs type ClientCredentials, PrivateKeyJwt or ExternalClient"))]
pub struct PlanSecurity {
    /// `ApiKey` is a key that Portico makes, sent in a header. `ClientCredentials` is an OAuth client with a secret.
    /// `PrivateKeyJwt` is an OAuth client that signs with its own private key. `ExternalClient` is an OAuth client that
    /// somebody else manages.
    #[serde(default)]
    pub r#type: Security,
    /// Settings for `ApiKey`. There are none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKeySecurity>,
    /// Settings for the OAuth types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OauthSecurity>,
}

/// Settings for API keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKeySecurity {}

/// Settings for OAuth clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OauthSecurity {
    /// How long a token may be good for, for example `15m`. Left out, as the identity provider has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_lifetime: Option<Span>,
    /// Audiences that a token has to be for. Empty is as the environment has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256)))]
    pub audiences: Vec<String>,
}

/// At most so many requests in a period.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "!(has(self.operations) && size(self.operations) > 0 && has(self.methods) && size(self.methods) > 0)")
    .message("a limit is for operations or for methods, not for both"))]
pub struct Limit {
    /// How many requests. 0 denies.
    #[schemars(range(min = 0))]
    pub requests: i64,
    /// In how long. Hours, days and months are those of the calendar in UTC.
    pub per: Period,
    /// The only product that it is for: the name of one of `products`. Left out, all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub product: Option<String>,
    /// The only operations that it is for, counted together: each an `operationId` of the OpenAPI document, or a method
    /// and a path such as `POST /refunds`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 512)))]
    pub operations: Vec<String>,
    /// The only methods that it is for, counted together, for example `POST` and `PUT`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 32), regex(pattern = r"^[A-Z]+$")))]
    pub methods: Vec<String>,
}

/// How long a limit counts before it begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum Period {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A month of the calendar.
    Month,
}

/// What a limit is counted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum LimitsSharedBy {
    /// Each subscription by itself.
    #[default]
    Subscription,
    /// All subscriptions of an application together.
    Application,
}

/// Whether somebody has to approve subscriptions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanApproval {
    /// `Automatic` grants what is asked for, at once. `Manual` needs an Approval in the plan's namespace, and enforces
    /// what that grants.
    #[serde(default)]
    pub mode: ApprovalMode,
    /// Who may approve. Empty is everyone who may write an Approval. Nobody may approve their own request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub approvers: Vec<Approver>,
}

/// How subscriptions are approved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum ApprovalMode {
    /// By themselves.
    #[default]
    Automatic,
    /// By somebody.
    Manual,
}

/// Somebody who may approve.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approver {
    /// `User` is one person, `Group` is a group of the identity provider, `Team` is a Team in the plan's namespace.
    pub kind: ApproverKind,
    /// A mail address for `User`, else the name of the group or the Team.
    #[schemars(length(min = 1, max = 320))]
    pub name: String,
}

/// What an approver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum ApproverKind {
    /// One person.
    User,
    /// A group of the identity provider.
    Group,
    /// A Team.
    Team,
}

/// Whether subscriptions begin in a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanSandbox {
    /// Whether every subscription begins in the sandbox and has to ask to go live.
    #[serde(default)]
    pub required: bool,
    /// The sandbox environments. Empty is every Environment with stage `Sandbox` that serves the products.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub environments: Vec<NamespacedRef>,
}

/// How a subscriber may change to a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum ChangeMode {
    /// Not at all.
    None,
    /// At once.
    #[default]
    Direct,
    /// After an approval.
    Request,
    /// With a payment card.
    Card,
    /// With a payment card and after an approval.
    RequestWithCard,
}

/// Rules for the credentials of a plan's subscribers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.lifetime) || self.lifetime.matches('[1-9]')")
    .message("lifetime must be longer than no time"))]
pub struct CredentialRules {
    /// How many credentials a subscription may have in one environment.
    #[serde(default = "default_max_credentials")]
    #[schemars(range(min = 1, max = 1000))]
    pub max: i64,
    /// How long a key is good for, from when it was made, for example `90d`. Left out, until it is taken away. A change
    /// concerns keys that are made after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Span>,
    /// How long the old key stays good after a rotation, for example `24h`, where the credential does not say. Left out,
    /// it ends at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_overlap: Option<Span>,
    /// Whether the portal shows a key more than once.
    #[serde(default)]
    pub show_again: bool,
}

impl Default for CredentialRules {
    fn default() -> Self {
        CredentialRules { max: default_max_credentials(), lifetime: None, rotation_overlap: None, show_again: false }
    }
}

fn default_max_credentials() -> i64 {
    5
}

/// From where requests may come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// Address ranges, for example `203.0.113.0/24`. Empty is any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 3, max = 43)))]
    pub allowed_cidrs: Vec<String>,
    /// Hosts that the `Referer` header may name, for example `shop.example.com` or `*.example.com`. At most 5. Empty is
    /// any. Browsers send this header; anybody else can forge it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), inner(length(min = 1, max = 253)))]
    pub allowed_referrers: Vec<String>,
}

/// What became of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled` and what leads to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How many subscriptions use it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriptions: Option<i64>,
    /// Names exactly what it offers now: products, operations, scopes, limits, security, price, times and the version of its
    /// terms. An Approval can say it in `grant.terms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
    /// Subscriptions that its end concerns, where it is deprecated or retired: the first 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub affected: Vec<NamespacedRef>,
    /// The limits that gateways hold subscribers to, as they confirmed it. An operation stands as a method and a path. While
    /// gateways do not agree, a limit stands there as each of them has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub limits: Vec<Limit>,
}
