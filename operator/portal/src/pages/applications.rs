//! What somebody's teams have: applications, and what each of them may call.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use portico_core::key::Kind;
use portico_crds::AccessLevel;
use serde::Deserialize;

use super::Named;
use crate::error::Oops;
use crate::gather::address;
use crate::gather::consumer::{Application, Row, Team, application, teams};
use crate::gather::state::Credential;
use crate::may::{Action, may};
use crate::portal::{Portal, Visitor};
use crate::ui::{Crumb, Frame, Place, badge, crumbs, empty, facts, lines, notice, page, pages_of, when};
use crate::words::{self, Tone};

/// How many applications a page lists.
const PART: usize = 24;

/// Which part of a long list.
#[derive(Debug, Deserialize)]
pub(crate) struct Part {
    page: Option<usize>,
}

/// The applications of a person's teams.
pub(crate) async fn list(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Query(Part { page: part }): Query<Part>,
) -> Result<Response, Oops> {
    let person = visitor.person.as_ref().ok_or(Oops::NotFound)?;
    let part = part.unwrap_or(1).max(1);
    let (frame, (teams, all)) = portal
        .reading
        .look(|core| (Frame::of(&portal, core, &visitor), teams(core, person, (part - 1).saturating_mul(PART), PART)));
    let can_make =
        portal.host.writes() && person.teams.iter().any(|membership| membership.access.teams >= AccessLevel::Full);
    let waiting = super::review::mine(&portal, person).await;
    let body = html! {
        div.head {
            div.row.between {
                h1 { "My applications" }
                @if can_make { a.button href="/applications/new" { "New application" } }
            }
            p.lead { "An application is a program that calls APIs. It subscribes to plans, and has keys." }
        }
        @if teams.is_empty() {
            (empty("You belong to no team yet", &html! {
                p { "Applications belong to teams. Ask a colleague to add you to one, or whoever runs this portal to make one." }
                a.button href="/" { "Look at the APIs" }
            }))
        }
        div.stack-wide {
            (waiting)
            @for team in &teams { (of_team(team, part)) }
            (pages_of("/applications?", part, all.div_ceil(PART)))
        }
    };
    Ok(page(&frame, Place::Applications, "My applications", &body))
}

fn of_team(team: &Team, part: usize) -> Markup {
    html! {
        @if !team.applications.is_empty() || (team.all == 0 && part == 1) {
            section.stack {
                h2 { "Team " (team.title) }
                @if team.applications.is_empty() {
                    (empty("No application yet", &html! {
                        p { "Find an API first. Its page says how to get access." }
                        a.button.first href="/" { "Find an API" }
                    }))
                } @else {
                    div.grid { @for row in &team.applications { (card(row)) } }
                }
            }
        }
    }
}

fn card(row: &Row) -> Markup {
    html! {
        article.card.link {
            h3 { a href=(address("applications", &row.name)) { (row.title) } }
            @if let Some(description) = &row.description { p.muted.clip { (description) } }
            @if row.subscriptions.is_empty() { p.small.muted.foot { "Subscribes to nothing yet" } }
            @else {
                ul.tags.foot {
                    @for (product, standing) in &row.subscriptions {
                        li { span class=(standing.state.tone.class()) { (product) ": " (standing.state.label) } }
                    }
                }
            }
        }
    }
}

/// An application.
pub(crate) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    let writes = portal.host.writes();
    let (frame, shown, may_change) = portal.reading.look(|core| {
        let person = visitor.person.as_ref();
        let application = application(core, person, &name).ok_or(Oops::NotFound)?;
        let may_change = writes && may(core, person, Action::Change, &name.clone().of(Kind::Application));
        Ok((Frame::of(&portal, core, &visitor), application, may_change))
    })?;
    let body = html! {
        (crumbs(&[Crumb::new("My applications", "/applications")]))
        div.head {
            div.row.between {
                h1 { (shown.title) }
                @if may_change { a.button href=(format!("{}/edit", address("applications", &shown.name))) { "Edit" } }
            }
            @if let Some(description) = &shown.description { p.lead { (description) } }
        }
        div.stack-wide {
            @for problem in &shown.problems { (notice(Tone::Bad, &html! { p { (problem) } })) }
            (about(&shown))
            (subscriptions(&shown))
            (keys(&shown))
            p { a href=(format!("{}/history", address("applications", &name))) { "Who did what with it" } }
        }
    };
    Ok(page(&frame, Place::Applications, &shown.title, &body))
}

