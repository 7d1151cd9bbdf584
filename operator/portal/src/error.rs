//! What a page answers instead of itself.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

/// Why there is no page. The guard makes a page of it, or a problem for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Oops {
    /// There is no such thing, or it is none of the visitor's business.
    NotFound,
    /// One has to sign in for that.
    SignIn {
        /// Where to go afterwards.
        to: String,
    },
    /// The visitor sees it and may not do this with it. A sentence that says what to do.
    Forbidden(String),
    /// What was sent cannot be used. A sentence that says what to do.
    Bad(String),
    /// A program does not say who it is, or not so that it is believed.
    Nobody(&'static str),
    /// What was sent does not read.
    Malformed(String),
    /// It stands differently than whoever has asked thought.
    Conflict(String),
    /// It has changed since the version that was named.
    Outdated,
    /// What was sent is too long.
    TooLong,
    /// What was sent is of a kind that is not read here.
    Unread(&'static str),
    /// The address has no such method.
    NoSuchMethod,
    /// The request comes from elsewhere than from a page of the portal.
    Foreign(&'static str),
    /// Too many tries: come again in so many seconds.
    Often(i64),
    /// Something that is needed does not answer.
    Unavailable(String),
    /// It was done as far as it goes: somebody else has to look at it, which is followed there.
    Waits {
        /// The page that follows it.
        to: String,
    },
}

impl Oops {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Oops::NotFound => StatusCode::NOT_FOUND,
            Oops::SignIn { .. } | Oops::Nobody(_) => StatusCode::UNAUTHORIZED,
            Oops::Malformed(_) => StatusCode::BAD_REQUEST,
            Oops::Conflict(_) => StatusCode::CONFLICT,
            Oops::Outdated => StatusCode::PRECONDITION_FAILED,
            Oops::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Oops::Unread(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Oops::NoSuchMethod => StatusCode::METHOD_NOT_ALLOWED,
            Oops::Forbidden(_) | Oops::Foreign(_) => StatusCode::FORBIDDEN,
            Oops::Bad(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Oops::Often(_) => StatusCode::TOO_MANY_REQUESTS,
            Oops::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Oops::Waits { .. } => StatusCode::ACCEPTED,
        }
    }

    /// What happened, for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Oops::NotFound => "not-found",
            Oops::SignIn { .. } | Oops::Nobody(_) => "unauthenticated",
            Oops::Forbidden(_) => "forbidden",
            Oops::Bad(_) => "refused",
            Oops::Foreign(_) => "foreign",
            Oops::Often(_) => "too-many-requests",
            Oops::Unavailable(_) => "unavailable",
            Oops::Malformed(_) => "malformed",
            Oops::Conflict(_) => "conflict",
            Oops::Outdated => "outdated",
            Oops::TooLong => "too-long",
            Oops::Unread(_) => "unsupported-media-type",
            Oops::NoSuchMethod => "method-not-allowed",
            Oops::Waits { .. } => "waits",
        }
    }

    /// What happened, in a few words.
    pub(crate) fn title(&self) -> &'static str {
        match self {
            Oops::NotFound => "There is nothing here",
            Oops::SignIn { .. } => "Sign in first",
            Oops::Forbidden(_) => "You may not do that",
            Oops::Bad(_) => "That did not work",
            Oops::Foreign(_) => "This request was not made here",
            Oops::Nobody(_) => "It is not known who asks",
            Oops::Malformed(_) => "That does not read",
            Oops::Conflict(_) | Oops::Outdated => "It stands differently now",
            Oops::TooLong => "That is too long",
            Oops::Unread(_) => "That is of another kind",
            Oops::NoSuchMethod => "That cannot be done here",
            Oops::Often(_) => "Too many tries",
            Oops::Unavailable(_) => "Not now",
            Oops::Waits { .. } => "It waits for a review",
        }
    }

    /// What to do, in a sentence.
    pub(crate) fn text(&self) -> String {
        match self {
            Oops::NotFound => {
                "The address may be mistyped, or what was here is gone, or it is not yours to see.".to_owned()
            }
            Oops::SignIn { .. } => "This is for people who have signed in.".to_owned(),
            Oops::Forbidden(text)
            | Oops::Bad(text)
            | Oops::Malformed(text)
            | Oops::Conflict(text)
            | Oops::Unavailable(text) => text.clone(),
            Oops::Nobody(text) | Oops::Unread(text) => (*text).to_owned(),
            Oops::Outdated => "It has changed since the version that If-Match names: read it again.".to_owned(),
            Oops::TooLong => "What was sent is longer than 64 KiB.".to_owned(),
            Oops::NoSuchMethod => "Allow says which methods this address has.".to_owned(),
            Oops::Waits { .. } => "Somebody else looks at it before it holds.".to_owned(),
            Oops::Often(seconds) => format!("Try again in {seconds} seconds."),
            Oops::Foreign(why) => format!("{why} Go back, load the page anew, and try again."),
        }
    }
}

impl IntoResponse for Oops {
    fn into_response(self) -> Response {
        let mut response = match &self {
            Oops::SignIn { to } => {
                let query = serde_urlencoded::to_string([("to", to)]).unwrap_or_default();
                return Redirect::to(&format!("/sign-in?{query}")).into_response();
            }
            Oops::Waits { to } => return Redirect::to(to).into_response(),
            other => other.status().into_response(),
        };
        if let Oops::Often(seconds) = &self {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
        }
        if let Oops::Nobody(_) = &self {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // The guard turns it into something to read.
        response.extensions_mut().insert(self);
        response
    }
}
