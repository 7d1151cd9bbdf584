//! Subscriptions.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::{Extension, Json};
use portico_core::Core;
use portico_core::key::{Kind, Name};
use portico_crds::{Phase, RequestedScope};
use schemars::JsonSchema;
use serde::Deserialize;

use super::accepted::carry;
use super::sent::{Bare, Everything, List, Listed, Object, Sent};
use super::version::unchanged;
use super::view::{Credential, Ref, Subscription};
use super::{named, person};
use crate::act::subscribe::Draft;
use crate::act::{self, Deed};
use crate::clock;
use crate::error::Oops;
use crate::gather::offer::offer;
use crate::gather::{consumer, state};
use crate::may::{Action, may};
use crate::pages::{Named, name};
use crate::people::Person;
use crate::portal::{Portal, Visitor};

/// Which subscriptions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sought {
    /// The application that it is of, as NAMESPACE/NAME.
    #[schemars(regex(pattern = r"^[a-z0-9.-]{1,253}/[a-z0-9.-]{1,253}$"))]
    application: Option<String>,
    /// How it stands.
    phase: Option<Phase>,
}

/// Subscriptions of one's teams.
pub(super) async fn list(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
    Listed { sought: Sought { application, phase }, part }: Listed<Sought>,
) -> Result<Response, Oops> {
    let wanted = application.map(|application| named("application", &application)).transpose()?;
    let person = person(&visitor)?;
    let (items, next) = portal.reading.look(|core| {
        let stands = |name: &&Name| {
            phase.is_none_or(|phase| state::subscription(core, name).is_some_and(|standing| standing.phase == phase))
        };
        let applications = consumer::applications(core, person, |_| true);
        let wanted = applications.iter().filter(|one| wanted.as_ref().is_none_or(|wanted| wanted == *one));
        let names: Vec<Name> =
            wanted.flat_map(|application| core.subscriptions_by(application)).filter(stands).cloned().collect();
        let (names, next) = part.of(names);
        (names.iter().filter_map(|name| Subscription::of(core, Some(person), name)).collect(), next)
    });
    Ok(List::<Subscription> { items, next }.answer(&uri))
}

/// A subscription.
pub(super) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
) -> Result<Json<Subscription>, Oops> {
    let found = portal.reading.look(|core| Subscription::of(core, visitor.person.as_ref(), &name(&named)));
    found.map(Json).ok_or(Oops::NotFound)
}

/// A new subscription, of an application that is there or of a new one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewSubscription {
    plan: Object<Ref>,
    /// The application that subscribes; without one a new one is made, which `title` names.
    application: Option<Object<Ref>>,
    /// What people call the new application.
    #[schemars(length(min = 3, max = 128))]
    title: Option<String>,
    /// What the new application does.
    #[schemars(length(max = 4096))]
    description: Option<String>,
    /// The team that owns the new application; not needed where there is one only.
    team: Option<Object<Ref>>,
    /// What the plan wants to know, by the names of its properties.
    #[serde(default)]
    #[schemars(length(max = 32))]
    properties: BTreeMap<String, String>,
    /// Scopes that are asked for, with what they are needed for.
    #[serde(default)]
    #[schemars(length(max = 64))]
    scopes: Vec<Object<RequestedScope>>,
    /// The version of the plan's terms that is accepted.
    #[schemars(length(max = 64))]
    accepted_terms: Option<String>,
    /// Where the first key is for; without it for the first environment that serves the plan.
    environment: Option<Object<Ref>>,
}

/// Subscribes, as the wizard does.
pub(super) async fn make(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    sent: Sent<NewSubscription>,
) -> Result<Response, Oops> {
    let person = person(&visitor)?;
    carry(&portal, person, &sent.once, |core| subscribe(core, person, sent.said)).await
}

