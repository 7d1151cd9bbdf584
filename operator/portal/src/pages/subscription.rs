//! A subscription: what it gives, how it stands, its keys, and who did what.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use portico_core::key::{Kind, Name};
use portico_crds::{Phase, ScopeMode};
use serde::Deserialize;

use super::Named;
use super::answer;
use super::applications::credential_lines;
use super::life;
use crate::act;
use crate::clock;
use crate::error::Oops;
use crate::form::{Confirmed, Posted};
use crate::gather::address;
use crate::gather::consumer::{Subscription, subscription};
use crate::may::{Action, may};
use crate::portal::{Portal, Visitor};
use crate::ui::{Crumb, Frame, Place, badge, crumbs, empty, facts, notice, page, when};
use crate::wish;
use crate::words::{self, Tone};

/// Shows a subscription, to its team and to its plan's owner.
pub(crate) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    let person = visitor.person.as_ref();
    let once = wish::form(&portal).await?;
    let writes = portal.host.writes();
    let (frame, shown, open, offered, answerable) = portal.reading.look(|core| {
        let subscription = subscription(core, person, &name).ok_or(Oops::NotFound)?;
        let may_change = writes && may(core, person, Action::Change, &name.clone().of(Kind::Subscription));
        let open = act::credential::environments(core, &subscription);
        let offered = if may_change { life::offered(core, person, &name) } else { None };
        let answerable = if writes { answer::answerable(core, person, &name) } else { None };
        Ok((Frame::of(&portal, core, &visitor), subscription, open, offered, answerable))
    })?;
    let is_over = matches!(shown.standing.phase, Phase::Cancelled | Phase::Expired | Phase::Rejected);
    let can_make_keys = offered.is_some() && !is_over;
    let mut unseen = Vec::new();
    for credential in shown.credentials.iter().flatten().filter(|one| one.state.tone == Tone::Good) {
        let may_have = portal.reading.look(|core| {
            may(core, visitor.person.as_ref(), Action::Change, &credential.name.clone().of(Kind::Credential))
        });
        if let Some(fingerprint) = credential.fingerprint.as_ref().filter(|_| may_have)
            && !portal.host.was_shown(fingerprint).await
        {
            unseen.push(credential);
        }
    }
    let title = format!("{} for {}", shown.subject.product, shown.application_title);
    let body = html! {
        (way(&shown))
        div.head {
            div.row {
                h1 { (title) }
                (badge((shown.standing.state.label, shown.standing.state.tone)))
                @if let Some(stage) = words::stage(shown.standing.stage) { (badge(stage)) }
            }
            @if let Some(text) = &shown.standing.state.text {
                (notice(shown.standing.note(), &html! { p { (text) } }))
            }
        }
        div.aside.right {
            div.stack-wide {
                @for credential in &unseen {
                    section.card.ready aria-label="A new key" {
                        h2 { "Your key is ready" }
                        p.muted {
                            "Key " span.strong { (credential.title) } " for " (credential.environment)
                            ". Nobody has seen it yet."
                        }
                        (super::credential::reveal_form_for(&frame, &credential.name))
                    }
                }
                @if let Some(offered) = &offered { (life::terms(&frame, offered, &once)) }
                @if let Some(answerable) = &answerable { (answer::section(&frame, answerable, &once)) }
                @if shown.is_consumer { (keys(&shown)) @if can_make_keys && !open.is_empty() { (new_key_form(&frame, &shown, &open, &once)) } }
                (scopes(&shown))
                @if let Some(offered) = &offered { (life::section(&frame, offered, &once)) }
                (history(&shown))
                @if offered.as_ref().is_some_and(life::Offered::may_cancel) { (cancel_form(&frame, &shown, &once)) }
            }
            aside.stack aria-label="About this subscription" { (about(&shown)) }
        }
    };
    let place = if shown.is_consumer { Place::Applications } else { Place::Subscribers };
    Ok(page(&frame, place, &title, &body))
}

/// The form that something is sent from.
#[derive(Debug, Deserialize)]
pub(crate) struct NewKey {
    once: String,
    environment: Option<String>,
    title: Option<String>,
}

/// Makes another key.
pub(crate) async fn new_key(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Posted(NewKey { once, environment, title }): Posted<NewKey>,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    let person = visitor.person.clone().ok_or(Oops::NotFound)?;
    let deed = portal
        .reading
        .look(|core| act::credential::make(core, &person, &name, environment.as_deref(), title.as_deref()))?;
    let credential = deed.about.name.clone();
    deed.carry_out(&portal, &person, &once).await?;
    Ok(Redirect::to(&address("credentials", &credential)).into_response())
}

/// Ends it, for good and at once.
pub(crate) async fn cancel(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Posted(confirmed): Posted<Confirmed>,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    let person = visitor.person.clone().ok_or(Oops::NotFound)?;
    confirmed.check("cancel", &name)?;
    let now = clock::moment()?;
    let deed = portal.reading.look(|core| act::subscription::cancel(core, &person, &name, now))?;
    deed.carry_out(&portal, &person, &confirmed.once).await?;
    Ok(Redirect::to(&address("subscriptions", &name)).into_response())
}

