//! What can be asked for.

use std::fmt;

use portico_core::batch::Object;
use portico_core::key::ObjectKey;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::commit::CommitId;
use crate::text::FieldPath;

/// Somebody, as a commit names people.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Person {
    /// The name, in any script.
    pub name: String,
    /// The mail address.
    pub mail: String,
}

/// A text that cannot be an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected 1 to {longest} letters, digits, `-` and `_`")]
pub struct NotAnId {
    longest: usize,
}

fn id(text: &str, longest: usize) -> Result<&str, NotAnId> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let whole = (1..=longest).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('-');
    whole.then_some(text).ok_or(NotAnId { longest })
}

/// The id of a request, by which it can be followed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(String);

impl RequestId {
    /// An id of at most 64 letters, digits, `-` and `_`.
    ///
    /// # Errors
    ///
    /// [`NotAnId`].
    pub fn new(text: &str) -> Result<RequestId, NotAnId> {
        id(text, 64).map(|text| RequestId(text.to_owned()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// By which a request is known again when it is asked for once more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// A key of at most 128 letters, digits, `-` and `_`, such as a UUID.
    ///
    /// # Errors
    ///
    /// [`NotAnId`].
    pub fn new(text: &str) -> Result<IdempotencyKey, NotAnId> {
        id(text, 128).map(|text| IdempotencyKey(text.to_owned()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One change of desired state.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// The object says this, and is made where it is not there. Of a document that is there only what says something else is
    /// touched.
    Put(Box<Object>),
    /// One field of an object that is there says this. Only fields in `spec`, and labels and annotations, can be set.
    Set {
        /// The object.
        key: ObjectKey,
        /// The field. What is missing on the way to it is made.
        path: FieldPath,
        /// What it says.
        value: Json,
    },
    /// One field, or one entry of a list, is not there.
    Unset {
        /// The object.
        key: ObjectKey,
        /// The field or the entry.
        path: FieldPath,
    },
    /// The object is not there.
    Delete(ObjectKey),
}

impl Edit {
    /// The object that it is about.
    pub fn key(&self) -> ObjectKey {
        match self {
            Edit::Put(object) => object.key(),
            Edit::Set { key, .. } | Edit::Unset { key, .. } | Edit::Delete(key) => key.clone(),
        }
    }

    fn said(&self) -> Json {
        match self {
            Edit::Put(object) => json!(["put", object.key(), super::apply::spec(&object.spec)]),
            Edit::Set { key, path, value } => json!(["set", key, path.to_string(), value]),
            Edit::Unset { key, path } => json!(["unset", key, path.to_string()]),
            Edit::Delete(key) => json!(["delete", key]),
        }
    }
}

/// Edits that land together, as one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// By which it is followed: `Portico-Request` in the commit.
    pub id: RequestId,
    /// By which it is known when it is asked for again: `Portico-Idempotency-Key` in the commit.
    pub once: IdempotencyKey,
    /// Who wants it.
    pub author: Person,
    /// What it is, on one line. Line ends are taken out.
    pub summary: String,
    /// The commit that the person saw. What has changed since then in the same place is a conflict; absent, whatever stands
    /// there now is overwritten.
    pub base: Option<CommitId>,
    /// What to change, in this order.
    pub edits: Vec<Edit>,
    /// Whether it waits for somebody's approval on a branch of its own.
    pub review: bool,
}

impl Request {
    /// What tells whether another request wants the same.
    pub(crate) fn digest(&self) -> String {
        let Request { id: _, once: _, author, summary: _, base: _, edits, review } = self;
        let edits: Vec<Json> = edits.iter().map(Edit::said).collect();
        let said = json!([author.mail, review, edits]).to_string();
        Sha256::digest(said.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_safe_in_branches_and_trailers() {
        assert!(RequestId::new("0198-a_B").is_ok());
        for text in ["", "-x", "a/b", "..", "a.lock", "a b", "a\nApproved-by: x", "ä", &"a".repeat(65)] {
            assert!(RequestId::new(text).is_err(), "{text}");
        }
        assert!(IdempotencyKey::new(&"a".repeat(128)).is_ok());
    }
}
