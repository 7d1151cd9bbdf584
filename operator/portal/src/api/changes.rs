//! What became of a write: committed, read, enforced; or waiting until somebody else has looked at it.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::{Extension, Json};
use futures::stream::{self, BoxStream};
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
use crate::review::{self, fate};
use crate::waiting::Fate;

/// How often it is asked whether somebody has looked at what waits: the repository may be far away.
const AGAIN: Duration = Duration::from_secs(10);

/// How far a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) enum Progress {
    /// It waits on a branch of its own until somebody who answers for it has looked at it: nothing of it holds.
    InReview,
    /// Somebody has looked at it, and has turned it down.
    Declined,
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
    /// The commit that it became; where it waits for a review, that of its branch.
    pub(super) commit: String,
    pub(super) progress: Progress,
    /// Whether nothing comes after this.
    pub(super) is_final: bool,
    /// Of which kind the object is that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<About>,
    /// The object that it is about.
    pub(super) object: Ref,
    /// By which it is followed, where it has to wait for a review.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) review: Option<String>,
    /// Why it was turned down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
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
            review: None,
            reason: None,
        }
    }

    /// One that waits.
    pub(super) fn waiting(commit: &str, about: &ObjectKey, id: &str) -> Change {
        let change = Change::new(commit, about, Reached::Written);
        Change { progress: Progress::InReview, review: Some(id.to_owned()), ..change }
    }

    fn declined(commit: &str, about: &ObjectKey, id: &str, reason: String) -> Change {
        let change = Change::waiting(commit, about, id);
        Change { progress: Progress::Declined, is_final: true, reason: Some(reason), ..change }
    }
}

/// How far a commit is, which may have waited for a review.
pub(super) async fn change(
    portal: &Portal,
    person: &Person,
    commit: &str,
    about: &ObjectKey,
    review: Option<&str>,
) -> Result<Change, Oops> {
    let reached = async |commit: &str| follow::reached(portal, Some(person), commit, about).await;
    let Some(id) = review else { return Ok(Change::new(commit, about, reached(commit).await?)) };
    match looked_at(portal, person, about, id).await? {
        Looked::Told(change) => Ok(change),
        Looked::TakenIn(commit) => {
            let change = Change::new(&commit, about, reached(&commit).await?);
            Ok(Change { review: Some(id.to_owned()), ..change })
        }
    }
}

/// What came of a review so far.
enum Looked {
    Told(Change),
    /// It has landed as this commit.
    TakenIn(String),
}

async fn looked_at(portal: &Portal, person: &Person, about: &ObjectKey, id: &str) -> Result<Looked, Oops> {
    match fate(portal, id).await? {
        Fate::Waiting(waiting) if portal.reading.look(|core| review::sees(core, person, &waiting)) => {
            Ok(Looked::Told(Change::waiting(&waiting.commit, about, id)))
        }
        Fate::TakenIn { commit, by: _, at: _ } => Ok(Looked::TakenIn(commit)),
        Fate::Declined { commit, by: _, at: _, reason } => {
            Ok(Looked::Told(Change::declined(&commit, about, id, reason)))
        }
        Fate::Waiting(_) | Fate::Unknown => Err(Oops::NotFound),
    }
}

/// Where a change is followed.
pub(super) fn address(commit: &str, about: &ObjectKey, review: Option<&str>) -> String {
    let (kind, name) = (about.kind.to_string(), about.name.to_string());
    let review = review.map(|id| ("review", id));
    let pairs: Vec<(&str, &str)> = [("kind", kind.as_str()), ("name", &name)].into_iter().chain(review).collect();
    let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
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
    /// By which it is followed, where it has to wait for a review: `review` of the change.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,64}$"))]
    review: Option<String>,
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
    let key = followed(&commit, &about)?;
    change(&portal, person(&visitor)?, &commit, &key, about.review.as_deref()).await.map(Json)
}

/// Tells every step as it is reached, until the last.
pub(super) async fn events(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(commit): Path<String>,
    Asked(about): Asked<Followed>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Oops> {
    let key = followed(&commit, &about)?;
    let told = steps(portal, visitor, commit, key, about.review).map(|change| {
        // What serializes to JSON does so here: it is made of words.
        Ok(Event::default().event("change").json_data(change).unwrap_or_default())
    });
    Ok(Sse::new(told).keep_alive(KeepAlive::default()))
}

/// Where somebody is who follows a change.
enum At {
    /// It waits, which was told already or not.
    Review {
        id: String,
        is_told: bool,
    },
    /// It is on the branch.
    Branch {
        commit: String,
        steps: BoxStream<'static, Reached>,
    },
    End,
}

/// Every step from now on, as it is reached.
fn steps(
    portal: Portal,
    visitor: Visitor,
    commit: String,
    about: ObjectKey,
    review: Option<String>,
) -> impl Stream<Item = Change> {
    let branch = {
        let (portal, visitor, about) = (portal.clone(), visitor.clone(), about.clone());
        move |commit: String| {
            let steps = follow::steps(portal.clone(), visitor.clone(), commit.clone(), about.clone()).boxed();
            At::Branch { commit, steps }
        }
    };
    let begin = match &review {
        Some(id) => At::Review { id: id.clone(), is_told: false },
        None => branch(commit),
    };
    stream::unfold((begin, branch), move |(mut at, branch)| {
        let (portal, visitor, about, review) = (portal.clone(), visitor.clone(), about.clone(), review.clone());
        async move {
            loop {
                at = match at {
                    At::End => return None,
                    At::Branch { commit, mut steps } => {
                        let change = Change::new(&commit, &about, steps.next().await?);
                        return Some((Change { review, ..change }, (At::Branch { commit, steps }, branch)));
                    }
                    At::Review { id, is_told } => {
                        if is_told {
                            tokio::time::sleep(AGAIN).await;
                        }
                        let person = follow::still(&portal, &visitor).await?;
                        match looked_at(&portal, &person, &about, &id).await.ok()? {
                            Looked::TakenIn(commit) => branch(commit),
                            Looked::Told(change) if change.is_final => return Some((change, (At::End, branch))),
                            Looked::Told(_) if is_told => At::Review { id, is_told },
                            Looked::Told(change) => return Some((change, (At::Review { id, is_told: true }, branch))),
                        }
                    }
                }
            }
        }
    })
}