fn new_key_form(frame: &Frame, shown: &Subscription, open: &[(Name, String)], once: &str) -> Markup {
    // Where it has none for where it may be used now, this is what to do next.
    let has_none = shown.credentials.as_ref().is_some_and(|credentials| {
        !credentials.iter().any(|one| open.iter().any(|(_, title)| *title == one.environment))
    });
    html! {
        @if has_none && !open.is_empty() { p.muted { "It has no key for " (open[0].1) " yet." } }
        details.more open[has_none && shown.shared_keys == 0] {
            summary.button { @if has_none { "Make a key" } @else { "Make another key" } }
            form.stack method="post" action=(format!("{}/keys", address("subscriptions", &shown.name))) {
                (frame.csrf())
                input type="hidden" name="once" value=(format!("{once}-key"));
                div.field {
                    label for="title" { "What to call it (optional)" }
                    input #title type="text" name="title" maxlength="128" autocomplete="off";
                }
                @if open.len() > 1 {
                    div.field {
                        label for="environment" { "Where it is for" }
                        select #environment name="environment" { @for (name, title) in open { option value=(name) { (title) } } }
                    }
                }
                div { button.button.first type="submit" { "Make it" } }
            }
        }
    }
}

fn cancel_form(frame: &Frame, shown: &Subscription, once: &str) -> Markup {
    html! {
        section.card {
            form.stack method="post" action=(format!("{}/cancel", address("subscriptions", &shown.name))) {
                (frame.csrf())
                input type="hidden" name="once" value=(format!("{once}-cancel"));
                h2 { "Cancel it" }
                p.muted { "Access ends at once and for good, and its keys are destroyed." }
                div.field {
                    label for="confirm" { "To be sure, write its name: " code { (shown.name.name()) } }
                    input #confirm type="text" name="confirm" autocomplete="off" autocapitalize="none" spellcheck="false" required;
                }
                div { button.button.danger type="submit" { "Cancel the subscription" } }
            }
        }
    }
}

fn way(shown: &Subscription) -> Markup {
    if shown.is_consumer {
        let application = Crumb::new(shown.application_title.as_str(), address("applications", &shown.application));
        crumbs(&[Crumb::new("My applications", "/applications"), application])
    } else {
        let plan = Crumb::new(shown.subject.plan.as_str(), address("subscribers", &shown.subject.plan_name));
        crumbs(&[Crumb::new("Subscribers", "/subscribers"), plan])
    }
}

fn keys(shown: &Subscription) -> Markup {
    html! {
        section.stack aria-labelledby="keys" {
            h2 #keys { "Keys" }
            @match &shown.credentials {
                None => p.muted { "There are keys, and you may not see them. Ask a member of the team who may." },
                Some(credentials) if credentials.is_empty() => {
                    @if shown.shared_keys > 0 {
                        p.muted {
                            "It has no key of its own. The application has "
                            a href=(address("applications", &shown.application)) { (words::count(shown.shared_keys, "key")) }
                            " that open it too."
                        }
                    } @else {
                        (empty("No key yet", &html! { p { "Without a key nothing can be called." } }))
                    }
                },
                Some(credentials) => div.card.flush { (credential_lines(credentials)) },
            }
        }
    }
}

fn scopes(shown: &Subscription) -> Markup {
    html! {
        @if !shown.scopes.is_empty() {
            section.stack aria-labelledby="scopes" {
                h2 #scopes { "What it may do" }
                ul.stack-tight.bare {
                    @for (scope, has, reason) in &shown.scopes {
                        li.row {
                            span.strong { (scope.title) }
                            code.small { (scope.name) }
                            @match (has, scope.mode) {
                                (true, _) => (badge(("Granted", Tone::Good))),
                                (false, ScopeMode::Active) => (badge(("Comes with it", Tone::Plain))),
                                (false, _) => (badge(("Asked for", Tone::Warn))),
                            }
                            @if let Some(description) = &scope.description { span.muted.small { (description) } }
                            @if let Some(reason) = reason { span.small { "“" (reason) "”" } }
                        }
                    }
                }
            }
        }
    }
}

fn history(shown: &Subscription) -> Markup {
    let events = &shown.history;
    html! {
        @if !events.is_empty() {
            section.stack aria-labelledby="history" {
                h2 #history { "What happened" }
                ol.stack-tight.bare {
                    @for event in events {
                        li {
                            div {
                                span.strong { (event.text) }
                                @if let Some(by) = &event.by { " by " (by) }
                                @if let Some(at) = event.at { " on " (when(at)) }
                            }
                            @if let Some(reason) = &event.reason { div.muted { "“" (reason) "”" } }
                            @if let Some(commit) = &event.commit { div.small.muted { "Commit " code { (commit.chars().take(12).collect::<String>()) } } }
                        }
                    }
                }
                p { a href=(format!("{}/history", address("subscriptions", &shown.name))) { "All that happened, with its commits" } }
            }
        }
    }
}

fn about(shown: &Subscription) -> Markup {
    let mut known = vec![
        (
            "API",
            html! {
                @if let Some(to) = &shown.subject.to { a href=(address("apis", to)) { (shown.subject.product) } }
                @else { (shown.subject.product) }
            },
        ),
        ("Plan", html! { (shown.subject.plan) }),
    ];
    if let Some((price, note)) = &shown.price {
        known.push(("Price", html! { (price) @if let Some(note) = note { " " (note) } }));
    }
    known.push((
        "Application",
        html! {
            @if shown.is_consumer { a href=(address("applications", &shown.application)) { (shown.application_title) } }
            @else { (shown.application_title) }
        },
    ));
    if let Some(ends) = shown.standing.ends_at {
        known.push(("Ends on", when(ends)));
    }
    if let Some(approval) = &shown.standing.approval {
        known.push(("Granted by", html! { code.small { (approval) } }));
    }
    known.push(("Name in files", html! { code.small { (shown.name) } }));
    html! {
        div.card { h2 { "About it" } (facts(&known)) }
        @if shown.is_consumer && !shown.addresses.is_empty() {
            div.card {
                h2 { "Where to call it" }
                @for place in &shown.addresses {
                    div.stack-tight {
                        div.small.muted { (place.version) " · " (place.environment) ", " (words::environment(place.stage)) }
                        code { (place.url) }
                    }
                }
            }
        }
    }
}
