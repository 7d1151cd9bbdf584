//! What a gateway is asked to do, in no gateway's language.
//!
//! Drivers translate these to Envoy resources, Gateway API objects and so on. They see applications,
//! plans and credentials by name only: no people, no policy, no secrets.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::{Cors, EnvoySettings, Period, Upstream};
use serde::Serialize;

use crate::key::Name;
use crate::resolve::sooner;

/// The listeners of an environment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// The environment's own settings.
    pub settings: EnvoySettings,
}

/// One version of a product at one host and base path. Which clients may call it is not said here: a client
/// carries the plans it has, and an API lists what each plan allows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Api {
    /// The product.
    pub product: Name,
    /// The product's version.
    pub version: String,
    /// Host names, `*.example.com` included; empty is any host.
    pub hosts: Vec<String>,
    /// Where it begins, with a leading and without a trailing `/` (the root is `/`).
    pub base_path: String,
    /// Where requests go.
    pub upstream: Upstream,
    /// What browsers of other origins may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// What each plan allows, ordered by plan.
    pub plans: Vec<ApiPlan>,
    /// Operations that need a scope, whatever the plan.
    pub guarded: Vec<Guarded>,
    /// Since when it is deprecated, and when it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Deprecated>,
}

/// Sent along with every answer of a deprecated API, and with those to subscribers of a deprecated plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deprecated {
    /// For `Deprecation` (RFC 9745).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// For `Sunset` (RFC 8594).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sunset: Option<Timestamp>,
    /// For `Link` with the relations of both: where one can read about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
}

impl Deprecated {
    /// What both say together: callers are told of what comes first.
    #[must_use]
    pub fn and(self, other: Deprecated) -> Deprecated {
        let Deprecated { since, sunset, mut links } = self;
        links.extend(other.links.into_iter().filter(|link| !links.contains(link)).collect::<Vec<_>>());
        Deprecated { since: sooner(since, other.since), sunset: sooner(sunset, other.sunset), links }
    }
}

/// What a plan allows at an [`Api`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiPlan {
    /// The plan.
    pub plan: Name,
    /// The only operations allowed; `None` is all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<Operation>>,
    /// How many requests. Of the limits that fit a request the most specific ones count: those for its operation, else
    /// those for its method, else those of the whole plan.
    pub limits: Vec<Limit>,
    /// Since when the plan is deprecated, and when it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Deprecated>,
}

/// A method and a path template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Upper case; `None` is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Below the base path, with `{parameters}` for one segment each: `/pets/{id}`.
    pub path: String,
}

/// What a limit counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// Everything the plan allows.
    Plan,
    /// Requests with one of these methods, together.
    Methods(Vec<String>),
    /// These operations, together.
    Operations(Vec<Operation>),
}

/// At most so many requests in a period, for each application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limit {
    /// A name that is unique within the plan and does not change while what it counts does not. Of limits that are `shared`
    /// those of the same name count together.
    pub id: String,
    /// Whether it counts requests to this product alone; else those to all products of the plan, together.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
    /// Whether all plans of an application that have such a limit count together; else each plan counts by itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// What it counts.
    pub scope: Scope,
    /// How many; 0 denies.
    pub requests: u64,
    /// In how long.
    pub per: Period,
}

impl Limit {
    /// As a plan would say it that means this and nothing else, for an API of the product.
    pub(crate) fn said(&self, product: &Name) -> portico_crds::Limit {
        let mut said = portico_crds::Limit {
            requests: i64::try_from(self.requests).unwrap_or(i64::MAX),
            per: self.per,
            product: self.alone.then(|| product.name().to_string()),
            operations: Vec::new(),
            methods: Vec::new(),
        };
        match &self.scope {
            Scope::Plan => {}
            Scope::Methods(methods) => said.methods.clone_from(methods),
            Scope::Operations(operations) => said.operations = operations.iter().map(Operation::to_string).collect(),
        }
        said
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.method {
            Some(method) => write!(formatter, "{method} {}", self.path),
            None => formatter.write_str(&self.path),
        }
    }
}

/// Operations that only a client with the scope may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Guarded {
    /// The scope's name within the product.
    pub scope: String,
    /// The operations; `None` is all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<Operation>>,
}

/// A credential and what it opens in one environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    /// The credential. Its secrets are in the secret store, by generation.
    pub credential: Name,
    /// Whose it is.
    pub application: Name,
    /// The generations whose keys are good now, oldest first.
    pub generations: Vec<i64>,
    /// The plans it has, ordered.
    pub plans: Arc<[Name]>,
    /// The scopes it has, ordered.
    pub scopes: Arc<[GrantedScope]>,
}

/// A scope of a product.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantedScope {
    /// The product that defines it.
    pub product: Name,
    /// Its name there.
    pub scope: Arc<str>,
}
