//! Requests that wait for an owner's answer, and those that were told no and can be answered again.

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::plan_change::differences;
use crate::act::answer::why_not;
use crate::error::Oops;
use crate::gather::address;
use crate::gather::inbox::{self, Request, Requests, Which, Wish};
use crate::portal::{Portal, Visitor};
use crate::ui::{Frame, Place, Tab, badge, empty, notice, page, pages_of, tabs, when};
use crate::wish;
use crate::words::{self, Tone};

/// How many requests a page lists.
const PART: usize = 25;

/// Which requests, and which part of them.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    show: Option<String>,
    page: Option<usize>,
}

/// Requests to what somebody looks after.
pub(crate) async fn requests(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Query(Wanted { show, page: part }): Query<Wanted>,
) -> Result<Response, Oops> {
    let person = visitor.person.as_ref().ok_or(Oops::NotFound)?;
    let once = wish::form(&portal).await?;
    let which = if show.as_deref() == Some("refused") { Which::Refused } else { Which::Waiting };
    let part = part.unwrap_or(1).max(1);
    let (frame, found) = portal.reading.look(|core| {
        let found = inbox::requests(core, person, which, (part - 1).saturating_mul(PART), PART);
        (Frame::of(&portal, core, &visitor), found)
    });
    let review = super::review::inbox(&portal, &frame, person).await;
    let how = How { once: &once, writes: portal.host.writes(), picks: false, from: "requests" };
    let base = match which {
        Which::Waiting => "/requests?",
        Which::Refused => "/requests?show=refused&",
    };
    let tab = |text: &str, to: &str, is: Which| Tab { text: text.to_owned(), to: to.to_owned(), is_here: which == is };
    let body = html! {
        div.head {
            h1 { "Requests" }
            p.lead { "Who wants access to what you look after. What you grant is what is enforced, and nothing else." }
        }
        (tabs("Which requests", &[
            tab("Waiting", "/requests", Which::Waiting),
            tab("Told no, or not yet", "/requests?show=refused", Which::Refused),
        ]))
        div.stack-wide {
            @if which == Which::Waiting { (review) }
            (list(&frame, &found, which, &how))
            (pages_of(base, part, found.all.div_ceil(PART)))
        }
    };
    Ok(page(&frame, Place::Requests, "Requests", &body))
}

fn list(frame: &Frame, found: &Requests, which: Which, how: &How<'_>) -> Markup {
    let Requests { part, all, mine: may_answer } = found;
    let (mine, others): (Vec<_>, Vec<_>) = part.iter().partition(|request| request.undecided.is_none());
    let picks = how.writes && mine.len() > 1 && which == Which::Waiting;
    html! {
        @if mine.is_empty() && which == Which::Waiting && *may_answer == 0 {
            (empty("Nothing waits for you", &html! { p { "Requests turn up here as soon as somebody asks." } }))
        }
        @if *all == 0 && which == Which::Refused {
            (empty("Nobody was told no", &html! { p { "What you turn down, or ask changes for, stays here, and can be answered again." } }))
        }
        @if !mine.is_empty() {
            section.stack aria-labelledby="mine" {
                h2 #mine { (words::count(*may_answer, "request")) " for you" }
                @if picks { (several(frame, how.once)) }
                @for (number, request) in mine.iter().enumerate() { (card(frame, request, number, &How { picks, ..*how })) }
            }
        }
        @if !others.is_empty() {
            section.stack aria-labelledby="others" {
                h2 #others { "Waiting for somebody else" }
                @for (number, request) in (mine.len()..).zip(&others) { (card(frame, request, number, how)) }
            }
        }
    }
}

/// One answer to all that are chosen.
fn several(frame: &Frame, once: &str) -> Markup {
    html! {
        form #several.card method="post" action="/requests/answers" {
            (frame.csrf())
            input type="hidden" name="once" value=(format!("{once}-several"));
            p.muted { "Several at once: choose them below, and answer here. Each answer is written down by itself." }
            div.row {
                button.button type="submit" name="decision" value="grant" { "Approve the chosen" }
                details.more {
                    summary.button { "Not like these" }
                    div.stack {
                        div.field {
                            label for="reason-several" { "Why, for all who have asked" }
                            textarea #reason-several name="reason" maxlength="4096" {}
                        }
                        div.row {
                            button.button type="submit" name="decision" value="changes" { "Ask for changes to the chosen" }
                            button.button.danger type="submit" name="decision" value="deny" { "Turn the chosen down" }
                        }
                    }
                }
            }
        }
    }
}

