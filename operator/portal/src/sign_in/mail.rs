//! Signing in by a link that is sent to one's address.
//!
//! Whoever asks for a link learns nothing of who is known here: what is answered, and when, does not depend on the address. The
//! server is greeted before the answer, for every address, so that one that is down is told; the mail goes out after it.
//! Programs that look through mail follow links, so that following one only shows a button.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use lettre::Address;
use maud::{Markup, html};
use portico_core::key::Name;
use portico_crds::MailLink;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tracing::Instrument;

use super::link::{Link, Links};
use super::post::{Letter, Post};
use super::provider::chain;
use super::{enter, inside, no_randomness, remember};
use crate::clock;
use crate::error::Oops;
use crate::form::Posted;
use crate::guard::{Caller, Secure};
use crate::people::Refusal;
use crate::portal::{Portal, Visitor, this_portal};
use crate::seal::SealingKey;
use crate::session::{Way, Who};
use crate::ui::{Frame, Place, csrf, page};

/// How long a link works where the Portal does not say.
const LIFETIME: i64 = 15 * 60;
/// How long it works at most.
const LONGEST: i64 = 24 * 3600;
/// So many mails are on their way at a time.
const ON_THEIR_WAY: usize = 32;

/// Links that were sent, and mails that are on their way.
#[derive(Debug)]
pub(crate) struct Outbox {
    links: Links,
    places: Arc<Semaphore>,
}

impl Outbox {
    /// An empty one.
    pub(crate) fn new(key: SealingKey) -> Outbox {
        Outbox { links: Links::new(key), places: Arc::new(Semaphore::new(ON_THEIR_WAY)) }
    }
}

/// Who wants a link.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    mail: String,
    to: Option<String>,
}

/// What of a Portal it takes to send links.
struct Sender {
    portal: Name,
    title: String,
    /// Where the portal is. It is never taken from the request: whoever sends that could have links lead elsewhere.
    base: String,
    settings: MailLink,
}

fn sender(portal: &Portal) -> Result<Sender, Oops> {
    let (name, spec) = portal.reading.look(this_portal).ok_or(Oops::NotFound)?;
    let settings = spec.sign_in.and_then(|sign_in| sign_in.mail_link).ok_or(Oops::NotFound)?;
    let base = spec.url.ok_or_else(|| {
        tracing::warn!(portal = %name, "links need `spec.url` of the Portal, which is not set");
        not_set_up()
    })?;
    Ok(Sender { portal: name, title: spec.title, base: base.trim_end_matches('/').to_owned(), settings })
}

fn not_set_up() -> Oops {
    Oops::Unavailable("This portal is not set up fully yet. Tell whoever runs it.".to_owned())
}

async fn post(portal: &Portal, sender: &Sender) -> Result<Post, Oops> {
    let password = match &sender.settings.smtp.password {
        None => None,
        Some(secret) => {
            let named = Name::new(sender.portal.namespace(), secret.name.as_str());
            let found = portal.host.secret(&named, secret.key.as_deref()).await;
            Some(found.map_err(|error| {
                tracing::warn!(portal = %sender.portal, %error, "the password of the portal at its mail server is not there");
                not_set_up()
            })?)
        }
    };
    Post::new(&sender.settings, password).map_err(|error| {
        tracing::warn!(portal = %sender.portal, error = chain(&error), "no mail can be sent");
        not_set_up()
    })
}

/// Sends somebody a link, if they are known here.
pub(crate) async fn ask(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Extension(Secure(secure)): Extension<Secure>,
    Extension(Caller(caller)): Extension<Caller>,
    Posted(Asked { mail, to }): Posted<Asked>,
) -> Result<Response, Oops> {
    let sender = sender(&portal)?;
    let now = clock::now();
    portal.limiter.try_once(caller, now).map_err(Oops::Often)?;
    let mail = mail.trim().to_lowercase();
    let no_address = |_| Oops::Bad("That is no mail address. It looks like ada@example.com.".to_owned());
    let address: Address = mail.parse().map_err(no_address)?;
    let Some(session) = visitor.session.filter(|session| session.who.is_none()) else {
        return Ok(Redirect::to("/").into_response());
    };
    portal.limiter.write_once(caller, &mail, now).map_err(Oops::Often)?;
    let busy = |_| Oops::Unavailable("Many people sign in just now. Try again in a minute.".to_owned());
    let place = portal.outbox.places.clone().try_acquire_owned().map_err(busy)?;
    let post = post(&portal, &sender).await?;
    post.greet().await.map_err(|error| {
        tracing::warn!(portal = %sender.portal, error = chain(&error), "no mail can be sent");
        Oops::Unavailable(
            "The mail server of this portal does not answer, so that no link can be sent. Try again in a few minutes."
                .to_owned(),
        )
    })?;
    let lifetime = sender.settings.lifetime.map_or(LIFETIME, |span| i64::try_from(span.seconds).unwrap_or(LONGEST));
    let lifetime = lifetime.min(LONGEST);
    let until = clock::now() + lifetime;
    let session = session.waiting(until);
    let word = portal.outbox.links.make(&mail, &session, until, inside(to.as_deref())).ok_or_else(no_randomness)?;
    let letter = Letter {
        to: address,
        title: sender.title,
        link: format!("{}/sign-in/mail/open?link={word}", sender.base),
        minutes: (lifetime / 60).max(1),
    };
    let sending = tracing::info_span!("mail", portal = %sender.portal);
    let mut response = Redirect::to("/sign-in/mail").into_response();
    remember(&portal, &mut response, &session, secure)?;
    let send = async move {
        if is_known(&portal, mail) {
            match post.send(letter).await {
                Ok(()) => tracing::info!("a link to sign in with is sent"),
                Err(error) => tracing::warn!(error = chain(&error), "a link to sign in with is not sent"),
            }
        }
        drop(place);
    };
    tokio::spawn(send.instrument(sending));
    Ok(response)
}

