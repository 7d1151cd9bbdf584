//! What became of a wish: written down, read, enforced. It is shown live, and without scripts by loading the page again.

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use futures::stream::{self, Stream};
use maud::html;
use portico_core::key::{Kind, Name};
use portico_crds::Phase;
use serde::Deserialize;

use crate::assets;
use crate::error::Oops;
use crate::gather::state;
use crate::may::{Action, may};
use crate::portal::{Portal, Visitor};
use crate::ui::{Frame, Place, page};

/// How often it is looked at in any case: a commit may be read that changes nothing here.
pub(crate) const LOOK: Duration = Duration::from_millis(250);

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Written,
    Read,
    Done,
}

impl Reached {
    fn word(self) -> &'static str {
        match self {
            Reached::Written => "written",
            Reached::Read => "read",
            Reached::Done => "done",
        }
    }
}

/// What it is about.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct About {
    namespace: String,
    name: String,
}

/// The page that follows a commit, for a subscription.
pub(super) fn address(commit: &str, subscription: &Name) -> String {
    let about = [("namespace", subscription.namespace()), ("name", subscription.name())];
    format!("/landed/{commit}?{}", serde_urlencoded::to_string(about).unwrap_or_default())
}

async fn reached(portal: &Portal, visitor: &Visitor, commit: &str, subscription: &Name) -> Result<Reached, Oops> {
    let is_read = portal.host.has_read(commit).await.map_err(|error| Oops::Unavailable(error.to_string()))?;
    if !is_read {
        return Ok(Reached::Written);
    }
    portal.reading.look(|core| {
        let key = subscription.clone().of(Kind::Subscription);
        if !may(core, visitor.person.as_ref(), Action::See, &key) {
            return Err(Oops::NotFound);
        }
        let standing = state::subscription(core, subscription).ok_or(Oops::NotFound)?;
        let has_access = matches!(standing.phase, Phase::Active | Phase::PendingCancellation);
        let credentials = core.credentials_of(subscription).filter_map(|name| state::credential(core, name));
        // Whoever waits for somebody need not wait here.
        let is_done = !has_access || (standing.works && credentials.into_iter().all(|one| !one.is_being_made()));
        Ok(if is_done { Reached::Done } else { Reached::Read })
    })
}

/// Shows how far it is, and goes on to the subscription once it is there.
pub(crate) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(commit): Path<String>,
    Query(about): Query<About>,
) -> Result<Response, Oops> {
    let subscription = Name::new(about.namespace.as_str(), about.name.as_str());
    let reached = reached(&portal, &visitor, &commit, &subscription).await?;
    if reached == Reached::Done {
        return Ok(Redirect::to(&crate::gather::address("subscriptions", &subscription)).into_response());
    }
    let frame = portal.reading.look(|core| Frame::of(&portal, core, &visitor));
    let events = format!(
        "/landed/{commit}/events?{}",
        serde_urlencoded::to_string([("namespace", &about.namespace), ("name", &about.name)]).unwrap_or_default()
    );
    let step = |name: &str, at: Reached, text: &str| {
        let class = match reached.cmp(&at) {
            std::cmp::Ordering::Less => "",
            std::cmp::Ordering::Equal => "now",
            std::cmp::Ordering::Greater => "done",
        };
        html! { li class=(class) data-step=(name) { (text) } }
    };
    let body = html! {
        div.narrow.stack-wide {
            div.head { h1 { "One moment" } p.lead { "It is written down. This page goes on by itself." } }
            div data-follow=(events) role="status" {
                ol.progress {
                    li.done data-step="written" { "Written down, as commit " code { (commit.chars().take(12).collect::<String>()) } }
                    (step("read", Reached::Written, "Read by Portico"))
                    (step("done", Reached::Read, "Enforced by the gateway"))
                }
            }
            p { a.button href="" { "Look again" } }
        }
        noscript { meta http-equiv="refresh" content="2"; }
        script type="module" src=(assets::address("follow.js")) {}
    };
    Ok(page(&frame, Place::Applications, "One moment", &body))
}

/// Tells how far it is, whenever that changes.
pub(crate) async fn events(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(commit): Path<String>,
    Query(about): Query<About>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let subscription = Name::new(about.namespace, about.name);
    let changes = portal.reading.changes();
    let start = (portal, visitor, changes, None::<Reached>);
    let told = stream::unfold(start, move |(portal, visitor, mut changes, before)| {
        let (commit, subscription) = (commit.clone(), subscription.clone());
        async move {
            if before == Some(Reached::Done) {
                return None;
            }
            loop {
                // Whoever is signed out or suspended meanwhile is told nothing more.
                let visitor = portal.reading.look(|core| portal.again(core, &visitor));
                visitor.person.as_ref()?;
                let now = reached(&portal, &visitor, &commit, &subscription).await.ok()?;
                if Some(now) != before {
                    let event = Event::default().event("step").data(now.word());
                    return Some((Ok(event), (portal, visitor, changes, Some(now))));
                }
                tokio::select! {
                    changed = changes.changed() => changed.ok()?,
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        }
    });
    Sse::new(told).keep_alive(KeepAlive::default())
}
