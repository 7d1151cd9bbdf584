//! Signing in through an OpenID Connect provider: the authorization code flow with PKCE. What comes back has to come to the browser
//! that left.

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use portico_core::key::Name;
use serde::Deserialize;

use super::provider::{Departure, Identity, Registered};
use super::{After, enter, inside, no_randomness, remember};
use crate::clock;
use crate::error::Oops;
use crate::guard::{AskedHost, Caller, Secure};
use crate::portal::{Portal, Visitor, this_portal};
use crate::session::{Pending, Session, Way, Who};

pub(crate) use super::provider::Providers;

/// The portal as its provider knows it.
async fn registered(portal: &Portal, host: &str, secure: bool) -> Result<Registered, Oops> {
    let found = portal.reading.look(|core| {
        let (name, spec) = this_portal(core)?;
        Some((name, spec.url, spec.sign_in?.oidc?))
    });
    let (name, url, oidc) = found.ok_or(Oops::NotFound)?;
    let scheme = if secure { "https" } else { "http" };
    let base = url.unwrap_or_else(|| format!("{scheme}://{host}"));
    let secret = match &oidc.client_secret {
        None => None,
        Some(secret) => {
            let named = Name::new(name.namespace(), secret.name.as_str());
            let found = portal.host.secret(&named, secret.key.as_deref()).await;
            Some(found.map_err(|error| {
                tracing::warn!(portal = %name, %error, "the secret of the portal at its identity provider is not there");
                Oops::Unavailable("This portal is not set up fully yet. Tell whoever runs it.".to_owned())
            })?)
        }
    };
    Ok(Registered { oidc, secret, back: format!("{}/sign-in/oidc/back", base.trim_end_matches('/')) })
}

/// Sends somebody to the provider.
pub(crate) async fn begin(
    State(portal): State<Portal>,
    Extension(Secure(secure)): Extension<Secure>,
    Extension(AskedHost(host)): Extension<AskedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    Query(after): Query<After>,
) -> Result<Response, Oops> {
    portal.limiter.try_once(caller, clock::now()).map_err(Oops::Often)?;
    let registered = registered(&portal, &host, secure).await?;
    let Departure { url, state, nonce, verifier } = portal.providers.leave(&registered).await.map_err(|error| {
        tracing::warn!(issuer = registered.oidc.issuer, %error, "the identity provider does not answer");
        Oops::Unavailable("The identity provider does not answer. Try again in a moment.".to_owned())
    })?;
    let to = inside(after.to.as_deref()).to_owned();
    let session = Session::begin().ok_or_else(no_randomness)?;
    let session = Session { pending: Some(Pending { state, nonce, verifier, to }), ..session };
    let mut response = Redirect::to(&url).into_response();
    remember(&portal, &mut response, &session, secure)?;
    Ok(response)
}

/// What the provider sends back.
#[derive(Debug, Deserialize)]
pub(crate) struct Back {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// Takes in somebody who comes back.
pub(crate) async fn back(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Extension(Secure(secure)): Extension<Secure>,
    Extension(AskedHost(host)): Extension<AskedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    Query(back): Query<Back>,
) -> Result<Response, Oops> {
    portal.limiter.try_once(caller, clock::now()).map_err(Oops::Often)?;
    let session = visitor.session.as_ref();
    let pending = session
        .and_then(|session| session.pending.clone())
        .filter(|pending| back.state.as_ref() == Some(&pending.state));
    let Some((session, Pending { nonce, verifier, to, state: _ })) = session.zip(pending) else {
        return Err(Oops::Bad(
            "This answer of the identity provider does not belong to this browser, or came too late. Sign in again."
                .to_owned(),
        ));
    };
    // Whatever comes of it, it is used once.
    portal.sessions.end(session, secure);
    let Some(code) = back.code else {
        let why = back.error_description.or(back.error).unwrap_or_else(|| "it gives no reason".to_owned());
        let why: String = why.chars().filter(|character| !character.is_control()).take(200).collect();
        return Err(Oops::Bad(format!("The identity provider did not sign you in: {why}.")));
    };
    let registered = registered(&portal, &host, secure).await?;
    let identity = portal.providers.arrive(&registered, code, nonce, verifier).await.map_err(|error| {
        tracing::warn!(issuer = registered.oidc.issuer, %error, "somebody could not be signed in");
        Oops::Bad("The identity provider's answer does not hold. Sign in again.".to_owned())
    })?;
    let Identity { subject, session, mail, name, groups } = identity;
    let mail = mail.ok_or_else(|| {
        Oops::Forbidden(
            "The identity provider tells no verified mail address of yours, and without one nobody knows who you are."
                .to_owned(),
        )
    })?;
    let issuer = registered.oidc.issuer;
    let who = Who { mail, name, groups, way: Way::Oidc { issuer, subject, session } };
    match portal.reading.look(|core| portal.look_up(core, &who)) {
        Some(Ok(_)) => enter(&portal, &visitor, who, &to, secure),
        Some(Err(refusal)) => Err(Oops::Forbidden(refusal.says().to_owned())),
        None => Err(Oops::NotFound),
    }
}
