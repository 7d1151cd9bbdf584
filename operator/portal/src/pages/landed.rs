//! What became of a wish: written down, read, enforced. It is shown live, and without scripts by loading the page again.

use std::convert::Infallible;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use futures::future::ready;
use futures::{Stream, StreamExt};
use maud::html;
use portico_core::key::{Kind, Name};
use serde::Deserialize;

use crate::assets;
use crate::error::Oops;
use crate::follow::{self, Reached};
use crate::portal::{Portal, Visitor};
use crate::ui::{Frame, Place, page};

/// A step as scripts know it.
fn word(reached: Reached) -> &'static str {
    match reached {
        Reached::Written => "written",
        Reached::Read | Reached::Unseen => "read",
        Reached::Done => "done",
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

/// How far it is, for a page about something that the visitor may see.
async fn reached(portal: &Portal, visitor: &Visitor, commit: &str, subscription: &Name) -> Result<Reached, Oops> {
    let about = subscription.clone().of(Kind::Subscription);
    match follow::reached(portal, visitor.person.as_ref(), commit, &about).await? {
        Reached::Unseen => Err(Oops::NotFound),
        reached => Ok(reached),
    }
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
    let is_synced = portal.host.is_synced();
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
            div.head {
                h1 { "One moment" }
                p.lead { "It is written down. This page goes on by itself." }
                @if is_synced {
                    p.muted { "Whoever syncs the repository brings it here, which can take some minutes. You need not wait: nothing is lost." }
                }
            }
            div data-follow=(events) role="status" {
                ol.progress {
                    li.done data-step="written" { "Written down, as commit " code { (commit.chars().take(12).collect::<String>()) } }
                    (step("read", Reached::Written, if is_synced { "Synced into the cluster" } else { "Read by Portico" }))
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
    let steps = follow::steps(portal, visitor, commit, subscription.of(Kind::Subscription));
    let seen = steps.take_while(|reached| ready(*reached != Reached::Unseen));
    let told = seen.map(|reached| Ok(Event::default().event("step").data(word(reached))));
    Sse::new(told).keep_alive(KeepAlive::default())
}
