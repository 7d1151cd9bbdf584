//! What the portal needs besides the core: files, keys, and somebody who writes to Git. A front end implements it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use jiff::Timestamp;
use portico_core::api_key::ApiKey;
use portico_core::batch::Object;
use portico_core::diagnostic::Diagnostic;
use portico_core::key::{Name, ObjectKey};
use serde_json::Value;

use crate::past::{Asked, Past};
use crate::waiting::{Fate, Verdict, Waiting};

/// Whoever runs the portal.
pub trait Host: Send + Sync + 'static {
    /// What is read now, as a word that changes with it: a commit. Whatever was made of files is good for as long as it stays.
    fn revision(&self) -> BoxFuture<'_, Option<String>>;

    /// A file that a product names, by its path relative to the product's own file; one in a `ConfigMap` as `NAME/KEY`. `None`:
    /// there is no such file.
    fn file<'a>(&'a self, product: &'a Name, path: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, HostError>>;

    /// A secret that a Portal names: in its namespace, under a key, which may be left out where there is one only.
    fn secret<'a>(&'a self, secret: &'a Name, key: Option<&'a str>) -> BoxFuture<'a, Result<String, HostError>>;

    /// The keys of a credential that exist, newest first.
    fn keys<'a>(&'a self, credential: &'a Name) -> BoxFuture<'a, Result<Vec<Key>, HostError>>;

    /// Remembers for good that the key with this fingerprint is shown to somebody. Answers whether that is the first time.
    fn shown<'a>(&'a self, fingerprint: &'a str) -> BoxFuture<'a, Result<bool, HostError>>;

    /// Whether the key with this fingerprint was shown to somebody.
    fn was_shown<'a>(&'a self, fingerprint: &'a str) -> BoxFuture<'a, bool>;

    /// Whether wishes can be carried out here at all.
    fn writes(&self) -> bool;

    /// Carries out a wish, whole or not at all. What it answers has landed for good.
    fn submit(&self, wish: Wish) -> BoxFuture<'_, Result<Landed, Refused>>;

    /// Whether what is read now has a commit in it that something landed as.
    fn has_read<'a>(&'a self, commit: &'a str) -> BoxFuture<'a, Result<bool, HostError>>;

    /// Remembers a text for good, by a kind and a name of it, in place of what was remembered there; `None` forgets it. When it answers, it is so
    /// after a restart too. Both have letters, digits and `-` only, and a name at most 64. The portal keeps little there, and nothing
    /// that opens anything: digests of tokens, and whose they are. It is for the portal alone all the same.
    ///
    /// # Errors
    ///
    /// When nothing can be kept here, or not now.
    fn remember<'a>(
        &'a self,
        kind: &'static str,
        name: &'a str,
        what: Option<String>,
    ) -> BoxFuture<'a, Result<(), HostError>> {
        let _ = (kind, name, what);
        ready(Err(HostError("nothing can be kept here".to_owned()))).boxed()
    }

    /// All that is remembered of a kind, by name. It is asked with every call of a program, so it answers from memory.
    ///
    /// # Errors
    ///
    /// When it cannot be had now.
    fn recall(&self, kind: &'static str) -> BoxFuture<'_, Result<Arc<Remembered>, HostError>> {
        let _ = kind;
        ready(Ok(Arc::default())).boxed()
    }

    /// Whether somebody else brings what is written to where it is read, as Argo CD and Flux do, in their own time.
    fn is_synced(&self) -> bool {
        false
    }

    /// A part of the history of what is read now.
    fn history(&self, asked: Asked) -> BoxFuture<'_, Result<Past, HostError>>;

    /// Wishes that wait for somebody's review.
    fn waiting(&self) -> BoxFuture<'_, Result<Vec<Waiting>, HostError>>;

    /// Takes in a wish that waits, or turns it down.
    fn answer(&self, verdict: Verdict) -> BoxFuture<'_, Result<Landed, Refused>>;

    /// What became of a wish that waited.
    fn fate<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Fate, HostError>>;
}

/// What is remembered of a kind, by name.
pub type Remembered = BTreeMap<String, String>;

/// A key, for the one page that shows it.
#[derive(Clone)]
pub struct Key {
    /// Which generation of its credential it is.
    pub generation: i64,
    /// When it was made.
    pub made_at: Timestamp,
    /// The key itself.
    pub key: ApiKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation {} [redacted]", self.generation)
    }
}

/// Something cannot be had now.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct HostError(pub String);

/// What somebody wants to be different.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// By which it is followed.
    pub id: String,
    /// By which it is known when it is sent again.
    pub once: String,
    /// The name of whoever wants it.
    pub name: String,
    /// And the mail address.
    pub mail: String,
    /// What it is, on one line.
    pub summary: String,
    /// The commit that its page was made for: what has changed since then in the same place is a conflict.
    pub base: Option<String>,
    /// Whether it waits until somebody else has looked at it.
    pub review: bool,
    /// What is to be different, in this order.
    pub edits: Vec<Edit>,
}

/// One change of desired state.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// The object says this, and is made where it is not there.
    Put(Box<Object>),
    /// One field of an object says this.
    Set {
        /// The object.
        key: ObjectKey,
        /// The field: `spec.disabled`.
        path: &'static str,
        /// What it says.
        value: Value,
    },
    /// One field of an object is not there.
    Unset {
        /// The object.
        key: ObjectKey,
        /// The field.
        path: &'static str,
    },
    /// The object is not there.
    Delete(ObjectKey),
}

/// A wish that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed {
    /// The commit that it became.
    pub commit: String,
    /// By which it is followed, where it waits for somebody's review and nothing is different yet.
    pub waits: Option<String>,
}

/// A wish that was not carried out: nothing is different, unless it says so.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    /// It would not do what is wanted.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Problems(Vec<Diagnostic>),
    /// Somebody else has changed the same in the meantime.
    #[error("somebody has changed the same in the meantime: {0}")]
    Conflict(String),
    /// The same form was sent before, and carried out as it said something else.
    #[error("this form was sent before, and said something else then")]
    SentBefore,
    /// It cannot be written now.
    #[error("{0}")]
    Unavailable(String),
    /// Nobody knows whether it was written: sent again, it is carried out once.
    #[error("{0}")]
    Unsure(String),
}
