//! The kind `Portal`.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, NamespacedRef, SecretRef, Span, Terms};

/// What a portal looks like, who may sign in, and how it writes to Git.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "portico.dev",
    version = "v1alpha1",
    kind = "Portal",
    namespaced,
    status = "PortalStatus",
    derive = "PartialEq",
    category = "portico",
    doc = "A developer portal: its looks, who may sign in and register, and the Git repository it writes to.",
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url", description = "Where the portal is."),
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
pub struct PortalSpec {
    /// The portal's name, in the head of every page.
    #[schemars(length(min = 1, max = 128))]
    pub title: String,
    /// What the portal is for, on its first page. Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Where people reach the portal, for links in mails: `https://developer.example.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = r"^https?://"))]
    pub url: Option<String>,
    /// Logo, colours and menu.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branding: Option<Branding>,
    /// How people sign in. Left out, nobody can, and the portal shows what is public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<SignIn>,
    /// Who may get an account. Left out, an account waits for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
    /// The Git repository that holds the files, and how the portal writes to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<PortalGit>,
}

/// What a portal looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Branding {
    /// The logo: a URL, or a path relative to this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub logo: Option<String>,
    /// The icon in the browser's tab: a URL, or a path relative to this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub favicon: Option<String>,
    /// The colour of buttons and links, for example `#0a5fd6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 7), regex(pattern = r"^#[0-9A-Fa-f]{6}$"))]
    pub primary_color: Option<String>,
    /// The colour of what stands out, for example `#f2a900`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 7), regex(pattern = r"^#[0-9A-Fa-f]{6}$"))]
    pub accent_color: Option<String>,
    /// The text below every page. Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub footer: Option<String>,
    /// Links in the head of every page, after the portal's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub menu: Vec<MenuItem>,
}

/// A link in a portal's menu.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MenuItem {
    /// What it says.
    #[schemars(length(min = 1, max = 64))]
    pub title: String,
    /// Where it leads: a URL, or a path in the portal such as `/docs`.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
}

/// How people sign in. Both ways may stand side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignIn {
    /// Through an OpenID Connect provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcSignIn>,
    /// Through a link that is sent by mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail_link: Option<MailLink>,
}

/// Signing in through an OpenID Connect provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OidcSignIn {
    /// The provider's issuer URL. `/.well-known/openid-configuration` is looked up below it.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^https?://"))]
    pub issuer: String,
    /// The client id that the provider gave to this portal.
    #[schemars(length(min = 1, max = 256))]
    pub client_id: String,
    /// The client's secret. Left out, the portal is a public client with PKCE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretRef>,
    /// Scopes to ask for besides `openid`, `profile` and `email`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128)))]
    pub scopes: Vec<String>,
    /// The claim that lists a person's groups, for example `groups`. A Team may name them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub groups_claim: Option<String>,
    /// Whether who can sign in here is approved without asking anybody.
    #[serde(default)]
    pub auto_approve: bool,
}

/// Signing in through a link that is sent by mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MailLink {
    /// The sender, for example `Acme APIs <apis@acme.example>`.
    #[schemars(length(min = 3, max = 320))]
    pub from: String,
    /// The mail server.
    pub smtp: Smtp,
    /// How long a link works, for example `15m`. Left out, 15 minutes; a day at most. A link works once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Span>,
}

/// A mail server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Smtp {
    /// Its host name.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// Its port: 587 as a rule with `StartTls`, 465 with `Tls`, 25 with `None`.
    #[serde(default = "default_smtp_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// `StartTls` encrypts after connecting, `Tls` from the start, `None` not at all.
    #[serde(default)]
    pub tls: SmtpTls,
    /// The user name. Left out, the server is used without signing in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 320))]
    pub username: Option<String>,
    /// The user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
}

fn default_smtp_port() -> u16 {
    587
}

/// How the way to a mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum SmtpTls {
    /// Not at all.
    None,
    /// After connecting.
    #[default]
    StartTls,
    /// From the start.
    Tls,
}

