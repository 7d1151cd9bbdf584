//! Wishes that wait until somebody else has looked at them: for those who let them in, and for those who wait.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use portico_core::Core;
use portico_core::batch::Spec;
use portico_crds::RequestedScope;
use serde::Deserialize;

use crate::error::Oops;
use crate::form::Posted;
use crate::gather::inbox::impact;
use crate::past::Changed;
use crate::people::Person;
use crate::portal::{Portal, Visitor};
use crate::review::{self, Concerned, PATIENCE, Untaken};
use crate::told::told;
use crate::ui::{Frame, Place, badge, notice, page, when};
use crate::waiting::{Fate, Verdict, Waiting};
use crate::wish;
use crate::words::{self, Tone};

/// So many are shown.
const MOST: usize = 100;

/// The page that follows a wish.
pub(crate) fn address(id: &str) -> String {
    format!("/requests/waiting/{id}")
}

/// A wish, as somebody sees it.
struct Seen {
    waiting: Waiting,
    /// What it would change, in words.
    told: Vec<(String, String)>,
    /// What taking it in gives.
    impact: Vec<String>,
    /// Scopes that are asked for, with the reasons.
    scopes: Vec<RequestedScope>,
    untaken: Option<Untaken>,
}

fn see(core: &Core, person: &Person, waiting: Waiting) -> Option<Seen> {
    if !review::sees(core, person, &waiting) {
        return None;
    }
    let told = waiting.changed.iter().map(|one| (one.key.to_string(), told(one).join("; "))).collect();
    let plans = Concerned::by(core, &waiting.changed).plans;
    let scopes = waiting.changed.iter().filter_map(|Changed { after, .. }| match after.as_ref().map(|one| &one.spec) {
        Some(Spec::Subscription(spec)) => Some(spec.scopes.clone()),
        _ => None,
    });
    Some(Seen {
        told,
        impact: plans.iter().flat_map(|plan| impact(core, plan)).collect(),
        scopes: scopes.flatten().collect(),
        untaken: review::takes_in(core, person, &waiting).err(),
        waiting,
    })
}

/// What waits, if anything waits here at all; `Err` is why that cannot be told now.
async fn all(portal: &Portal) -> Result<Vec<Waiting>, String> {
    if !portal.reading.look(review::is_asked) {
        return Ok(Vec::new());
    }
    match tokio::time::timeout(PATIENCE, portal.host.waiting()).await {
        Ok(waiting) => waiting.map_err(|error| error.to_string()),
        Err(_) => Err("the repository does not answer".to_owned()),
    }
}

fn untold(why: &str) -> Markup {
    notice(Tone::Warn, &html! { p { "What waits for a review cannot be listed now: " (why) "." } })
}

/// What waits for somebody to let it in.
pub(super) async fn inbox(portal: &Portal, frame: &Frame, person: &Person) -> Markup {
    let waiting = match all(portal).await {
        Ok(waiting) => waiting,
        Err(why) => return untold(&why),
    };
    let seen: Vec<Seen> = portal.reading.look(|core| {
        let theirs = waiting.into_iter().filter(|one| !person.is(&one.mail));
        theirs.filter_map(|one| see(core, person, one)).take(MOST).collect()
    });
    html! {
        @if !seen.is_empty() {
            section.stack aria-labelledby="review" {
                h2 #review { (words::count(seen.len(), "change")) " to be looked at" }
                p.muted { "Each is a branch in Git. Nothing of it holds before somebody lets it in." }
                @for (number, one) in seen.iter().enumerate() { (card(frame, one, number, true)) }
            }
        }
    }
}

/// What somebody waits for.
pub(super) async fn mine(portal: &Portal, person: &Person) -> Markup {
    let waiting = match all(portal).await {
        Ok(waiting) => waiting,
        Err(why) => return untold(&why),
    };
    let mine: Vec<&Waiting> = waiting.iter().filter(|one| person.is(&one.mail)).take(MOST).collect();
    html! {
        @if !mine.is_empty() {
            section.stack aria-labelledby="waiting" {
                h2 #waiting { "Waiting for a review" }
                ul.stack-tight.bare {
                    @for one in mine { li { a href=(address(&one.id)) { (one.summary) } " " span.small.muted { "since " (when(one.since)) } } }
                }
            }
        }
    }
}

/// A wish; `number` tells it from the others of the page.
fn card(frame: &Frame, seen: &Seen, number: usize, is_linked: bool) -> Markup {
    let Seen { waiting, told, impact, scopes, untaken } = seen;
    let heading = |text: &str| html! { @if is_linked { h4 { (text) } } @else { h3 { (text) } } };
    html! {
        article.card {
            div.row.between {
                @if is_linked { h3 { a href=(address(&waiting.id)) { (waiting.summary) } } } @else { h2 { (waiting.summary) } }
                span.small.muted { "Since " (when(waiting.since)) }
            }
            p.muted { "By " (waiting.name) " <" (waiting.mail) "> · branch " code { (waiting.branch) } }
            div.stack-tight {
                (heading("What it changes"))
                ul { @for (object, text) in told { li { (text) " " span.small.muted { (object) } } } }
            }
            @if !scopes.is_empty() {
                div.stack-tight {
                    (heading("Scopes it asks for"))
                    ul { @for scope in scopes {
                        li { (scope.name) @if let Some(reason) = &scope.reason { span.muted { " – “" (reason) "”" } } }
                    } }
                }
            }
            @if !impact.is_empty() {
                div.stack-tight {
                    (heading("What letting it in gives"))
                    ul { @for one in impact { li { (one) } } }
                    p.small.muted { "Where a plan has to be granted, that is asked for next." }
                }
            }
            @match untaken {
                None => (verdicts(frame, waiting, number)),
                Some(untaken) => p.small.muted { (untaken.says()) },
            }
        }
    }
}

