//! Errors for programs (RFC 9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Oops;

/// The media type of problems.
pub(super) const MEDIA: &str = "application/problem+json";

/// A problem, as RFC 9457 has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Problem {
    /// Which kind of problem it is, for programs: `urn:portico:problem:` and a word.
    r#type: String,
    /// The same in a few words.
    title: String,
    /// The status of the answer.
    status: u16,
    /// What happened, and what to do.
    detail: String,
}

fn answer(problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(problem)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What went wrong.
pub(crate) fn problem(oops: &Oops) -> Response {
    answer(Problem {
        r#type: format!("urn:portico:problem:{}", oops.code()),
        title: oops.title().to_owned(),
        status: oops.status().as_u16(),
        detail: oops.text(),
    })
}

/// What was refused before any handler saw it is a problem too.
pub(crate) fn told(response: Response) -> Response {
    let status = response.status();
    let is_told = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == MEDIA);
    if is_told || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let reason = status.canonical_reason().unwrap_or("Error").to_owned();
    answer(Problem {
        r#type: "about:blank".to_owned(),
        detail: format!("{reason}: the request is not one that this address takes."),
        title: reason,
        status: status.as_u16(),
    })
}