/// Who may get an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Registration {
    /// `Open` lets everyone in. `Approval` makes a new account wait for somebody to approve it. `Closed` takes
    /// nobody new but those who are invited.
    #[serde(default)]
    pub mode: RegistrationMode,
    /// What to ask a person who registers. The answers are stored as attributes of the Developer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub fields: Vec<RegistrationField>,
    /// Mail domains that may not register, for example `mailinator.com`. Subdomains are included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), inner(length(min = 1, max = 253)))]
    pub blocked_mail_domains: Vec<String>,
    /// The only mail domains that may register. Empty is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), inner(length(min = 1, max = 253)))]
    pub allowed_mail_domains: Vec<String>,
    /// Terms that everyone accepts before registering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// A plan that a person's first application is subscribed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_plan: Option<NamespacedRef>,
}

/// What a new account has to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum RegistrationMode {
    /// Nothing.
    Open,
    /// Somebody's approval.
    #[default]
    Approval,
    /// An invitation.
    Closed,
}

/// A question to a person who registers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(self.kind == 'Choice') == (has(self.choices) && size(self.choices) > 0)")
    .message("choices must be given with kind Choice, and only with it"))]
pub struct RegistrationField {
    /// The attribute that holds the answer, for example `company`.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z][A-Za-z0-9_-]*$"))]
    pub name: String,
    /// The question, as people read it.
    #[schemars(length(min = 1, max = 256))]
    pub title: String,
    /// `Text` is a line of text, `Choice` one of `choices`, `Checkbox` yes or no.
    #[serde(default)]
    pub kind: FieldKind,
    /// Whether it must be answered. A required checkbox must be ticked.
    #[serde(default)]
    pub required: bool,
    /// Whether the answer cannot be changed after registering.
    #[serde(default)]
    pub read_only: bool,
    /// Whether only administrators see it.
    #[serde(default)]
    pub hidden: bool,
    /// Possible answers to a `Choice`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    pub choices: Vec<String>,
}

/// What an answer looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum FieldKind {
    /// A line of text.
    #[default]
    Text,
    /// One of several.
    Choice,
    /// Yes or no.
    Checkbox,
}

/// The Git repository that holds the files, and how the portal writes to it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PortalGit {
    /// The repository: `https://git.example.com/platform/apis.git`, `git@git.example.com:platform/apis.git`, or a
    /// folder on this machine.
    #[schemars(length(min = 1, max = 2048))]
    pub repository: String,
    /// The branch that holds.
    #[serde(default = "default_branch")]
    #[schemars(length(min = 1, max = 256))]
    pub branch: String,
    /// The folder within the repository. Left out, the whole repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub path: Option<String>,
    /// `Commit` writes to the branch at once. With `PullRequest` what would give somebody something waits on a branch `portico/ID`
    /// until somebody takes it in, in the portal or in Git.
    #[serde(default)]
    pub write: GitWrite,
    /// The token or the private key to read and write with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<SecretRef>,
    /// Whether an Approval counts only if the commit that wrote it has a good signature of its author. SSH signatures with
    /// Ed25519 and ECDSA keys are verified; others do not count.
    #[serde(default)]
    pub signed_commits: bool,
    /// Who signs with which key. A key that is taken out of the list takes the effect from what it signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub signers: Vec<Signer>,
    /// The committer's name on what the portal writes. The author is whoever clicked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub committer_name: Option<String>,
    /// The committer's mail address on what the portal writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 320))]
    pub committer_mail: Option<String>,
    /// Who counts as the one who wrote a file, for example to keep people from approving their own requests.
    /// `KubernetesUser` is who applied it to the cluster. `GitAuthor` is the author of the commit, which is only as
    /// trustworthy as who may push.
    #[serde(default)]
    pub identities: Identities,
}

/// Somebody who signs commits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signer {
    /// The author's mail address in commits.
    #[schemars(length(min = 3, max = 320), regex(pattern = r"^[^@\s]+@[^@\s]+$"))]
    pub mail: String,
    /// The public key, as in `id_ed25519.pub`: `ssh-ed25519 AAAA…`.
    #[schemars(length(min = 16, max = 2048), regex(pattern = r"^[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( .*)?$"))]
    pub key: String,
}

fn default_branch() -> String {
    "main".to_owned()
}

/// How a portal writes to Git.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum GitWrite {
    /// To the branch, at once.
    #[default]
    Commit,
    /// To a branch of its own first, where it would give somebody something.
    PullRequest,
}

/// Who counts as the one who wrote a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum Identities {
    /// Who applied it to the cluster.
    #[default]
    KubernetesUser,
    /// The author of the commit.
    GitAuthor,
}

/// What became of a portal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortalStatus {
    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled` and what leads to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
