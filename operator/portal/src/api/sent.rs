//! What programs send: a body, a query, a key by which a write is known when it is sent again; and a part of a long list.

use std::borrow::Cow;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portico_core::key::Name;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::error::Oops;
use crate::people::Person;
use crate::portal::Portal;

/// Where the key of a write is.
const KEY: &str = "idempotency-key";
/// Parts of a list when nobody says how long.
const USUAL: usize = 50;
/// And the longest.
const LONGEST: usize = 100;

/// A query that says this and nothing else.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Portal> for Asked<T> {
    type Rejection = Oops;

    async fn from_request_parts(parts: &mut Parts, _: &Portal) -> Result<Self, Oops> {
        query(parts.uri.query().unwrap_or_default()).map(Asked)
    }
}

fn query<T: DeserializeOwned>(text: &str) -> Result<T, Oops> {
    serde_urlencoded::from_str(text).map_err(|error| Oops::Malformed(format!("The query does not read: {error}.")))
}

/// The query of a list: what is sought, and which part of it.
#[derive(Debug)]
pub(super) struct Listed<T> {
    pub(super) sought: T,
    pub(super) part: Part,
}

impl<T: DeserializeOwned> FromRequestParts<Portal> for Listed<T> {
    type Rejection = Oops;

    async fn from_request_parts(parts: &mut Parts, _: &Portal) -> Result<Self, Oops> {
        let pairs: Vec<(String, String)> = query(parts.uri.query().unwrap_or_default())?;
        let (part, sought): (Vec<_>, Vec<_>) =
            pairs.into_iter().partition(|(name, _)| matches!(name.as_str(), "limit" | "cursor"));
        let apart = |pairs| serde_urlencoded::to_string::<Vec<(String, String)>>(pairs).unwrap_or_default();
        let Wanted { limit, cursor } = query(&apart(part))?;
        Ok(Listed { sought: query(&apart(sought))?, part: Part::new(limit, cursor.as_deref())? })
    }
}

impl<T: JsonSchema> JsonSchema for Listed<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}List", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (mut sought, mut part) = (T::json_schema(generator), Wanted::json_schema(generator));
        let fields = |schema: &mut Schema| match schema.get_mut("properties").map(Value::take) {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        let mut all = fields(&mut sought);
        all.append(&mut fields(&mut part));
        sought.insert("properties".to_owned(), Value::Object(all));
        sought
    }
}

/// What a write is known by when it is sent again.
#[derive(Clone, Debug)]
pub(super) struct Once {
    /// What whoever sends it calls it.
    pub(super) key: Option<String>,
    /// What the whole request says.
    pub(super) said: [u8; 32],
}

impl Once {
    fn read(headers: &HeaderMap, parts: [&[u8]; 3]) -> Result<Once, Oops> {
        let key = headers.get(KEY).map(|key| key.to_str().unwrap_or_default());
        let fits = |key: &&str| {
            (1..=64).contains(&key.len())
                && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if key.is_some_and(|key| !fits(&key)) {
            return Err(Oops::Malformed("`Idempotency-Key` has 1 to 64 letters, digits, `-` and `_`.".to_owned()));
        }
        let mut said = Sha256::new();
        for part in parts {
            said.update(Sha256::digest(part));
        }
        Ok(Once { key: key.map(str::to_owned), said: said.finalize().into() })
    }

    /// The key as it is written down: somebody's own, since others may call theirs the same. Empty where there is none.
    pub(super) fn word(&self, person: &Person) -> String {
        let Some(key) = &self.key else { return String::new() };
        let digest = Sha256::digest(format!("{}\n{key}", person.mail.to_lowercase()).as_bytes());
        digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A write with a body in JSON.
#[derive(Debug)]
pub(super) struct Sent<T> {
    pub(super) said: T,
    pub(super) once: Once,
    pub(super) headers: HeaderMap,
}

impl<T: DeserializeOwned> FromRequest<Portal> for Sent<T> {
    type Rejection = Oops;

    async fn from_request(request: Request, portal: &Portal) -> Result<Self, Oops> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence != "application/json" && !(essence.starts_with("application/") && essence.ends_with("+json")) {
            return Err(Oops::Unread("The body has to be JSON: `Content-Type: application/json`."));
        }
        let (headers, method, uri) = (request.headers().clone(), request.method().clone(), request.uri().clone());
        let body = Bytes::from_request(request, portal).await.map_err(|_| Oops::TooLong)?;
        let Object(said) = serde_json::from_slice(&body).map_err(|error| {
            let text = format!("The body does not read: {error}.");
            if error.is_data() { Oops::Bad(text) } else { Oops::Malformed(text) }
        })?;
        let once = Once::read(&headers, [method.as_str().as_bytes(), uri.path().as_bytes(), &body])?;
        Ok(Sent { said, once, headers })
    }
}

/// An object in JSON. Of itself a type also reads a list of its fields in their order, which nobody means.
#[derive(Clone, Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Map::deserialize(deserializer)?;
        serde_json::from_value(Value::Object(object)).map(Object).map_err(D::Error::custom)
    }
}