fn verdicts(frame: &Frame, waiting: &Waiting, number: usize) -> Markup {
    let to = address(&waiting.id);
    html! {
        div.row {
            form method="post" action=(format!("{to}/take-in")) {
                (frame.csrf())
                input type="hidden" name="seen" value=(waiting.commit);
                button.button.first type="submit" { "Let it in" span.hidden-visually { ": " (waiting.summary) } }
            }
            details.more {
                summary.button { "Turn it down" span.hidden-visually { ": " (waiting.summary) } }
                form.stack method="post" action=(format!("{to}/decline")) {
                    (frame.csrf())
                    input type="hidden" name="seen" value=(waiting.commit);
                    div.field {
                        label for=(format!("why-{number}")) { "Why, for whoever has asked" }
                        textarea id=(format!("why-{number}")) name="reason" maxlength="4096" required {}
                    }
                    div { button.button.danger type="submit" { "Turn it down" } }
                }
            }
        }
    }
}

/// Shows what became of a wish.
pub(crate) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Response, Oops> {
    let person = visitor.person.as_ref().ok_or(Oops::NotFound)?;
    let fate = review::fate(&portal, &id).await?;
    let frame = portal.reading.look(|core| Frame::of(&portal, core, &visitor));
    let (title, state, body) = match fate {
        Fate::Waiting(waiting) => {
            let seen = portal.reading.look(|core| see(core, person, *waiting)).ok_or(Oops::NotFound)?;
            let body = html! {
                p.lead { "It is written down, on a branch of its own. It holds once somebody who answers for it has let it in." }
                (card(&frame, &seen, 0, false))
                div { a.button href="" { "Look again" } }
            };
            ("Waiting for a review", ("Waiting", Tone::Warn), body)
        }
        Fate::TakenIn { commit, by, at } => {
            let body = html! {
                p.lead { (by) " has let it in on " (when(at)) "." }
                p { "Commit " (super::history::commit(&commit, None)) }
                div { a.button.first href="/applications" { "My applications" } }
            };
            ("It was let in", ("Let in", Tone::Good), body)
        }
        Fate::Declined { commit, by, at, reason } => {
            let body = html! {
                p.lead { (by) " has turned it down on " (when(at)) "." }
                (notice(Tone::Bad, &html! { p { (reason) } }))
                p { "Commit " (super::history::commit(&commit, None)) }
            };
            ("It was turned down", ("Turned down", Tone::Bad), body)
        }
        Fate::Unknown => return Err(Oops::NotFound),
    };
    let body = html! {
        div.narrow.stack-wide {
            div.head { div.row { h1 { (title) } (badge(state)) } }
            (body)
        }
    };
    Ok(page(&frame, Place::Requests, title, &body))
}

/// That somebody has looked at a wish.
#[derive(Debug, Deserialize)]
pub(crate) struct Yes {
    seen: String,
}

/// That it should not be, and why.
#[derive(Debug, Deserialize)]
pub(crate) struct No {
    seen: String,
    reason: String,
}

/// Lets a wish in.
pub(crate) async fn take_in(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Posted(Yes { seen }): Posted<Yes>,
) -> Result<Response, Oops> {
    answer(&portal, &visitor, id, seen, None).await
}

/// Turns a wish down.
pub(crate) async fn decline(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Posted(No { seen, reason }): Posted<No>,
) -> Result<Response, Oops> {
    let reason = reason.trim().to_owned();
    if !(1..=4096).contains(&reason.chars().count()) {
        return Err(Oops::Bad("Give a reason: whoever has asked reads it.".to_owned()));
    }
    answer(&portal, &visitor, id, seen, Some(reason)).await
}

async fn answer(
    portal: &Portal,
    visitor: &Visitor,
    id: String,
    seen: String,
    reason: Option<String>,
) -> Result<Response, Oops> {
    let person = visitor.person.as_ref().ok_or(Oops::NotFound)?;
    let waiting =
        all(portal).await.map_err(|why| Oops::Unavailable(format!("It cannot be told what waits: {why}.")))?;
    let waiting = waiting.into_iter().find(|one| one.id == id).ok_or(Oops::NotFound)?;
    portal.reading.look(|core| {
        if !review::sees(core, person, &waiting) {
            return Err(Oops::NotFound);
        }
        review::takes_in(core, person, &waiting).map_err(|untaken| Oops::Forbidden(untaken.says().to_owned()))
    })?;
    // What may be let in is what was looked at just now, whatever the form says.
    if waiting.commit != seen {
        return Err(Oops::Bad("It has changed in the meantime: look at it again.".to_owned()));
    }
    let verdict = Verdict { id, seen, name: person.name.clone(), mail: person.mail.clone(), reason };
    let landed = portal.host.answer(verdict).await.map_err(wish::refused)?;
    wish::settle(portal, &landed.commit).await;
    Ok(Redirect::to("/requests").into_response())
}
