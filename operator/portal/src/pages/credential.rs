//! A credential: its key, and what can be done with it.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use portico_core::Core;
use portico_core::key::{Kind, Name};
use portico_core::look;
use portico_crds::CredentialSpec;
use serde::Deserialize;

use super::Named;
use super::explorer;
use super::reference::reference;
use crate::act::{self, credential::Revealed};
use crate::error::Oops;
use crate::form::{Confirmed, Nothing, Posted};
use crate::gather::address;
use crate::gather::call::{self, Place as Called, curl};
use crate::gather::state::{self, Credential};
use crate::guard::{AskedHost, Secure};
use crate::may::{Action, may};
use crate::openapi::{Operation, Reference};
use crate::portal::{Portal, Visitor};
use crate::ui::{Crumb, Frame, Place, badge, command, crumbs, facts, notice, page, when};
use crate::wish;
use crate::words::{self, Tone};

/// What a credential's page shows.
#[derive(Clone, Debug)]
struct Shown {
    credential: Credential,
    /// The subscription, or the application, that it is for: what it is called and where its page is.
    of: (String, String),
    /// Whether the plan lets a key be shown again.
    shows_again: bool,
    may_change: bool,
    writes: bool,
    /// How long the old key goes on working after a rotation.
    overlap: Option<String>,
}

fn gather(portal: &Portal, core: &Core, visitor: &Visitor, name: &Name) -> Option<Shown> {
    let credential = state::credential(core, name)?;
    let spec = core.credential(name)?;
    let application = core.application_of(name);
    let title = application.as_ref().and_then(|name| core.application(name)).map(|spec| spec.title.clone());
    let of = match (&spec.subscription, &application) {
        (Some(one), _) => {
            let subscription = name.beside(&one.name);
            let about = crate::gather::consumer::subject(core, visitor.person.as_ref(), &subscription);
            let about = about.map_or_else(|| one.name.clone(), |subject| subject.product);
            let title = title.unwrap_or_default();
            (format!("{about} for {title}"), address("subscriptions", &subscription))
        }
        (None, Some(application)) => (title.unwrap_or_default(), address("applications", application)),
        (None, None) => (String::new(), "/applications".to_owned()),
    };
    Some(Shown {
        credential,
        of,
        shows_again: act::credential::shows_again(core, name),
        may_change: may(core, visitor.person.as_ref(), Action::Change, &name.clone().of(Kind::Credential)),
        writes: portal.host.writes(),
        overlap: overlap(core, name, &spec),
    })
}

/// How long an old key goes on working, as the credential itself says, or its plan; `None` where it ends at once.
fn overlap(core: &Core, name: &Name, spec: &CredentialSpec) -> Option<String> {
    let of_plan = || {
        let subscription = name.beside(&spec.subscription.as_ref()?.name);
        let plan = look::resolve(&core.subscription(&subscription)?.plan, &subscription);
        core.plan(&plan)?.credentials.rotation_overlap
    };
    // What regenerating has written is taken away by rotating.
    let own = spec.overlap.filter(|overlap| overlap.seconds > 0);
    let overlap = own.or_else(of_plan).filter(|overlap| overlap.seconds > 0)?;
    Some(words::span(&overlap.to_string()))
}

fn look(portal: &Portal, visitor: &Visitor, name: &Name) -> Result<(Frame, Shown), Oops> {
    portal.reading.look(|core| {
        let shown = gather(portal, core, visitor, name).ok_or(Oops::NotFound)?;
        Ok((Frame::of(portal, core, visitor), shown))
    })
}

/// Shows it, without its key.
pub(crate) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    let once = wish::form(&portal).await?;
    let (frame, shown) = look(&portal, &visitor, &name)?;
    let Shown { credential, of, may_change, writes, .. } = &shown;
    let title = format!("Key {}", credential.title);
    let body = html! {
        (crumbs(&[Crumb::new("My applications", "/applications"), Crumb::new(of.0.as_str(), of.1.as_str())]))
        div.head {
            div.row { h1 { (title) } (badge((credential.state.label, credential.state.tone))) }
            @if let Some(text) = &credential.state.text { (notice(credential.state.tone, &html! { p { (text) } })) }
        }
        div.aside.right {
            div.stack-wide {
                @if *may_change && credential.generation.is_some() { (reveal_form(&frame, &shown)) }
                @if *may_change && *writes { (actions(&frame, &shown, &once)) }
                @if !may_change { p.muted { "You see that it is there. Its key is for members of the team who may have keys." } }
            }
            aside { (about(credential)) }
        }
    };
    Ok(page(&frame, Place::Applications, &title, &body))
}

