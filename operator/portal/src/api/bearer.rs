//! Who a program is: a token in `Authorization`, or the session of a page that calls.

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use portico_core::Core;

use crate::error::Oops;
use crate::form::same;
use crate::portal::{Portal, Visitor};
use crate::routes::Route;
use crate::tokens::{self, Scope, Token};

/// Where a page of ours that calls puts the token of its session.
pub(super) const TOKEN: &str = "x-csrf-token";

const UNKNOWN: Oops = Oops::Nobody("The token is not known, or has ended, or was revoked.");

/// The token that a request shows; `Err` where it shows something that is none.
pub(crate) async fn held(portal: &Portal, headers: &HeaderMap) -> Result<Option<Token>, Oops> {
    let Some(shown) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let shown = shown.to_str().unwrap_or_default();
    let bearer = shown.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let (_, text) = bearer.ok_or(Oops::Nobody("Show a token: `Authorization: Bearer TOKEN`."))?;
    tokens::find(portal, text.trim()).await?.map(Some).ok_or(UNKNOWN)
}

/// Whose it is now. Whoever is suspended is nobody.
pub(crate) fn visitor(portal: &Portal, core: &Core, token: &Token) -> Result<Visitor, Oops> {
    match portal.look_up(core, &token.who) {
        Some(Ok(person)) => Ok(Visitor { person: Some(person), token: Some(token.clone()), ..Visitor::default() }),
        Some(Err(refusal)) => Err(Oops::Nobody(refusal.says())),
        None => Err(UNKNOWN),
    }
}

/// Whether whoever comes may do this by this way: a token has to have the scope, and a session its token, so that no other site
/// makes a browser ask.
pub(crate) fn allows(parts: &Parts, visitor: &Visitor, route: &Route) -> Result<(), Oops> {
    if let Some(token) = parts.extensions.get::<Token>() {
        let scope = route.scope();
        if token.scopes.contains(&scope) {
            return Ok(());
        }
        let asked = match scope {
            Scope::Read => "The token has not the scope `read`.",
            Scope::Write => "The token has not the scope `write`.",
            Scope::Decide => "The token has not the scope `decide`.",
        };
        return Err(Oops::Forbidden(asked.to_owned()));
    }
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let expected = visitor.session.as_ref().map(|session| session.token.as_str());
    let sent = parts.headers.get(TOKEN).and_then(|value| value.to_str().ok());
    match expected.zip(sent) {
        Some((expected, sent)) if same(expected, sent) => Ok(()),
        _ => Err(Oops::Foreign("A session changes something only with its own token in `X-CSRF-Token`.")),
    }
}
