//! What became of a write: committed, read, enforced.

use std::convert::Infallible;

use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::{Extension, Json};
use futures::{Stream, StreamExt};
use portico_core::key::{Kind, ObjectKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sent::Asked;
use super::view::Ref;
use super::{named, person};
use crate::error::Oops;
use crate::follow::{self, Reached};
use crate::people::Person;
use crate::portal::{Portal, Visitor};

/// How far a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) enum Progress {
    /// It is a commit, for good, and was not read yet.
    Committed,
    /// Portico has read the commit. Of an object that is not there any more nothing else is told.
    Read,
    /// Gateways have confirmed what it changes for the object, or have nothing to confirm.
    Enforced,
}

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) enum About {
    /// An application.
    Application,
    /// A subscription.
    Subscription,
    /// A credential.
    Credential,
}

impl About {
    fn of(kind: Kind) -> Option<About> {
        match kind {
            Kind::Application => Some(About::Application),
            Kind::Subscription => Some(About::Subscription),
            Kind::Credential => Some(About::Credential),
            _ => None,
        }
    }

    fn kind(self) -> Kind {
        match self {
            About::Application => Kind::Application,
            About::Subscription => Kind::Subscription,
            About::Credential => Kind::Credential,
        }
    }
}

/// A change that was asked for: a commit, and what it is about.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    /// The commit that it became.
    pub(super) commit: String,
    pub(super) progress: Progress,
    /// Whether nothing comes after this.
    pub(super) is_final: bool,
    /// Of which kind the object is that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<About>,
    /// The object that it is about.
    pub(super) object: Ref,
}

impl Change {
    fn new(commit: &str, about: &ObjectKey, reached: Reached) -> Change {
        Change {
            commit: commit.to_owned(),
            progress: match reached {
                Reached::Written => Progress::Committed,
                Reached::Read | Reached::Unseen => Progress::Read,
                Reached::Done => Progress::Enforced,
            },
            is_final: reached.is_last(),
            kind: About::of(about.kind),
            object: Ref::of(&about.name),
        }
    }
}

/// How far a commit is.
pub(super) async fn change(portal: &Portal, person: &Person, commit: &str, about: &ObjectKey) -> Result<Change, Oops> {
    Ok(Change::new(commit, about, follow::reached(portal, Some(person), commit, about).await?))
}

/// Where a change is followed.
pub(super) fn address(commit: &str, about: &ObjectKey) -> String {
    let kind = about.kind.to_string();
    let name = about.name.to_string();
    let query = serde_urlencoded::to_string([("kind", &kind), ("name", &name)]).unwrap_or_default();
    format!("/api/v1/changes/{commit}?{query}")
}

/// What a change is about.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Followed {
    /// Of which kind the object is.
    kind: About,
    /// Its name, as NAMESPACE/NAME.
    #[schemars(regex(pattern = r"^[a-z0-9.-]{1,253}/[a-z0-9.-]{1,253}$"))]
    name: String,
}

/// The commit and the object.
fn followed(commit: &str, about: &Followed) -> Result<ObjectKey, Oops> {
    if commit.len() != 40 || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Oops::NotFound);
    }
    Ok(named("name", &about.name)?.of(about.kind.kind()))
}

/// How far a change is.
pub(super) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(commit): Path<String>,
    Asked(about): Asked<Followed>,
) -> Result<Json<Change>, Oops> {
    let about = followed(&commit, &about)?;
    change(&portal, person(&visitor)?, &commit, &about).await.map(Json)
}

/// Tells every step as it is reached, until the last.
pub(super) async fn events(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(commit): Path<String>,
    Asked(about): Asked<Followed>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Oops> {
    let about = followed(&commit, &about)?;
    let steps = follow::steps(portal, visitor, commit.clone(), about.clone());
    let told = steps.map(move |reached| {
        let change = Change::new(&commit, &about, reached);
        // What serializes to JSON does so here: it is made of words.
        Ok(Event::default().event("change").json_data(change).unwrap_or_default())
    });
    Ok(Sse::new(told).keep_alive(KeepAlive::default()))
}
