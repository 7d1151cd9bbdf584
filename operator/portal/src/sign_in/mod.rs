//! Signing in and out.

mod link;
pub(crate) mod logout;
pub(crate) mod mail;
pub(crate) mod oidc;
mod post;
mod provider;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use crate::error::Oops;
use crate::form::{Nothing, Posted};
use crate::guard::Secure;
use crate::people::{Declared, declared};
use crate::portal::{Portal, Visitor, this_portal};
use crate::session::{Session, Way, Who};
use crate::ui::{Frame, Place, csrf, notice, page};
use crate::words::Tone;

/// Where to go after signing in.
#[derive(Debug, Deserialize)]
pub(crate) struct After {
    to: Option<String>,
}

/// How one can sign in here.
struct Ways {
    local: Option<Vec<Declared>>,
    oidc: Option<String>,
    mail: bool,
}

/// A place within the portal; anything else is its first page.
pub(crate) fn inside(to: Option<&str>) -> &str {
    let is_inside = |to: &&str| {
        to.starts_with('/') && !to.starts_with("//") && !to.contains('\\') && !to.chars().any(char::is_control)
    };
    to.filter(is_inside).unwrap_or("/")
}

/// The page on which one signs in.
pub(crate) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Extension(Secure(secure)): Extension<Secure>,
    Query(After { to }): Query<After>,
) -> Result<Response, Oops> {
    let to = inside(to.as_deref());
    if visitor.person.is_some() {
        return Ok(Redirect::to(to).into_response());
    }
    // A form needs a session that it is made for.
    let (session, is_new) = match &visitor.session {
        Some(session) if session.who.is_none() => (session.clone(), false),
        _ => (Session::begin().ok_or_else(no_randomness)?, true),
    };
    let (frame, ways) = portal.reading.look(|core| {
        let spec = this_portal(core).and_then(|(_, spec)| spec.sign_in);
        let local = portal.is_local(core).then(|| declared(core));
        (
            Frame::of(&portal, core, &visitor),
            Ways {
                local,
                mail: spec.as_ref().is_some_and(|spec| spec.mail_link.is_some()),
                oidc: spec.and_then(|spec| spec.oidc).map(|oidc| oidc.issuer),
            },
        )
    });
    let body = body(&frame, &ways, &visitor, &session.token, to);
    let mut response = page(&frame, Place::Elsewhere, "Sign in", &body);
    if is_new {
        remember(&portal, &mut response, &session, secure)?;
    }
    Ok(response)
}

fn body(frame: &Frame, ways: &Ways, visitor: &Visitor, token: &str, to: &str) -> Markup {
    html! {
        div.narrow.stack-wide {
            div.head { h1 { "Sign in to " (frame.title) } }
            @if let Some(refusal) = visitor.refusal {
                (notice(Tone::Bad, &html! { strong { "You are not let in" } p { (refusal.says()) } }))
            }
            @if let Some(issuer) = &ways.oidc {
                div.card {
                    h2 { "With your account" }
                    p.muted { "You go on to " strong { (host(issuer)) } ", and come back." }
                    div { a.button.first href=(format!("/sign-in/oidc?{}", query(to))) { "Go on" } }
                }
            }
            @if ways.mail { (mail::form(token, to, ways.oidc.is_none())) }
            @if let Some(people) = &ways.local {
                @if people.is_empty() {
                    (notice(Tone::Info, &html! {
                        strong { "The repository names nobody yet" }
                        p { "Add a Team with members, or a Plan with approvers, and they can be chosen here." }
                    }))
                } @else {
                    form.card method="post" action="/sign-in/local" {
                        (csrf(token))
                        input type="hidden" name="to" value=(to);
                        fieldset {
                            legend { h2 { "Who do you want to be?" } }
                            p.muted { "The people whom the repository names. What you do is done in their name." }
                            @for (index, person) in people.iter().enumerate() {
                                label.choice {
                                    input type="radio" name="mail" value=(person.mail) required checked[index == 0];
                                    span {
                                        span.strong { (person.name) }
                                        span.small.muted { (person.mail) }
                                        span.small.muted { (person.roles.join(" · ")) }
                                    }
                                }
                            }
                        }
                        div { button.button.first type="submit" { "Sign in" } }
                    }
                }
            }
            @if ways.local.is_none() && ways.oidc.is_none() && !ways.mail {
                (notice(Tone::Info, &html! {
                    strong { "Nobody can sign in here yet" }
                    p { "Whoever runs this portal has to set up an OpenID Connect provider or a mail server in its Portal." }
                }))
            }
        }
    }
}

fn host(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or(url)
}

fn query(to: &str) -> String {
    serde_urlencoded::to_string([("to", to)]).unwrap_or_default()
}

/// Who somebody says they are, at this machine.
#[derive(Debug, Deserialize)]
pub(crate) struct Chosen {
    mail: String,
    to: Option<String>,
}

/// Signs in whoever was chosen, where that is how one signs in.
pub(crate) async fn local(
    State(portal): State<Portal>,
    Extension(Secure(secure)): Extension<Secure>,
    Extension(visitor): Extension<Visitor>,
    Posted(Chosen { mail, to }): Posted<Chosen>,
) -> Result<Response, Oops> {
    let who = Who { mail: mail.to_lowercase(), name: None, groups: Vec::new(), way: Way::Local };
    let found = portal.reading.look(|core| portal.look_up(core, &who));
    match found {
        None => Err(Oops::NotFound),
        Some(Err(refusal)) => Err(Oops::Bad(refusal.says().to_owned())),
        Some(Ok(_)) => enter(&portal, &visitor, who, inside(to.as_deref()), secure),
    }
}

/// Begins a session for somebody who has proved who they are. The one before is over.
pub(crate) fn enter(portal: &Portal, before: &Visitor, who: Who, to: &str, secure: bool) -> Result<Response, Oops> {
    if let Some(session) = &before.session {
        portal.sessions.end(session, secure);
    }
    let session = Session::of(who).ok_or_else(no_randomness)?;
    let mut response = Redirect::to(to).into_response();
    remember(portal, &mut response, &session, secure)?;
    Ok(response)
}

/// Ends the session.
pub(crate) async fn out(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Extension(Secure(secure)): Extension<Secure>,
    Posted(Nothing {}): Posted<Nothing>,
) -> Result<Response, Oops> {
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response();
    if let Some(session) = &visitor.session {
        let cookie = portal.sessions.end(session, secure);
        response.headers_mut().insert(header::SET_COOKIE, HeaderValue::from_str(&cookie).map_err(|_| no_randomness())?);
    }
    Ok(response)
}

/// Gives the browser a session to keep.
pub(crate) fn remember(portal: &Portal, response: &mut Response, session: &Session, secure: bool) -> Result<(), Oops> {
    let cookie = portal.sessions.set(session, secure).and_then(|cookie| HeaderValue::from_str(&cookie).ok());
    response.headers_mut().insert(header::SET_COOKIE, cookie.ok_or_else(no_randomness)?);
    Ok(())
}

pub(crate) fn no_randomness() -> Oops {
    Oops::Unavailable("This machine has no randomness to make a session of. Try again.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::inside;

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(inside(Some("/applications?a=b")), "/applications?a=b");
        for bad in ["https://evil.example", "//evil.example", "/\\evil.example", "applications", "/a\r\nb: c", ""] {
            assert_eq!(inside(Some(bad)), "/", "{bad:?}");
        }
        assert_eq!(inside(None), "/");
    }
}