/// Whether there is anything to tell somebody: they may come in, or are told why not.
fn is_known(portal: &Portal, mail: String) -> bool {
    match portal.reading.look(|core| portal.look_up(core, &who(mail))) {
        Some(Ok(_) | Err(Refusal::Pending | Refusal::Rejected | Refusal::Suspended)) => true,
        Some(Err(Refusal::Unknown)) | None => false,
    }
}

fn who(mail: String) -> Who {
    Who { mail, name: None, groups: Vec::new(), way: Way::Mail }
}

/// The form on the page on which one signs in.
pub(super) fn form(token: &str, to: &str, is_first: bool) -> Markup {
    html! {
        form.card method="post" action="/sign-in/mail" {
            (csrf(token))
            input type="hidden" name="to" value=(to);
            h2 { "By mail" }
            div.field {
                label for="mail" { "Your mail address" }
                input #mail type="email" name="mail" required maxlength="320" autocomplete="email";
                p.small.muted { "You get a link that signs you in. There is no password." }
            }
            div { button.button.first[is_first] type="submit" { "Send me a link" } }
        }
    }
}

/// Says what comes next.
pub(crate) async fn asked(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Oops> {
    sender(&portal)?;
    let frame = portal.reading.look(|core| Frame::of(&portal, core, &visitor));
    let body = html! {
        div.narrow.stack-wide {
            div.head {
                h1 { "Look into your mail" }
                p.lead { "If that address has an account here, a link is on its way to it." }
            }
            p { "Open the link in this browser: it works nowhere else, and once only. It may take a minute to come, and may lie with unwanted mail." }
            p { a.button href="/sign-in" { "Ask for another one" } }
        }
    };
    Ok(page(&frame, Place::Elsewhere, "Look into your mail", &body))
}

/// A link that was opened.
#[derive(Debug, Deserialize)]
pub(crate) struct Opened {
    #[serde(default)]
    link: String,
}

/// Shows whom a link signs in, and a button.
pub(crate) async fn open(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Extension(Caller(caller)): Extension<Caller>,
    Query(Opened { link: word }): Query<Opened>,
) -> Result<Response, Oops> {
    sender(&portal)?;
    portal.limiter.try_once(caller, clock::now()).map_err(Oops::Often)?;
    let link = portal.outbox.links.open(&word, visitor.session.as_ref());
    let Link { mail, .. } = link.map_err(|refused| Oops::Bad(refused.says().to_owned()))?;
    let frame = portal.reading.look(|core| Frame::of(&portal, core, &visitor));
    let body = html! {
        div.narrow.stack-wide {
            div.head { h1 { "Sign in to " (frame.title) } }
            form.card method="post" action="/sign-in/mail/open" {
                (frame.csrf())
                input type="hidden" name="link" value=(word);
                p { "You sign in as " strong { (mail) } "." }
                div { button.button.first type="submit" { "Sign in" } }
            }
        }
    };
    Ok(page(&frame, Place::Elsewhere, "Sign in", &body))
}

/// Signs in whoever has opened a link.
pub(crate) async fn follow(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Extension(Secure(secure)): Extension<Secure>,
    Extension(Caller(caller)): Extension<Caller>,
    Posted(Opened { link: word }): Posted<Opened>,
) -> Result<Response, Oops> {
    sender(&portal)?;
    portal.limiter.try_once(caller, clock::now()).map_err(Oops::Often)?;
    let link = portal.outbox.links.spend(&word, visitor.session.as_ref());
    let Link { mail, to, .. } = link.map_err(|refused| Oops::Bad(refused.says().to_owned()))?;
    let who = who(mail);
    match portal.reading.look(|core| portal.look_up(core, &who)) {
        Some(Ok(_)) => enter(&portal, &visitor, who, &to, secure),
        Some(Err(refusal)) => Err(Oops::Forbidden(refusal.says().to_owned())),
        None => Err(Oops::NotFound),
    }
}
