//! Tokens for programs: made, listed and revoked by the person as whom they act.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use crate::clock;
use crate::error::Oops;
use crate::form::{Nothing, Posted};
use crate::portal::{Portal, Visitor};
use crate::session::Who;
use crate::tokens::{self, LONGEST, Scope, Token};
use crate::ui::{Crumb, Frame, Place, badge, command, crumbs, empty, lines, notice, page, when};
use crate::words::Tone;

/// For how many days tokens are offered.
const DAYS: [i64; 4] = [7, 30, 90, LONGEST];

/// Who has signed in.
fn who(visitor: &Visitor) -> Result<Who, Oops> {
    visitor.session.as_ref().and_then(|session| session.who.clone()).ok_or(Oops::NotFound)
}

/// Somebody's tokens, and the form for another.
pub(crate) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Oops> {
    let found = tokens::of(&portal, &who(&visitor)?.mail).await?;
    let frame = portal.reading.look(|core| Frame::of(&portal, core, &visitor));
    let now = clock::now();
    let rows: Vec<Vec<Markup>> = found.iter().map(|(id, token)| row(&frame, id, token, now)).collect();
    let body = html! {
        div.head {
            h1 { "Tokens" }
            p.lead { "A program that has a token asks the " a href="/api" { "API of this portal" } " as you, and does no more than you may." }
        }
        div.stack-wide {
            @if rows.is_empty() { (empty("You have no token", &html! { p { "Make one for a program that should not wait for you to click." } })) }
            @else { div.card.flush { (lines("Tokens", &["Name", "May", "Ends on", "What to do"], &rows)) } }
            (form(&frame))
        }
    };
    Ok(page(&frame, Place::Elsewhere, "Tokens", &body))
}

fn row(frame: &Frame, id: &str, token: &Token, now: i64) -> Vec<Markup> {
    let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.word()).collect();
    vec![
        html! { span.strong { (token.name) } },
        html! { (scopes.join(", ")) },
        html! {
            @if let Some(end) = token.end() { (when(end)) }
            @if token.has_ended(now) { " " (badge(("Over", Tone::Plain))) }
        },
        html! {
            form method="post" action=(format!("/tokens/{id}/revoke")) {
                (frame.csrf())
                button.button.small.danger type="submit" { "Revoke" span.hidden-visually { " " (token.name) } }
            }
        },
    ]
}

fn form(frame: &Frame) -> Markup {
    html! {
        section.card {
            form.stack method="post" action="/tokens" {
                (frame.csrf())
                h2 { "Make a token" }
                div.field {
                    label for="name" { "What it is for" }
                    input #name type="text" name="name" maxlength="64" required autocomplete="off";
                }
                fieldset {
                    legend { "What it may do" }
                    p.hint { "It reads whatever you see." }
                    label.choice {
                        input type="checkbox" name="write" value="yes";
                        span { span.strong { "Write" } span.small.muted { "Subscribe, change and cancel, and see keys." } }
                    }
                    label.choice {
                        input type="checkbox" name="decide" value="yes";
                        span { span.strong { "Decide" } span.small.muted { "Answer requests that you may answer." } }
                    }
                }
                div.field {
                    label for="days" { "How long it is good" }
                    select #days name="days" {
                        @for days in DAYS { option value=(days) selected[days == 30] { (days) " days" } }
                    }
                }
                div { button.button.first type="submit" { "Make it" } }
            }
        }
    }
}

/// What a token is to be.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    name: String,
    write: Option<String>,
    decide: Option<String>,
    days: i64,
}

/// Makes a token, and shows it this once.
pub(crate) async fn make(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Posted(Wanted { name, write, decide, days }): Posted<Wanted>,
) -> Result<Response, Oops> {
    let mut scopes = vec![Scope::Read];
    scopes.extend(write.map(|_| Scope::Write));
    scopes.extend(decide.map(|_| Scope::Decide));
    let text = tokens::make(&portal, &who(&visitor)?, &name, scopes, days).await?;
    let frame = portal.reading.look(|core| Frame::of(&portal, core, &visitor));
    let body = html! {
        (crumbs(&[Crumb::new("Tokens", "/tokens")]))
        div.narrow.stack-wide {
            div.head {
                h1 { "Your token" }
                (notice(Tone::Warn, &html! { p { strong { "It is shown this once. " } "Whoever has it can do what it may do, as you." } }))
            }
            (command(&text))
            section.stack {
                h2 { "How a program sends it" }
                (command("curl -H \"Authorization: Bearer $TOKEN\" \"$PORTAL/api/v1/me\""))
            }
            div { a.button href="/tokens" { "I have it" } }
        }
    };
    Ok(page(&frame, Place::Elsewhere, "Your token", &body))
}

/// Ends one of them.
pub(crate) async fn revoke(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Posted(Nothing {}): Posted<Nothing>,
) -> Result<Response, Oops> {
    tokens::revoke(&portal, &who(&visitor)?.mail, &id).await?;
    Ok(Redirect::to("/tokens").into_response())
}