impl<T: JsonSchema> JsonSchema for Object<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A write that its address and method say all about.
#[derive(Debug)]
pub(super) struct Bare {
    pub(super) once: Once,
    pub(super) headers: HeaderMap,
}

impl FromRequestParts<Portal> for Bare {
    type Rejection = Oops;

    async fn from_request_parts(parts: &mut Parts, _: &Portal) -> Result<Self, Oops> {
        let once = Once::read(&parts.headers, [parts.method.as_str().as_bytes(), parts.uri.path().as_bytes(), b""])?;
        Ok(Bare { once, headers: parts.headers.clone() })
    }
}

/// Which part of a list.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) limit: usize,
    /// What the part before ended with.
    after: Option<String>,
}

/// A list, or a part of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    /// The cursor of the next part; it is not there where this is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

impl Part {
    fn new(limit: Option<u32>, cursor: Option<&str>) -> Result<Part, Oops> {
        let limit = limit.map_or(USUAL, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        if !(1..=LONGEST).contains(&limit) {
            return Err(Oops::Malformed(format!("`limit` is between 1 and {LONGEST}.")));
        }
        let wrong = || Oops::Malformed("`cursor` is none that was given out here.".to_owned());
        let after = cursor.map(|cursor| {
            if cursor.is_empty() {
                return Err(wrong());
            }
            let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
            String::from_utf8(bytes).map_err(|_| wrong())
        });
        Ok(Part { limit, after: after.transpose()? })
    }

    /// The names of this part, of names in order, and the cursor of the next.
    pub(super) fn of(&self, names: impl IntoIterator<Item = Name>) -> (Vec<Name>, Option<String>) {
        let is_later = |name: &Name| self.after.as_ref().is_none_or(|after| name.to_string() > *after);
        let mut names: Vec<Name> = names.into_iter().filter(is_later).collect();
        names.sort_by_cached_key(ToString::to_string);
        let is_cut = names.len() > self.limit;
        names.truncate(self.limit);
        let next = names.last().filter(|_| is_cut).map(|last| cursor(&last.to_string()));
        (names, next)
    }

    /// How many come before this part, where parts are counted.
    pub(super) fn from(&self) -> Result<usize, Oops> {
        let wrong = || Oops::Malformed("`cursor` is none that was given out here.".to_owned());
        self.after.as_ref().map_or(Ok(0), |after| after.parse().map_err(|_| wrong()))
    }

    /// The cursor of what comes after this part, of so many.
    pub(super) fn next_of(&self, from: usize, all: usize) -> Option<String> {
        let next = from.saturating_add(self.limit);
        (next < all).then(|| cursor(&next.to_string()))
    }
}

fn cursor(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

impl<T: Serialize> List<T> {
    /// The answer, with a `Link` to the next part.
    pub(super) fn answer(self, uri: &Uri) -> Response {
        let link = self.next.as_ref().and_then(|next| {
            let mut pairs: Vec<(String, String)> =
                serde_urlencoded::from_str(uri.query().unwrap_or_default()).unwrap_or_default();
            pairs.retain(|(name, _)| name != "cursor");
            pairs.push(("cursor".to_owned(), next.clone()));
            let query = serde_urlencoded::to_string(pairs).ok()?;
            HeaderValue::from_str(&format!("<{}?{query}>; rel=\"next\"", uri.path())).ok()
        });
        let mut response = Json(self).into_response();
        if let Some(link) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

/// Nothing is sought in particular.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Everything {}

/// Which part, as a query says it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// How many items at most.
    #[schemars(range(min = 1, max = 100))]
    limit: Option<u32>,
    /// What the part before gave as `next`.
    #[schemars(length(min = 1, max = 512))]
    cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_whole() {
        let names: Vec<Name> = (0..7).map(|index| Name::new("a", format!("n{index}"))).collect();
        let (mut seen, mut at) = (Vec::new(), None::<String>);
        loop {
            let part = Part::new(Some(3), at.as_deref()).unwrap();
            let (some, next) = part.of(names.clone());
            assert!(some.len() <= 3);
            seen.extend(some);
            let Some(next) = next else { break };
            at = Some(next);
        }
        assert_eq!(seen, names);
        assert!(Part::new(Some(0), None).is_err() && Part::new(Some(101), None).is_err());
        assert!(Part::new(None, Some("%")).is_err() && Part::new(None, Some("")).is_err());
    }
}
