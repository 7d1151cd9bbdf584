//! Every address of the API: who may come there, who answers, and what the document says of it.

use axum::routing::{MethodRouter, delete, get, patch, post};
use portico_core::key::Kind;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::sent::{Everything, List, Listed};
use super::view::{
    Application, Credential, Plan, Product, ProductSummary, Request, RevealedKey, Subscriber, Subscription,
};
use super::{applications, changes, credentials, document, me, plans, products, requests, subscriptions};
use crate::may::Action;
use crate::portal::Portal;
use crate::routes::{Reach, Route};

/// Makes the schema of a type.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// What an address answers when all is well.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answers {
    /// This.
    Json(Shape),
    /// The change that a write became.
    Accepted,
    /// Events, until it is done.
    Events(Shape),
    /// The document itself.
    Document,
}

/// What the document says of an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    /// The fields of its query.
    pub(super) query: Option<Shape>,
    /// Its body, and of which media type that is.
    pub(super) body: Option<(&'static str, Shape)>,
    pub(super) answers: Answers,
    /// Whether it takes `If-Match`.
    pub(super) is_conditional: bool,
}

/// An address.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) route: Route,
    pub(crate) handler: MethodRouter<Portal>,
    pub(super) told: Told,
}

impl Endpoint {
    fn query<T: JsonSchema>(mut self) -> Endpoint {
        self.told.query = Some(|generator| T::json_schema(generator));
        self
    }

    fn body<T: JsonSchema>(self) -> Endpoint {
        self.body_as::<T>("application/json")
    }

    fn body_as<T: JsonSchema>(mut self, media: &'static str) -> Endpoint {
        self.told.body = Some((media, SchemaGenerator::subschema_for::<T>));
        self
    }

    fn conditional(mut self) -> Endpoint {
        self.told.is_conditional = true;
        self
    }
}

fn json<T: JsonSchema>() -> Answers {
    Answers::Json(SchemaGenerator::subschema_for::<T>)
}