/// How requests are drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct How<'a> {
    pub(super) once: &'a str,
    /// Whether anything can be written here.
    pub(super) writes: bool,
    /// Whether several can be chosen.
    pub(super) picks: bool,
    /// The page that they are on.
    pub(super) from: &'static str,
}

/// A request; `number` tells it from the others of the page.
pub(super) fn card(frame: &Frame, request: &Request, number: usize, how: &How<'_>) -> Markup {
    html! {
        article.card {
            div.row.between {
                div.row.pick {
                    @if how.picks {
                        input type="checkbox" form="several" name="pick" value=(request.name) aria-label=(format!("Choose {}", request.application));
                        input type="hidden" form="several" name=(format!("seen:{}", request.name)) value=(request.seen);
                    }
                    h3 {
                        a href=(address("subscriptions", &request.name)) { (request.application) }
                        " " (request.wish.says()) ": " (request.subject.product)
                    }
                }
                @if let Some(since) = request.since { span.small.muted { "Since " (when(since)) } }
            }
            div.row {
                (badge((request.wish.word(), Tone::Info)))
                span.muted {
                    @if let Some(team) = &request.team { "Team " (team) }
                    @if let Some(by) = &request.by { " · asked by " (by) }
                }
            }
            @if let Some(description) = &request.description { p { (description) } }
            @if let Some(text) = request.standing.state.text.as_ref().filter(|_| request.standing.is_refused && how.from == "requests") {
                (notice(Tone::Warn, &html! { p { (text) } }))
            }
            @if !request.scopes.is_empty() {
                div.stack-tight {
                    h4 { "Scopes it asks for" }
                    ul {
                        @for (scope, reason) in &request.scopes {
                            li { (scope) @if let Some(reason) = reason { span.muted { " – “" (reason) "”" } } }
                        }
                    }
                }
            }
            (impact(request))
            @match request.undecided {
                None if how.writes => (answers(frame, request, number, how)),
                None => {},
                Some(undecided) => p.small.muted { (why_not(undecided)) },
            }
        }
    }
}

/// What granting it changes.
fn impact(request: &Request) -> Markup {
    html! {
        div.stack-tight {
            h4 {
                @if request.wish == Wish::Access { "What granting it gives, on plan " (request.plan) }
                @else { "What granting it changes" }
            }
            @if request.wish == Wish::Access {
                ul { @for sentence in &request.impact.gains { li { (sentence) } } }
            } @else {
                @if request.impact.gains.is_empty() && request.impact.loses.is_empty() {
                    p.muted { "Nothing of what it has on plan " (request.subject.plan) ". It goes on as the plan is now." }
                }
                (differences(&request.impact))
            }
        }
    }
}

/// Yes, no, and not yet.
fn answers(frame: &Frame, request: &Request, number: usize, how: &How<'_>) -> Markup {
    let to = address("subscriptions", &request.name);
    let once = how.once;
    html! {
        div.row {
            form method="post" action=(format!("{to}/grant")) {
                (frame.csrf())
                input type="hidden" name="once" value=(format!("{once}-{number}"));
                input type="hidden" name="seen" value=(request.seen);
                input type="hidden" name="from" value=(how.from);
                button.button.first type="submit" { "Approve" span.hidden-visually { " " (request.application) } }
            }
            details.more {
                summary.button { "Not like this" span.hidden-visually { " for " (request.application) } }
                form.stack method="post" action=(format!("{to}/refuse")) {
                    (frame.csrf())
                    input type="hidden" name="once" value=(format!("{once}-no-{number}"));
                    input type="hidden" name="from" value=(how.from);
                    div.field {
                        label for=(format!("reason-{number}")) { "Why, for whoever has asked" }
                        textarea id=(format!("reason-{number}")) name="reason" maxlength="4096" required {}
                    }
                    div.row {
                        button.button type="submit" name="decision" value="changes" { "Ask for changes" }
                        button.button.danger type="submit" name="decision" value="deny" { "Turn down" }
                    }
                }
            }
        }
    }
}
