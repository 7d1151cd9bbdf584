//! Forms that were sent from a page of the portal.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use portico_core::key::Name;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Oops;
use crate::portal::{Portal, Visitor};

/// A form with the token of the session it was made for. Nothing that changes anything takes any other.
#[derive(Debug)]
pub(crate) struct Posted<T>(pub(crate) T);

/// A form that says nothing more than that it was sent.
#[derive(Debug, Deserialize)]
pub(crate) struct Nothing {}

/// That somebody means it: they have written the name of what goes.
#[derive(Debug, Deserialize)]
pub(crate) struct Confirmed {
    pub(crate) once: String,
    confirm: String,
}

impl Confirmed {
    /// Refuses another text than the name.
    pub(crate) fn check(&self, does: &str, name: &Name) -> Result<(), Oops> {
        if self.confirm.trim() == name.name() {
            return Ok(());
        }
        Err(Oops::Bad(format!("Nothing has changed: to {does} it, write its name, {}.", name.name())))
    }
}

#[derive(Deserialize)]
struct Signed {
    token: Option<String>,
}

impl<T: DeserializeOwned> FromRequest<Portal> for Posted<T> {
    type Rejection = Oops;

    async fn from_request(request: Request, portal: &Portal) -> Result<Self, Oops> {
        let expected = request.extensions().get::<Visitor>().and_then(|visitor| visitor.session.as_ref());
        let expected = expected.map(|session| session.token.clone());
        let body = Bytes::from_request(request, portal)
            .await
            .map_err(|_| Oops::Bad("The form is too long, or was cut off.".to_owned()))?;
        let unreadable = |_| Oops::Bad("The form cannot be read. Go back and try again.".to_owned());
        let signed: Signed = serde_urlencoded::from_bytes(&body).map_err(unreadable)?;
        let is_ours = expected.zip(signed.token).is_some_and(|(expected, token)| same(&expected, &token));
        if !is_ours {
            return Err(Oops::Foreign("The form was made for another session, or that has ended."));
        }
        serde_urlencoded::from_bytes(&body).map(Posted).map_err(|error| {
            tracing::debug!(%error, "a form does not read");
            Oops::Bad("Something is missing in the form. Go back and try again.".to_owned())
        })
    }
}

/// Compares without telling by the time it takes where they differ.
pub(crate) fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    one.len() == other.len() && one.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn tokens_are_compared_whole() {
        assert!(same("abc", "abc"));
        assert!(!same("abc", "abd"));
        assert!(!same("abc", "ab"));
        assert!(!same("", "a"));
    }
}