fn subscribe(core: &Core, person: &Person, said: NewSubscription) -> Result<Deed, Oops> {
    let NewSubscription {
        plan,
        application,
        title,
        description,
        team,
        properties,
        scopes,
        accepted_terms,
        environment,
    } = said;
    let Object(plan) = plan;
    let plan = plan.name();
    if !may(core, Some(person), Action::Use, &plan.clone().of(Kind::Plan)) {
        return Err(Oops::NotFound);
    }
    let offer = offer(core, person, &plan).ok_or(Oops::NotFound)?;
    act::subscribe::is_open(&offer)?;
    let text = |name: Option<Object<Ref>>| name.map(|Object(name)| name.name().to_string());
    let scopes: Vec<RequestedScope> = scopes.into_iter().map(|Object(scope)| scope).collect();
    let draft = Draft {
        application: text(application).unwrap_or_else(|| "new".to_owned()),
        team: text(team).unwrap_or_default(),
        title: title.unwrap_or_default().trim().to_owned(),
        description: description.unwrap_or_default().trim().to_owned(),
        properties,
        reasons: scopes.iter().filter_map(|one| Some((one.name.clone(), one.reason.clone()?))).collect(),
        scopes: scopes.into_iter().map(|one| one.name).collect(),
        terms: accepted_terms.unwrap_or_default(),
        environment: text(environment).unwrap_or_default(),
        once: String::new(),
    };
    if let Some(unknown) = draft.scopes.iter().find(|name| !offer.scopes.iter().any(|scope| scope.name == **name)) {
        return Err(Oops::Bad(format!("This plan has no scope `{unknown}` that can be asked for.")));
    }
    if let Some(unknown) = draft.properties.keys().find(|name| !offer.properties.iter().any(|one| one.name == **name)) {
        return Err(Oops::Bad(format!("This plan has no property `{unknown}`.")));
    }
    let known = |name: &str| offer.environments.iter().any(|(environment, _)| environment.to_string() == name);
    if !draft.environment.is_empty() && !known(&draft.environment) {
        return Err(Oops::Bad("The environment is none that serves this plan.".to_owned()));
    }
    if let Some((_, _, subscription)) = offer.have.iter().find(|(name, ..)| name.to_string() == draft.application) {
        return Err(Oops::Conflict(format!("The application has this plan already, by subscription {subscription}.")));
    }
    if let Some(missing) = draft.first_missing(&offer) {
        return Err(Oops::Bad(missing));
    }
    draft.finish(core, &offer, &plan)
}

/// Ends a subscription.
pub(super) async fn cancel(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Bare { once, headers }: Bare,
) -> Result<Response, Oops> {
    let (person, name) = (person(&visitor)?, name(&named));
    let now = clock::moment()?;
    carry(&portal, person, &once, |core| {
        unchanged(&headers, &Subscription::of(core, Some(person), &name))?;
        act::subscription::cancel(core, person, &name, now)
    })
    .await
}

/// Keys of a subscription, as far as one may know of them.
pub(super) async fn credentials(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    uri: Uri,
    Listed { sought: Everything {}, part }: Listed<Everything>,
) -> Result<Response, Oops> {
    let name = name(&named);
    let (items, next) = portal.reading.look(|core| {
        let sees =
            |name: &&Name| may(core, visitor.person.as_ref(), Action::See, &(*name).clone().of(Kind::Credential));
        let (names, next) = part.of(core.credentials_of(&name).filter(sees).cloned());
        (names.iter().filter_map(|name| Credential::of(core, name)).collect(), next)
    });
    Ok(List::<Credential> { items, next }.answer(&uri))
}

/// A new key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewCredential {
    /// What people call it.
    #[schemars(length(max = 128))]
    title: Option<String>,
    /// Where it is for; without it for the first environment that serves what is subscribed to.
    environment: Option<Object<Ref>>,
}

/// Makes another key.
pub(super) async fn new_key(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    sent: Sent<NewCredential>,
) -> Result<Response, Oops> {
    let (person, name) = (person(&visitor)?, name(&named));
    let NewCredential { title, environment } = sent.said;
    let environment = environment.map(|Object(environment)| environment.name().to_string());
    carry(&portal, person, &sent.once, |core| {
        act::credential::make(core, person, &name, environment.as_deref(), title.as_deref())
    })
    .await
}
