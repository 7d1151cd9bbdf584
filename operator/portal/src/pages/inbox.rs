//! What an owner looks after: requests that wait, and who uses what.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::Named;
use crate::error::Oops;
use crate::gather::address;
use crate::gather::inbox::{self, Overseen, Request};
use crate::may::Undecided;
use crate::portal::{Portal, Visitor};
use crate::ui::{Crumb, Frame, Place, badge, crumbs, empty, lines, page, pages_of, when};
use crate::wish;
use crate::words;

/// How many subscribers a page lists.
const PART: usize = 50;

/// Requests that wait for somebody's answer.
pub(crate) async fn requests(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Oops> {
    let person = visitor.person.as_ref().ok_or(Oops::NotFound)?;
    let once = wish::form(&portal).await?;
    let (frame, requests) =
        portal.reading.look(|core| (Frame::of(&portal, core, &visitor), inbox::requests(core, person)));
    let review = super::review::inbox(&portal, &frame, person).await;
    let writes = portal.host.writes();
    let (mine, others): (Vec<_>, Vec<_>) = requests.into_iter().partition(|request| request.undecided.is_none());
    let body = html! {
        div.head {
            h1 { "Requests" }
            p.lead { "Who wants access to what you look after. What you grant is what is enforced, and nothing else." }
        }
        div.stack-wide {
            (review)
            @if mine.is_empty() {
                (empty("Nothing waits for you", &html! { p { "Requests turn up here as soon as somebody asks." } }))
            }
            @if !mine.is_empty() {
                section.stack aria-labelledby="mine" {
                    h2 #mine { (words::count(mine.len(), "request")) " for you" }
                    @for (number, request) in mine.iter().enumerate() { (card(&frame, request, number, &once, writes)) }
                }
            }
            @if !others.is_empty() {
                section.stack aria-labelledby="others" {
                    h2 #others { "Waiting for somebody else" }
                    @for (number, request) in (mine.len()..).zip(&others) { (card(&frame, request, number, &once, writes)) }
                }
            }
        }
    };
    Ok(page(&frame, Place::Requests, "Requests", &body))
}

/// A request; `number` tells it from the others of the page.
fn card(frame: &Frame, request: &Request, number: usize, once: &str, writes: bool) -> Markup {
    html! {
        article.card {
            div.row.between {
                h3 {
                    a href=(address("subscriptions", &request.name)) { (request.application) }
                    " " (request.wish) ": " (request.subject.product)
                }
                @if let Some(since) = request.since { span.small.muted { "Since " (when(since)) } }
            }
            p.muted {
                @if let Some(team) = &request.team { "Team " (team) }
                @if let Some(by) = &request.by { " · asked by " (by) }
            }
            @if let Some(description) = &request.description { p { (description) } }
            div.stack-tight {
                h4 { "What granting it gives" }
                ul { @for impact in &request.impact { li { (impact) } } }
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
            @match request.undecided {
                None if writes => (answers(frame, request, number, once)),
                None => {},
                Some(Undecided::Own) => p.small.muted { "It is your own or your team's, and nobody decides about their own request." },
                Some(Undecided::NotAnApprover) => p.small.muted { "Its plan names others who decide." },
            }
        }
    }
}

/// Yes, no, and not yet.
fn answers(frame: &Frame, request: &Request, number: usize, once: &str) -> Markup {
    let to = address("subscriptions", &request.name);
    html! {
        div.row {
            form method="post" action=(format!("{to}/grant")) {
                (frame.csrf())
                input type="hidden" name="once" value=(format!("{once}-{number}"));
                button.button.first type="submit" { "Approve" span.hidden-visually { " " (request.application) } }
            }
            details.more {
                summary.button { "Not like this" span.hidden-visually { " for " (request.application) } }
                form.stack method="post" action=(format!("{to}/refuse")) {
                    (frame.csrf())
                    input type="hidden" name="once" value=(format!("{once}-no-{number}"));
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

/// The plans that somebody looks after.
pub(crate) async fn plans(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Oops> {
    let person = visitor.person.as_ref().ok_or(Oops::NotFound)?;
    let (frame, plans) =
        portal.reading.look(|core| (Frame::of(&portal, core, &visitor), inbox::plans_of(core, person)));
    let rows: Vec<Vec<Markup>> = plans
        .iter()
        .map(|Overseen { name, title, product, subscriptions }| {
            vec![
                html! { (product) },
                html! { a href=(address("subscribers", name)) { (title) } },
                html! { (words::count(*subscriptions, "subscription")) },
            ]
        })
        .collect();
    let body = html! {
        div.head {
            h1 { "Subscribers" }
            p.lead { "Who uses the plans that you look after." }
        }
        @if rows.is_empty() {
            (empty("You look after no plan", &html! {
                p { "Owners are members of a team in the namespace of an API, and those whom a plan names as approvers." }
            }))
        } @else {
            div.card.flush { (lines("Plans", &["API", "Plan", "Subscriptions"], &rows)) }
        }
    };
    Ok(page(&frame, Place::Subscribers, "Subscribers", &body))
}

/// Which part of a long list.
#[derive(Debug, Deserialize)]
pub(crate) struct Part {
    page: Option<usize>,
}

/// Who uses a plan.
pub(crate) async fn subscribers(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Query(Part { page: part }): Query<Part>,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    let part = part.unwrap_or(1).max(1);
    let (frame, title, found, all) = portal.reading.look(|core| {
        let title = core.plan(&name).map(|plan| plan.title.clone()).ok_or(Oops::NotFound)?;
        let (found, all) = inbox::subscribers(core, &name, (part - 1).saturating_mul(PART), PART);
        Ok::<_, Oops>((Frame::of(&portal, core, &visitor), title, found, all))
    })?;
    let rows: Vec<Vec<Markup>> = found
        .iter()
        .map(|one| {
            vec![
                html! { a href=(address("subscriptions", &one.subscription)) { (one.application) } },
                html! { @if let Some(team) = &one.team { (team) } },
                html! {
                    (badge((one.standing.state.label, one.standing.state.tone)))
                    @if let Some(stage) = words::stage(one.standing.stage) { " " (badge(stage)) }
                },
                html! { @if let Some(since) = one.since { (when(since)) } },
            ]
        })
        .collect();
    let body = html! {
        (crumbs(&[Crumb::new("Subscribers", "/subscribers")]))
        div.head { h1 { (title) } p.lead { (words::count(all, "subscription")) } }
        @if rows.is_empty() {
            (empty("Nobody uses it yet", &html! { p { "Whoever subscribes turns up here." } }))
        } @else {
            div.stack {
                div.card.flush { (lines("Subscribers", &["Application", "Team", "State", "Since"], &rows)) }
                (pages_of(&format!("{}?", address("subscribers", &name)), part, all.div_ceil(PART)))
            }
        }
    };
    Ok(page(&frame, Place::Subscribers, &title, &body))
}
