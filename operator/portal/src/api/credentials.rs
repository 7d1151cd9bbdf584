//! Keys. What a key says is told by one address only, by the same rule as on its page.

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use portico_core::key::{Kind, Name};
use schemars::JsonSchema;
use serde::Deserialize;

use super::accepted::carry;
use super::sent::{Bare, List, Listed, Sent};
use super::version::unchanged;
use super::view::{Credential, Place, RevealedKey};
use super::{named, person};
use crate::act;
use crate::act::credential::{Change, Revealed};
use crate::error::Oops;
use crate::gather::consumer;
use crate::may::{Action, may};
use crate::pages::{Named, name};
use crate::portal::{Portal, Visitor};

/// Which keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sought {
    /// The application that it is of, as NAMESPACE/NAME.
    #[schemars(regex(pattern = r"^[a-z0-9.-]{1,253}/[a-z0-9.-]{1,253}$"))]
    application: Option<String>,
}

/// Keys of one's teams, without what they say.
pub(super) async fn list(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
    Listed { sought: Sought { application }, part }: Listed<Sought>,
) -> Result<Response, Oops> {
    let wanted = application.map(|application| named("application", &application)).transpose()?;
    let person = person(&visitor)?;
    let (items, next) = portal.reading.look(|core| {
        let sees = |name: &Name| may(core, Some(person), Action::See, &name.clone().of(Kind::Credential));
        let applications = consumer::applications(core, person, |_| true);
        let wanted = applications.iter().filter(|one| wanted.as_ref().is_none_or(|wanted| wanted == *one));
        let mut names: Vec<Name> = Vec::new();
        for application in wanted {
            names.extend(core.credentials_of_application(application).cloned());
            for subscription in core.subscriptions_by(application) {
                names.extend(core.credentials_of(subscription).cloned());
            }
        }
        names.retain(sees);
        let (names, next) = part.of(names);
        (names.iter().filter_map(|name| Credential::of(core, name)).collect(), next)
    });
    Ok(List::<Credential> { items, next }.answer(&uri))
}

/// A key, without what it says.
pub(super) async fn show(State(portal): State<Portal>, Path(named): Named) -> Result<Json<Credential>, Oops> {
    portal.reading.look(|core| Credential::of(core, &name(&named))).map(Json).ok_or(Oops::NotFound)
}

/// What is to be different; what is not named stays (RFC 7396).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CredentialPatch {
    /// What people call it.
    #[schemars(length(min = 1, max = 128))]
    title: Option<String>,
    /// Whether it opens nothing for the time being.
    disabled: Option<bool>,
}

/// Renames a key, switches it off or on.
pub(super) async fn patch(
    state: State<Portal>,
    visitor: Extension<Visitor>,
    path: Named,
    sent: Sent<CredentialPatch>,
) -> Result<Response, Oops> {
    let CredentialPatch { title, disabled } = sent.said;
    let mut changes: Vec<Change> = title.map(Change::Rename).into_iter().collect();
    changes.extend(disabled.map(|off| if off { Change::Disable } else { Change::Enable }));
    if changes.is_empty() {
        return Err(Oops::Bad("Name what is to be different: `title` or `disabled`.".to_owned()));
    }
    change(state, visitor, path, Bare { once: sent.once, headers: sent.headers }, &changes).await
}

/// Makes another key; the old one goes on for the overlap.
pub(super) async fn rotate(
    state: State<Portal>,
    visitor: Extension<Visitor>,
    path: Named,
    bare: Bare,
) -> Result<Response, Oops> {
    change(state, visitor, path, bare, &[Change::Rotate]).await
}

/// Makes another key; the old one is dead at once.
pub(super) async fn regenerate(
    state: State<Portal>,
    visitor: Extension<Visitor>,
    path: Named,
    bare: Bare,
) -> Result<Response, Oops> {
    change(state, visitor, path, bare, &[Change::Regenerate]).await
}

async fn change(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Bare { once, headers }: Bare,
    changes: &[Change],
) -> Result<Response, Oops> {
    let (person, name) = (person(&visitor)?, name(&named));
    carry(&portal, person, &once, |core| {
        unchanged(&headers, &Credential::of(core, &name))?;
        act::credential::change(core, &name, changes)
    })
    .await
}

/// Ends a key for good.
pub(super) async fn revoke(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Bare { once, headers }: Bare,
) -> Result<Response, Oops> {
    let (person, name) = (person(&visitor)?, name(&named));
    carry(&portal, person, &once, |core| {
        unchanged(&headers, &Credential::of(core, &name))?;
        act::credential::revoke(core, &name)
    })
    .await
}

/// Tells what a key says: once, unless its plan lets it be shown again.
pub(super) async fn reveal(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
) -> Result<Response, Oops> {
    let (person, name) = (person(&visitor)?, name(&named));
    let Revealed { generation, made_at: _, key, shows_again } = act::credential::reveal(&portal, person, &name).await?;
    let places = portal.reading.look(|core| Place::all(core, &name));
    Ok(Json(RevealedKey { key: key.expose().to_owned(), generation, shows_again, places }).into_response())
}
