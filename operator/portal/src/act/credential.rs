//! Keys: making them, seeing them, changing them, ending them.

use jiff::Timestamp;
use portico_core::Core;
use portico_core::api_key::ApiKey;
use portico_core::batch::Spec;
use portico_core::key::{Kind, Name};
use portico_core::look;
use portico_crds::{CredentialSpec, LocalRef, Stage, SubscriptionStage};
use serde_json::json;

use super::{Deed, refer};
use crate::error::Oops;
use crate::gather::consumer::{Subscription, subscription};
use crate::gather::offer::is_taken;
use crate::gather::state;
use crate::host::{Edit, HostError, Key};
use crate::people::Person;
use crate::portal::Portal;
use crate::wish;

/// A credential for a subscription.
pub(crate) fn spec(subscription: &Name, environment: &Name, title: Option<String>) -> CredentialSpec {
    CredentialSpec {
        subscription: Some(LocalRef { name: subscription.name().to_string() }),
        application: None,
        environment: refer(environment, subscription.namespace()),
        title,
        generation: 1,
        import: None,
        overlap: None,
        rotate_every: None,
        expires_at: None,
        disabled: false,
        deliver_to: None,
        jwks_uri: None,
        external_client_id: None,
    }
}

/// Environments that a key of a subscription can be for.
pub(crate) fn environments(core: &Core, shown: &Subscription) -> Vec<(Name, String)> {
    let wanted = if shown.standing.stage == SubscriptionStage::Production { Stage::Production } else { Stage::Sandbox };
    let mut found: Vec<(Name, String)> = Vec::new();
    for place in shown.addresses.iter().filter(|place| place.stage == wanted || core.environments().count() == 1) {
        if !found.iter().any(|(known, _)| *known == place.name) {
            found.push((place.name.clone(), place.environment.clone()));
        }
    }
    found
}

/// Makes another key of a subscription. Without an environment it is for the first.
pub(crate) fn make(
    core: &Core,
    person: &Person,
    of: &Name,
    environment: Option<&str>,
    title: Option<&str>,
) -> Result<Deed, Oops> {
    let title = title.map(str::trim).filter(|title| !title.is_empty());
    if title.is_some_and(|title| title.chars().count() > 128) {
        return Err(Oops::Bad("A name has at most 128 characters.".to_owned()));
    }
    let shown = subscription(core, Some(person), of).ok_or(Oops::NotFound)?;
    let open = environments(core, &shown);
    let first = open.first().ok_or_else(|| Oops::Bad("No environment serves what it subscribes to yet.".to_owned()))?;
    let (environment, _) = match environment.filter(|wanted| !wanted.is_empty()) {
        None => first,
        Some(wanted) => open
            .iter()
            .find(|(one, _)| one.to_string() == wanted)
            .ok_or_else(|| Oops::Bad("A key of this subscription cannot be for that environment.".to_owned()))?,
    };
    let called = title.map_or_else(|| of.name().to_string(), |title| format!("{}-{title}", of.name()));
    let taken = |short: &str| is_taken(core, Kind::Credential, of.namespace(), short);
    let credential = of.beside(wish::name(&called, "key", taken));
    let spec = spec(of, environment, title.map(str::to_owned));
    Ok(Deed {
        summary: format!("{}: make a key", shown.application_title),
        edits: vec![wish::put(credential.clone(), Spec::Credential(Box::new(spec)))],
        about: credential.of(Kind::Credential),
    })
}

/// What to do with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Another key; the old one goes on for the overlap.
    Rotate,
    /// Another key; the old one is dead at once.
    Regenerate,
    /// It opens nothing until it is switched on.
    Disable,
    /// It works again.
    Enable,
    /// What people call it.
    Rename(String),
}

