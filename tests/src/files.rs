//! The files of a small desired state: one environment, two products, and two teams of which one is only there to be
//! left alone.

use crate::repo::Repo;

/// Where the environment is declared.
pub const ENVIRONMENT: &str = "platform/environment.yaml";
/// Where the product `echo` is declared.
pub const PRODUCT: &str = "products/echo/product.yaml";
/// Where the plan `echo-basic` is declared.
pub const PLAN: &str = "products/echo/plans/basic.yaml";
/// Where the plan `echo-small` is declared.
pub const SMALL_PLAN: &str = "products/echo/plans/small.yaml";
/// Where the OpenAPI document of `echo` is.
pub const OPENAPI: &str = "products/echo/openapi.yaml";
/// Where the application `web` of `shop` is declared.
pub const APPLICATION: &str = "teams/shop/web/application.yaml";
/// Where the subscription `web-basic` of `shop` is declared.
pub const SUBSCRIPTION: &str = "teams/shop/web/subscription.yaml";
/// Where the credential `web-basic` of `shop` is declared.
pub const CREDENTIAL: &str = "teams/shop/web/credential.yaml";
/// Where all that belongs to the bystander, the application `probe` of `watch`, is declared.
pub const BYSTANDER: &str = "teams/watch/probe/all.yaml";

/// A repository with all of it but what grants `shop` its access: no subscription, no credential.
///
/// The gateway listens at `gateway` on loopback, and requests go to `upstream`, a URL.
pub fn repo(gateway: u16, upstream: &str) -> Repo {
    Repo::with(&[
        (ENVIRONMENT, &environment(gateway)),
        (PRODUCT, &product(upstream)),
        (OPENAPI, openapi()),
        (PLAN, plan()),
        (SMALL_PLAN, small_plan()),
        (APPLICATION, application()),
        (BYSTANDER, &bystander()),
    ])
}

/// The environment `local` of `platform`.
pub fn environment(gateway: u16) -> String {
    format!(
        "\
apiVersion: portico.dev/v1alpha1
kind: Environment
metadata: {{ name: local, namespace: platform }}
spec:
  stage: Production
  gateway:
    envoy:
      listeners:
        - {{ name: http, address: 127.0.0.1, port: {gateway} }}
"
    )
}

/// The product `echo` of `apis`, at `/echo`.
pub fn product(upstream: &str) -> String {
    format!(
        "\
apiVersion: portico.dev/v1alpha1
kind: ApiProduct
metadata: {{ name: echo, namespace: apis }}
spec:
  title: Echo
  versions:
    - name: v1
      openapi: {{ path: openapi.yaml }}
  endpoints:
    - environment: {{ name: local, namespace: platform }}
      basePath: /echo
      upstream: {{ url: '{upstream}', rewritePath: / }}
  consumers: {{ from: Selected, namespaces: [shop, watch] }}
"
    )
}

/// The OpenAPI document of `echo`.
pub fn openapi() -> &'static str {
    "\
openapi: 3.1.0
info: { title: Echo, version: '1' }
paths:
  /things:
    get: { operationId: listThings, responses: { '200': { description: all } } }
    post: { operationId: makeThing, responses: { '201': { description: made } } }
  /things/{id}:
    get:
      operationId: getThing
      parameters: [{ name: id, in: path, required: true, schema: { type: string } }]
      responses: { '200': { description: one } }
"
}

/// The plan `echo-basic`: far more requests than a test sends.
pub fn plan() -> &'static str {
    "\
apiVersion: portico.dev/v1alpha1
kind: Plan
metadata: { name: echo-basic, namespace: apis }
spec:
  title: Basic
  products: [{ name: echo }]
  limits: [{ requests: 1000000, per: Minute }]
"
}

/// The plan `echo-small`: five requests in an hour.
pub fn small_plan() -> &'static str {
    "\
apiVersion: portico.dev/v1alpha1
kind: Plan
metadata: { name: echo-small, namespace: apis }
spec:
  title: Small
  products: [{ name: echo }]
  limits: [{ requests: 5, per: Hour }]
"
}

/// The application `web` of `shop`.
pub fn application() -> &'static str {
    "\
apiVersion: portico.dev/v1alpha1
kind: Application
metadata: { name: web, namespace: shop }
spec: { title: Web shop }
"
}

/// A subscription of `web` to a plan of `apis`.
pub fn subscription(name: &str, plan: &str) -> String {
    format!(
        "\
apiVersion: portico.dev/v1alpha1
kind: Subscription
metadata: {{ name: {name}, namespace: shop }}
spec:
  application: {{ name: web }}
  plan: {{ name: {plan}, namespace: apis }}
"
    )
}

/// A credential for a subscription of `shop`.
pub fn credential(name: &str, subscription: &str) -> String {
    format!(
        "\
apiVersion: portico.dev/v1alpha1
kind: Credential
metadata: {{ name: {name}, namespace: shop }}
spec:
  subscription: {{ name: {subscription} }}
  environment: {{ name: local, namespace: platform }}
"
    )
}

/// The bystander: an application of another team with a subscription to `echo-basic` and a credential `probe`.
pub fn bystander() -> String {
    "\
apiVersion: portico.dev/v1alpha1
kind: Application
metadata: { name: probe, namespace: watch }
spec: { title: Probe }
---
apiVersion: portico.dev/v1alpha1
kind: Subscription
metadata: { name: probe, namespace: watch }
spec:
  application: { name: probe }
  plan: { name: echo-basic, namespace: apis }
---
apiVersion: portico.dev/v1alpha1
kind: Credential
metadata: { name: probe, namespace: watch }
spec:
  subscription: { name: probe }
  environment: { name: local, namespace: platform }
"
    .to_owned()
}

/// Writes what grants `shop` its access to a plan, and commits it.
pub fn grant(repo: &Repo, plan: &str) -> String {
    repo.write(SUBSCRIPTION, subscription("web-basic", plan));
    repo.write(CREDENTIAL, credential("web-basic", "web-basic"));
    repo.commit("shop: subscribe to echo")
}
