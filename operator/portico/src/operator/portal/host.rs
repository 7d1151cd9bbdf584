//! What the portal needs besides the core, out of the cluster: texts of `ConfigMaps`, Secrets, and the repository.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use portico_core::key::Name;
use portico_kube::portal::Memory;
use portico_portal::{Asked, Fate, Host, HostError, Key, Landed, Past, Reading, Refused, Verdict, Waiting, Wish};
use tokio::sync::{mpsc, oneshot};

use super::written::Written;
use crate::operator::engine::{Engine, Question};
use crate::operator::held::Held;
use crate::portal::{repository, stopping};
use crate::up::chain;

/// The operator as the portal sees it.
pub struct InCluster {
    pub reading: Reading,
    pub held: Arc<Held>,
    pub memory: Memory,
    pub questions: mpsc::UnboundedSender<Question>,
    pub written: Written,
}

impl InCluster {
    /// Asks the engine, between two of its steps.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, HostError> {
        let (reply, answer) = oneshot::channel();
        let question = Box::new(move |engine: &Engine| drop(reply.send(question(engine))));
        self.questions.send(question).map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }
}

impl Host for InCluster {
    fn revision(&self) -> BoxFuture<'_, Option<String>> {
        self.ask(|engine| engine.documents.revision().to_string()).map(Result::ok).boxed()
    }

    fn file<'a>(&'a self, product: &'a Name, path: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, HostError>> {
        let (product, path) = (product.clone(), path.to_owned());
        let text = self.ask(move |engine| engine.documents.file(&product, &path));
        text.map(|found| Ok(found?.map(|text| text.as_bytes().to_vec()))).boxed()
    }

    fn secret<'a>(&'a self, secret: &'a Name, key: Option<&'a str>) -> BoxFuture<'a, Result<String, HostError>> {
        let found = self.held.only(secret, key);
        let found = found.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()).ok_or_else(|| {
            HostError(format!(
                "there is no Secret {secret} with the label `portico.dev/secret: sign-in` and {}",
                key.map_or("exactly one key".to_owned(), |key| format!("the key `{key}`"))
            ))
        });
        ready(found).boxed()
    }

    fn keys<'a>(&'a self, credential: &'a Name) -> BoxFuture<'a, Result<Vec<Key>, HostError>> {
        let keys = self.held.of(credential).into_iter().rev();
        let keys = keys.map(|held| Key { generation: held.generation, made_at: held.at, key: held.key });
        ready(Ok(keys.collect())).boxed()
    }

    fn shown<'a>(&'a self, fingerprint: &'a str) -> BoxFuture<'a, Result<bool, HostError>> {
        async move {
            let there: OnceLock<HashSet<Arc<str>>> = OnceLock::new();
            let is_there = |known: &str| there.get_or_init(|| self.held.fingerprints()).contains(known);
            let shown = self.memory.show(fingerprint, is_there).await;
            shown.map_err(|error| {
                HostError(format!("it cannot be written down that the key was shown: {}", chain(&error)))
            })
        }
        .boxed()
    }

    fn was_shown<'a>(&'a self, fingerprint: &'a str) -> BoxFuture<'a, bool> {
        async move {
            self.memory.was_shown(fingerprint).await.unwrap_or_else(|error| {
                tracing::warn!(error = chain(&error), "it cannot be told whether a key was shown");
                // To ask for it settles it.
                false
            })
        }
        .boxed()
    }

    fn writes(&self) -> bool {
        self.reading.look(repository).is_some()
    }

    fn submit(&self, wish: Wish) -> BoxFuture<'_, Result<Landed, Refused>> {
        self.written.submit(wish).boxed()
    }

    fn has_read<'a>(&'a self, commit: &'a str) -> BoxFuture<'a, Result<bool, HostError>> {
        self.written.is_synced(commit).boxed()
    }

    fn is_synced(&self) -> bool {
        true
    }

    fn history(&self, asked: Asked) -> BoxFuture<'_, Result<Past, HostError>> {
        self.written.history(asked).boxed()
    }

    fn waiting(&self) -> BoxFuture<'_, Result<Vec<Waiting>, HostError>> {
        self.written.waiting().boxed()
    }

    fn answer(&self, verdict: Verdict) -> BoxFuture<'_, Result<Landed, Refused>> {
        self.written.answer(verdict).boxed()
    }

    fn fate<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Fate, HostError>> {
        self.written.fate(id).boxed()
    }
}