fn about(credential: &Credential) -> Markup {
    let mut known = vec![("Environment", html! { (credential.environment) })];
    if let Some(fingerprint) = &credential.fingerprint {
        known.push(("Fingerprint", html! { code.small { (fingerprint) } }));
    }
    if let Some(generation) = credential.generation {
        known.push(("Generation", html! { (generation) }));
    }
    if let Some(until) = credential.previous_until {
        known.push(("Key before", html! { "Works until " (when(until)) }));
    }
    known.push(("Ends on", html! { @if let Some(end) = credential.expires_at { (when(end)) } @else { "No end" } }));
    known.push(("Name in files", html! { code.small { (credential.name) } }));
    html! { div.card { h2 { "About it" } (facts(&known)) } }
}

/// The button that shows a key.
pub(super) fn reveal_form_for(frame: &Frame, name: &Name) -> Markup {
    html! {
        form method="post" action=(format!("{}/reveal", address("credentials", name))) {
            (frame.csrf())
            button.button.first type="submit" { "Show the key" }
        }
    }
}

fn reveal_form(frame: &Frame, shown: &Shown) -> Markup {
    html! {
        section.card {
            h2 { "The key" }
            p.muted {
                @if shown.shows_again { "Mind who looks on." }
                @else { "It is shown once. Put it where your application finds it, and nowhere else." }
            }
            (reveal_form_for(frame, &shown.credential.name))
        }
    }
}

fn actions(frame: &Frame, shown: &Shown, once: &str) -> Markup {
    let credential = &shown.credential;
    let to = address("credentials", &credential.name);
    let form = |what: &str, body: Markup| {
        html! {
            form.stack method="post" action=(format!("{to}/change")) {
                (frame.csrf())
                input type="hidden" name="once" value=(format!("{once}-{what}"));
                input type="hidden" name="what" value=(what);
                (body)
            }
        }
    };
    html! {
        section.stack aria-labelledby="actions" {
            h2 #actions { "What you can do" }
            div.card {
                (form("rotate", html! {
                    h3 { "Rotate" }
                    p.muted {
                        @match &shown.overlap {
                            Some(overlap) => { "Makes a new key. The old one goes on working for " (overlap) ", so that nothing breaks meanwhile." },
                            None => "Makes a new key. The old one ends at once: neither this key nor its plan gives it more time.",
                        }
                    }
                    div { button.button type="submit" { "Rotate" } }
                }))
            }
            div.card {
                (form("regenerate", html! {
                    h3 { "Regenerate" }
                    p.muted { "Makes a new key, and the old one is dead at once. For a key that has leaked." }
                    div { button.button.danger type="submit" { "Regenerate" } }
                }))
            }
            div.card {
                @if credential.is_off {
                    (form("enable", html! { h3 { "Switch on" } p.muted { "The same key works again." } div { button.button type="submit" { "Switch on" } } }))
                } @else {
                    (form("disable", html! { h3 { "Switch off" } p.muted { "It opens nothing until it is switched on again. The key is kept." } div { button.button type="submit" { "Switch off" } } }))
                }
            }
            div.card {
                (form("rename", html! {
                    h3 { "Rename" }
                    div.field {
                        label for="title" { "What people call it" }
                        input #title type="text" name="title" value=(credential.title) maxlength="128" required;
                    }
                    div { button.button type="submit" { "Rename" } }
                }))
            }
            div.card {
                form.stack method="post" action=(format!("{to}/revoke")) {
                    (frame.csrf())
                    input type="hidden" name="once" value=(format!("{once}-revoke"));
                    h3 { "Revoke" }
                    p.muted { "It is over for good, at once: whoever uses it gets 401. A revoked key never comes back." }
                    div.field {
                        label for="confirm" { "To be sure, write its name: " code { (credential.name.name()) } }
                        input #confirm type="text" name="confirm" autocomplete="off" autocapitalize="none" spellcheck="false" required;
                    }
                    div { button.button.danger type="submit" { "Revoke" } }
                }
            }
        }
    }
}