/// Does something with a key; several things at once, where there are several.
pub(crate) fn change(core: &Core, name: &Name, changes: &[Change]) -> Result<Deed, Oops> {
    let credential = state::credential(core, name).ok_or(Oops::NotFound)?;
    let key = name.clone().of(Kind::Credential);
    let set = |path, value| Edit::Set { key: key.clone(), path, value };
    let unset = |path| Edit::Unset { key: key.clone(), path };
    let next = || set("spec.generation", json!(credential.asked + 1));
    let called = &credential.title;
    let (mut summaries, mut edits) = (Vec::new(), Vec::new());
    for change in changes {
        let (summary, mut more) = match change {
            Change::Rotate if credential.ends_at_once => {
                (format!("Rotate key {called}"), vec![unset("spec.overlap"), next()])
            }
            Change::Rotate => (format!("Rotate key {called}"), vec![next()]),
            Change::Regenerate => (format!("Regenerate key {called}"), vec![set("spec.overlap", json!("0s")), next()]),
            Change::Disable => (format!("Switch key {called} off"), vec![set("spec.disabled", json!(true))]),
            Change::Enable => (format!("Switch key {called} on"), vec![unset("spec.disabled")]),
            Change::Rename(title) => {
                let title = title.trim();
                if !(1..=128).contains(&title.chars().count()) {
                    return Err(Oops::Bad("A name has between 1 and 128 characters.".to_owned()));
                }
                (format!("Rename key {called} to {title}"), vec![set("spec.title", json!(title))])
            }
        };
        summaries.push(summary);
        edits.append(&mut more);
    }
    Ok(Deed { summary: summaries.join("; "), edits, about: key })
}

/// Ends it for good.
pub(crate) fn revoke(core: &Core, name: &Name) -> Result<Deed, Oops> {
    let credential = state::credential(core, name).ok_or(Oops::NotFound)?;
    let key = name.clone().of(Kind::Credential);
    let summary = format!("Revoke key {}", credential.title);
    Ok(Deed { summary, edits: vec![Edit::Delete(key.clone())], about: key })
}

/// A key that somebody sees.
#[derive(Clone, Debug)]
pub(crate) struct Revealed {
    pub(crate) generation: i64,
    pub(crate) made_at: Timestamp,
    pub(crate) key: ApiKey,
    /// Whether it may be shown again.
    pub(crate) shows_again: bool,
}

/// Shows the newest key of a credential: once, unless every plan that it opens lets it be shown again.
pub(crate) async fn reveal(portal: &Portal, person: &Person, name: &Name) -> Result<Revealed, Oops> {
    let shows_again = portal.reading.look(|core| shows_again(core, name));
    let unavailable = |error: HostError| Oops::Unavailable(error.to_string());
    let Some(Key { generation, made_at, key }) = portal.host.keys(name).await.map_err(unavailable)?.into_iter().next()
    else {
        return Err(Oops::Bad("There is no key yet.".to_owned()));
    };
    let is_first = portal.host.shown(&key.fingerprint()).await.map_err(unavailable)?;
    if !is_first && !shows_again {
        return Err(Oops::Bad(
            "This key was shown once already, and is not shown again. Rotate it to get another.".to_owned(),
        ));
    }
    tracing::info!(credential = %name, generation, by = person.mail, "a key was shown");
    Ok(Revealed { generation, made_at, key, shows_again })
}

/// Whether every plan that a credential opens lets its key be shown again.
pub(crate) fn shows_again(core: &Core, name: &Name) -> bool {
    let subscription = core.credential(name).and_then(|spec| spec.subscription);
    let subscriptions: Vec<Name> = match (subscription, core.application_of(name)) {
        (Some(one), _) => vec![name.beside(one.name)],
        (None, Some(application)) => core.subscriptions_by(&application).cloned().collect(),
        (None, None) => Vec::new(),
    };
    let plans = subscriptions.iter().filter_map(|one| Some(look::resolve(&core.subscription(one)?.plan, one)));
    let rules: Vec<bool> = plans.filter_map(|plan| Some(core.plan(&plan)?.credentials.show_again)).collect();
    !rules.is_empty() && rules.into_iter().all(|again| again)
}
