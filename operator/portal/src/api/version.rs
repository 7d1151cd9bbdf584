//! Which version of something one has: an `ETag` of what was answered.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::BASE;
use crate::error::Oops;

/// The longest answer, in bytes. Lists have an end, and so has what objects say.
const MOST: usize = 64 << 20;

fn tag(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    format!("\"{}\"", digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Whether a list of tags has one. Tags are compared weakly, which is no difference to ours.
fn has(list: &str, tag: &str) -> bool {
    list.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

fn listed(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
    let all: Vec<&str> = values.collect();
    (!all.is_empty()).then(|| all.join(","))
}

/// Refuses to change what is not as it was when whoever asks has read it (`If-Match`).
pub(super) fn unchanged<T: Serialize>(headers: &HeaderMap, now: &T) -> Result<(), Oops> {
    let Some(wanted) = listed(headers, header::IF_MATCH) else { return Ok(()) };
    let bytes = serde_json::to_vec(now).map_err(|error| Oops::Unavailable(error.to_string()))?;
    if has(&wanted, &tag(&bytes)) { Ok(()) } else { Err(Oops::Outdated) }
}

/// Stands around the API: gives what is read a version, and does not send it again to whoever has it (`If-None-Match`).
pub(crate) async fn versioned(request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with(BASE);
    // What HEAD answers has no body to make a version of.
    let is_read = *request.method() == Method::GET;
    let known = listed(request.headers(), header::IF_NONE_MATCH);
    let response = next.run(request).await;
    if !is_api {
        return response;
    }
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !is_read || !is_json || response.status() != StatusCode::OK {
        let mut response = response;
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, MOST).await else {
        return Oops::Unavailable("The answer is too long.".to_owned()).into_response();
    };
    let tag = tag(&bytes);
    if let Ok(value) = HeaderValue::from_str(&tag) {
        parts.headers.insert(header::ETAG, value);
    }
    // Asked for anew each time, and sent only if it is another.
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    parts.headers.insert(header::VARY, HeaderValue::from_static("authorization, cookie"));
    if known.is_some_and(|known| has(&known, &tag)) {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.remove(header::CONTENT_TYPE);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::{has, tag};

    #[test]
    fn tags_are_found_in_lists() {
        let tag = tag(b"text");
        assert!(has(&tag, &tag) && has(&format!("\"a\", W/{tag}"), &tag) && has("*", &tag));
        assert!(!has("\"a\"", &tag) && !has("", &tag));
    }
}