/// Every address of the API.
pub(crate) fn table() -> Vec<Endpoint> {
    use Action::{Change, Decide, Oversee, See};
    let (everyone, signed_in) = (Reach::Everyone, Reach::SignedIn);
    let of = Reach::Object;
    let endpoint = |(method, handler), path, reach, id, tag, summary, answers| Endpoint {
        route: Route { method, path, reach },
        handler,
        told: Told { id, tag, summary, query: None, body: None, answers, is_conditional: false },
    };
    let events = Answers::Events(SchemaGenerator::subschema_for::<changes::Change>);
    let accepted = Answers::Accepted;
    let read = |handler: MethodRouter<Portal>| ("GET", handler);
    let write = |handler: MethodRouter<Portal>| ("POST", handler);
    vec![
        endpoint(
            read(get(document::serve)),
            "/api/v1/openapi.json",
            everyone,
            "getDocument",
            "API",
            "This document",
            Answers::Document,
        ),
        endpoint(read(get(me::show)), "/api/v1/me", signed_in, "getMe", "API", "Who asks", json::<me::Me>()),
        endpoint(
            read(get(products::list)),
            "/api/v1/products",
            everyone,
            "listProducts",
            "Products",
            "Products that one sees",
            json::<List<ProductSummary>>(),
        )
        .query::<Listed<products::Sought>>(),
        endpoint(
            read(get(products::show)),
            "/api/v1/products/{namespace}/{name}",
            of(Kind::ApiProduct, See),
            "getProduct",
            "Products",
            "A product with its versions and plans",
            json::<Product>(),
        ),
        endpoint(
            read(get(plans::list)),
            "/api/v1/plans",
            everyone,
            "listPlans",
            "Plans",
            "Plans that one sees",
            json::<List<Plan>>(),
        )
        .query::<Listed<plans::Sought>>(),
        endpoint(
            read(get(plans::show)),
            "/api/v1/plans/{namespace}/{name}",
            of(Kind::Plan, See),
            "getPlan",
            "Plans",
            "A plan",
            json::<Plan>(),
        ),
        endpoint(
            read(get(plans::subscribers)),
            "/api/v1/plans/{namespace}/{name}/subscribers",
            of(Kind::Plan, Oversee),
            "listSubscribers",
            "Plans",
            "Who uses a plan, for its owner",
            json::<List<Subscriber>>(),
        )
        .query::<Listed<Everything>>(),
        endpoint(
            read(get(applications::list)),
            "/api/v1/applications",
            signed_in,
            "listApplications",
            "Applications",
            "Applications of one's teams",
            json::<List<Application>>(),
        )
        .query::<Listed<applications::Sought>>(),
        endpoint(
            write(post(applications::make)),
            "/api/v1/applications",
            signed_in,
            "createApplication",
            "Applications",
            "Make an application",
            accepted,
        )
        .body::<applications::NewApplication>(),
        endpoint(
            read(get(applications::show)),
            "/api/v1/applications/{namespace}/{name}",
            of(Kind::Application, See),
            "getApplication",
            "Applications",
            "An application",
            json::<Application>(),
        ),
        endpoint(
            read(get(subscriptions::list)),
            "/api/v1/subscriptions",
            signed_in,
            "listSubscriptions",
            "Subscriptions",
            "Subscriptions of one's teams",
            json::<List<Subscription>>(),
        )
        .query::<Listed<subscriptions::Sought>>(),
        endpoint(
            write(post(subscriptions::make)),
            "/api/v1/subscriptions",
            signed_in,
            "createSubscription",
            "Subscriptions",
            "Subscribe to a plan: with a first key, and with a new application where none is named",
            accepted,
        )
        .body::<subscriptions::NewSubscription>(),
        endpoint(
            read(get(subscriptions::show)),
            "/api/v1/subscriptions/{namespace}/{name}",
            of(Kind::Subscription, See),
            "getSubscription",
            "Subscriptions",
            "A subscription, for its team and for its plan's owner",
            json::<Subscription>(),
        ),
        endpoint(
            write(post(subscriptions::cancel)),
            "/api/v1/subscriptions/{namespace}/{name}/cancel",
            of(Kind::Subscription, Change),
            "cancelSubscription",
            "Subscriptions",
            "End a subscription for good and at once",
            accepted,
        )
        .conditional(),
        endpoint(
            read(get(subscriptions::credentials)),
            "/api/v1/subscriptions/{namespace}/{name}/credentials",
            of(Kind::Subscription, See),
            "listCredentialsOfSubscription",
            "Credentials",
            "Keys of a subscription, without what they say",
            json::<List<Credential>>(),
        )
        .query::<Listed<Everything>>(),
        endpoint(
            write(post(subscriptions::new_key)),
            "/api/v1/subscriptions/{namespace}/{name}/credentials",
            of(Kind::Subscription, Change),
            "createCredential",
            "Credentials",
            "Make another key of a subscription",
            accepted,
        )
        .body::<subscriptions::NewCredential>(),
        endpoint(
            read(get(credentials::list)),
            "/api/v1/credentials",
            signed_in,
            "listCredentials",
            "Credentials",
            "Keys of one's teams, without what they say",
            json::<List<Credential>>(),
        )
        .query::<Listed<credentials::Sought>>(),
        endpoint(
            read(get(credentials::show)),
            "/api/v1/credentials/{namespace}/{name}",
            of(Kind::Credential, See),
            "getCredential",
            "Credentials",
            "A key, without what it says",
            json::<Credential>(),
        ),
        endpoint(
            ("PATCH", patch(credentials::patch)),
            "/api/v1/credentials/{namespace}/{name}",
            of(Kind::Credential, Change),
            "updateCredential",
            "Credentials",
            "Rename a key, switch it off or on",
            accepted,
        )
        .body_as::<credentials::CredentialPatch>("application/merge-patch+json")
        .conditional(),
        endpoint(
            ("DELETE", delete(credentials::revoke)),
            "/api/v1/credentials/{namespace}/{name}",
            of(Kind::Credential, Change),
            "revokeCredential",
            "Credentials",
            "End a key for good and at once; a revoked key never comes back",
            accepted,
        )
        .conditional(),
        endpoint(
            write(post(credentials::rotate)),
            "/api/v1/credentials/{namespace}/{name}/rotate",
            of(Kind::Credential, Change),
            "rotateCredential",
            "Credentials",
            "Make another key; the old one goes on for the overlap",
            accepted,
        )
        .conditional(),
        endpoint(
            write(post(credentials::regenerate)),
            "/api/v1/credentials/{namespace}/{name}/regenerate",
            of(Kind::Credential, Change),
            "regenerateCredential",
            "Credentials",
            "Make another key; the old one is dead at once",
            accepted,
        )
        .conditional(),
        endpoint(
            write(post(credentials::reveal)),
            "/api/v1/credentials/{namespace}/{name}/reveal",
            of(Kind::Credential, Change),
            "revealCredential",
            "Credentials",
            "What a key says: once, unless its plan lets it be shown again",
            json::<RevealedKey>(),
        ),
        endpoint(
            read(get(requests::list)),
            "/api/v1/requests",
            signed_in,
            "listRequests",
            "Requests",
            "Requests that wait for an answer, for what one looks after",
            json::<List<Request>>(),
        )
        .query::<Listed<requests::Sought>>(),
        endpoint(
            read(get(requests::show)),
            "/api/v1/requests/{namespace}/{name}",
            of(Kind::Subscription, Oversee),
            "getRequest",
            "Requests",
            "A request, by its subscription",
            json::<Request>(),
        ),
        endpoint(
            write(post(requests::grant)),
            "/api/v1/requests/{namespace}/{name}/grant",
            of(Kind::Subscription, Decide),
            "grantRequest",
            "Requests",
            "Grant what is asked for",
            accepted,
        ),
        endpoint(
            write(post(requests::refuse)),
            "/api/v1/requests/{namespace}/{name}/refuse",
            of(Kind::Subscription, Decide),
            "refuseRequest",
            "Requests",
            "Turn a request down, or ask for changes",
            accepted,
        )
        .body::<requests::Refusal>(),
        endpoint(
            read(get(changes::show)),
            "/api/v1/changes/{commit}",
            signed_in,
            "getChange",
            "Changes",
            "How far a change is: committed, read, enforced",
            json::<changes::Change>(),
        )
        .query::<changes::Followed>(),
        endpoint(
            read(get(changes::events)),
            "/api/v1/changes/{commit}/events",
            signed_in,
            "followChange",
            "Changes",
            "Every step of a change as it is reached: server-sent events named `change`, until the last",
            events,
        )
        .query::<changes::Followed>(),
    ]
}