/// Shows the key, and a call that works.
pub(crate) async fn reveal(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Extension(host): Extension<AskedHost>,
    Extension(secure): Extension<Secure>,
    Path(named): Named,
    Posted(Nothing {}): Posted<Nothing>,
) -> Result<Response, Oops> {
    let origin = explorer::Origin::of(&host, secure);
    let name = super::name(&named);
    let (frame, shown) = look(&portal, &visitor, &name)?;
    let person = visitor.person.as_ref().ok_or(Oops::NotFound)?;
    let Revealed { generation: _, made_at, key, shows_again: _ } =
        act::credential::reveal(&portal, person, &name).await?;
    let places = portal.reading.look(|core| call::places(core, &name));
    let mut commands = Vec::new();
    for place in &places {
        let read = reference(&portal, &place.product, &place.version).await;
        let reference = read.as_ref().and_then(|read| read.as_ref().as_ref().ok());
        let call = first_call(place, reference, key.expose());
        commands.push((place.title.clone(), call, try_out(&origin, place, reference, key.expose())));
    }
    let body = html! {
        (crumbs(&[Crumb::new("My applications", "/applications"), Crumb::new(shown.of.0.as_str(), shown.of.1.as_str())]))
        div.narrow.stack-wide {
            div.head {
                h1 { "Your key" }
                @if !shown.shows_again {
                    (notice(Tone::Warn, &html! { p { strong { "It is shown this once. " } "Put it where your application finds it before you leave this page." } }))
                }
            }
            section.stack { h2 { "Key" } (command(key.expose())) p.small.muted { "Made on " (when(made_at)) "." } }
            @for (title, call, panel) in &commands {
                section.stack {
                    h2 { "Try it: " (title) }
                    p.muted { "In a terminal. It should answer with 200." }
                    (command(call))
                    (panel)
                }
            }
            @if commands.is_empty() { p.muted { "It opens nothing at the moment." } }
            div { a.button href=(shown.of.1) { "I have it" } }
        }
        (explorer::script())
    };
    let answer = page(&frame, Place::Applications, "Your key", &body);
    Ok(explorer::connected(answer, places.iter().map(|place| place.url.as_str())))
}

/// A command that calls something simple.
fn first_call(place: &Called, reference: Option<&Reference>, key: &str) -> String {
    let operation = reference.and_then(|reference| reference.first(|one| place.allows(one)));
    let path = operation.map_or("/", |operation| operation.path.as_str());
    curl(&place.header, key, &format!("{}{path}", place.url))
}

/// The same in the page, while the key is shown.
fn try_out(origin: &explorer::Origin, place: &Called, reference: Option<&Reference>, key: &str) -> Markup {
    let Some(reference) = reference else { return html! {} };
    let first = reference.first(|one| place.allows(one));
    let mut operations: Vec<&Operation> = first.into_iter().collect();
    let others = reference.operations().into_iter().filter(|one| place.allows(one));
    operations.extend(others.filter(|one| first.is_none_or(|first| !std::ptr::eq(first, *one))));
    let spot =
        explorer::Spot { label: &place.title, url: &place.url, header: &place.header, cors: place.cors.as_ref() };
    explorer::panel(origin, &[spot], &operations, Some(key), "h3")
}

/// What to do with a credential.
#[derive(Debug, Deserialize)]
pub(crate) struct Change {
    once: String,
    what: String,
    title: Option<String>,
}

/// Rotates, regenerates, renames, or switches it off or on.
pub(crate) async fn change(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Posted(Change { once, what, title }): Posted<Change>,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    let person = visitor.person.clone().ok_or(Oops::NotFound)?;
    let change = match (what.as_str(), title) {
        ("rotate", _) => act::credential::Change::Rotate,
        ("regenerate", _) => act::credential::Change::Regenerate,
        ("disable", _) => act::credential::Change::Disable,
        ("enable", _) => act::credential::Change::Enable,
        ("rename", title) => act::credential::Change::Rename(title.unwrap_or_default()),
        _ => return Err(Oops::Bad("That cannot be done with a key.".to_owned())),
    };
    let deed = portal.reading.look(|core| act::credential::change(core, &name, &[change]))?;
    deed.carry_out(&portal, &person, &once).await?;
    Ok(Redirect::to(&address("credentials", &name)).into_response())
}

/// Ends it for good.
pub(crate) async fn revoke(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Posted(confirmed): Posted<Confirmed>,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    let person = visitor.person.clone().ok_or(Oops::NotFound)?;
    let (_, shown) = look(&portal, &visitor, &name)?;
    confirmed.check("revoke", &name)?;
    let deed = portal.reading.look(|core| act::credential::revoke(core, &name))?;
    deed.carry_out(&portal, &person, &confirmed.once).await?;
    Ok(Redirect::to(&shown.of.1).into_response())
}
