//! OpenAPI documents, read once for a revision of what is read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use portico_core::key::Name;

use crate::openapi::{self, Reference};

/// So many documents are kept.
const MOST: usize = 64;

/// A document as it reads; else why not, in a sentence.
pub(crate) type Read = Arc<Result<Reference, String>>;

/// Documents of the newest revision that somebody has asked for.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    revision: String,
    /// By product and version.
    read: HashMap<(Name, String), Read>,
}

impl Documents {
    /// What a product's version says, if that was read already at this revision.
    pub(crate) fn known(&self, revision: &str, product: &Name, version: &str) -> Option<Read> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.revision == revision).then(|| kept.read.get(&(product.clone(), version.to_owned())).cloned()).flatten()
    }

    /// Reads a document where nobody waits for it but whoever asked, and keeps it for others.
    pub(crate) async fn read(
        &self,
        revision: Option<String>,
        product: &Name,
        version: &str,
        text: Result<String, String>,
    ) -> Read {
        // What cannot be had now may be had in a moment.
        let revision = revision.filter(|_| text.is_ok());
        let read = match text {
            // A long document takes its time, and others have theirs.
            Ok(text) => tokio::task::spawn_blocking(move || openapi::read(&text))
                .await
                .unwrap_or_else(|_| Err("it takes too long to read".to_owned())),
            Err(why) => Err(why),
        };
        let read = Arc::new(read);
        if let Some(revision) = revision {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.revision != revision || kept.read.len() >= MOST {
                kept.read.clear();
                kept.revision = revision;
            }
            kept.read.insert((product.clone(), version.to_owned()), read.clone());
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_document_is_kept_for_its_revision() {
        let (documents, product) = (Documents::default(), Name::new("a", "b"));
        let text = || Ok("openapi: 3.1.0\npaths: {}".to_owned());
        assert!(documents.read(Some("one".to_owned()), &product, "v1", text()).await.is_ok());
        assert!(documents.known("one", &product, "v1").is_some());
        assert!(documents.known("one", &product, "v2").is_none());
        assert!(documents.known("two", &product, "v1").is_none());
        assert!(documents.read(Some("one".to_owned()), &product, "v2", Err("gone".to_owned())).await.is_err());
        assert!(documents.known("one", &product, "v2").is_none(), "what cannot be had is asked for again");
        documents.read(Some("two".to_owned()), &product, "v2", text()).await;
        assert!(documents.known("one", &product, "v1").is_none(), "only the newest is kept");
        documents.read(None, &product, "v3", text()).await;
        assert!(documents.known("two", &product, "v3").is_none(), "nobody can tell when it changes");
    }
}