fn about(shown: &Application) -> Markup {
    let mut known = vec![("Proves who it is with", html! { (shown.authentication) })];
    if let Some(team) = &shown.team {
        known.push(("Team", html! { (team) }));
    }
    if !shown.redirects.is_empty() {
        known.push((
            "Sends people back to",
            html! { @for redirect in &shown.redirects { div { code { (redirect) } } } },
        ));
    }
    known.push(("Name in files", html! { code { (shown.name) } }));
    if let Some(reference) = &shown.reference {
        known.push(("Reference", html! { code { (reference) } }));
    }
    facts(&known)
}

fn subscriptions(shown: &Application) -> Markup {
    let rows: Vec<Vec<Markup>> = shown
        .subscriptions
        .iter()
        .map(|(name, subject, standing)| {
            vec![
                html! { a href=(address("subscriptions", name)) { (subject.product) } },
                html! { (subject.plan) },
                html! {
                    (badge((standing.state.label, standing.state.tone)))
                    @if let Some(stage) = words::stage(standing.stage) { " " (badge(stage)) }
                },
                html! { @if let Some(ends) = standing.ends_at { (when(ends)) } @else { span.small.muted { "No end" } } },
            ]
        })
        .collect();
    html! {
        section.stack aria-labelledby="subscriptions" {
            h2 #subscriptions { "Subscriptions" }
            @if rows.is_empty() {
                (empty("It may call nothing yet", &html! {
                    p { "Choose an API and one of its plans." }
                    a.button.first href="/" { "Find an API" }
                }))
            } @else {
                div.card.flush { (lines("Subscriptions", &["API", "Plan", "State", "Until"], &rows)) }
            }
        }
    }
}

fn keys(shown: &Application) -> Markup {
    html! {
        @match &shown.credentials {
            None => section.stack aria-labelledby="keys" {
                h2 #keys { "Keys for everything" }
                p.muted { "There are keys, and you may not see them. Ask a member of the team who may." }
            },
            Some(credentials) if credentials.is_empty() => {},
            Some(credentials) => section.stack aria-labelledby="keys" {
                h2 #keys { "Keys for everything" }
                p.muted { "They open whatever this application subscribes to." }
                div.card.flush { (credential_lines(credentials)) }
            },
        }
    }
}

/// Credentials in a table.
pub(super) fn credential_lines(credentials: &[Credential]) -> Markup {
    let rows: Vec<Vec<Markup>> = credentials
        .iter()
        .map(|one| {
            vec![
                html! { a.strong href=(address("credentials", &one.name)) { (one.title) } @if one.title != one.name.name() { br; code.small { (one.name.name()) } } },
                html! { (one.environment) },
                html! {
                    (badge((one.state.label, one.state.tone)))
                    @if let Some(text) = &one.state.text { div.small.muted { (text) } }
                },
                html! {
                    @if let Some(fingerprint) = &one.fingerprint { code.small title="Identifies the key and does not give it away" { (fingerprint) } }
                    @if let Some(generation) = one.generation.filter(|generation| *generation > 1) {
                        div.small.muted { "Generation " (generation) }
                    }
                },
                html! {
                    @if let Some(until) = one.previous_until { div.small { "The key before works until " (when(until)) } }
                    @if let Some(end) = one.expires_at { div.small { "Ends on " (when(end)) } }
                    @else { span.small.muted { "No end" } }
                },
            ]
        })
        .collect();
    lines("Keys", &["Key", "Environment", "State", "Fingerprint", "Until"], &rows)
}
