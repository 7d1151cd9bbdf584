//! Follows the objects in a cluster. Nothing that happened is left out: after a lost connection everything is listed anew,
//! and what is missing from the list is told to be gone.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::client::Body;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource};
use portico_core::intern::Interner;
use portico_core::key::{Kind, Name, ObjectKey};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::read::{self, Documents, Met};
use crate::secret::{self, Delivered};
use crate::uid::Uid;

/// How many objects the API server sends at once.
const PAGE: u32 = 500;
/// How long a page of a list may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How much may be told and not yet heard; more waits at the API server.
const BUFFER: usize = 1024;

/// What is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only these namespaces; all of them if there is none.
    pub namespaces: Vec<String>,
    /// Where Secrets are; as `namespaces` if there is none.
    pub secret_namespaces: Vec<String>,
}

/// What there is to tell.
#[derive(Debug)]
pub enum Seen {
    /// An object is there, and this is how it is now.
    Object(Box<Met>),
    /// An object is gone.
    ObjectGone(ObjectKey),
    /// A Secret of Portico's is there.
    Secret(Box<Delivered>),
    /// A Secret with certificates is there.
    Certificates(Name, BTreeMap<String, String>),
    /// A Secret is gone, or no longer concerns Portico. Which one, if that was told: another one may have its name by now.
    SecretGone(Name, Option<Uid>),
    /// A `ConfigMap` with documents is there.
    Documents(Documents),
    /// A `ConfigMap` with documents is gone.
    DocumentsGone(Name),
    /// Everything that a source has was told, from the first listing or another one.
    Listed(Source),
    /// A source cannot be followed for now.
    Failing(Source, String),
}

/// One stream of objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// The kind of objects.
    pub kind: &'static str,
    /// The namespace; `None` is all of them.
    pub namespace: Option<String>,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} in namespace {namespace}", self.kind),
            None => write!(f, "{} in all namespaces", self.kind),
        }
    }
}

/// The custom resource of a kind.
pub fn resource(kind: Kind) -> ApiResource {
    let (group, version) = (portico_crds::GROUP, portico_crds::VERSION);
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind.as_str()))
}

/// A client that gives up a request that is not answered in time: a list has to come whole, a watch has to begin. What a watch
/// has to tell comes whenever there is something.
fn impatient(client: &Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let client = client.clone();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let client = client.clone();
        async move {
            let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            let answer = async {
                let (head, body) = client.send(request).await?.into_parts();
                let body = if is_watch { body } else { Body::from(body.collect_bytes().await?) };
                Ok::<_, tower::BoxError>(http::Response::from_parts(head, body))
            };
            let slow = |_| io::Error::new(io::ErrorKind::TimedOut, "the API server did not answer in time");
            timeout(PATIENCE, answer).await.map_err(slow)?
        }
    });
    Client::new(service, namespace)
}

/// Begins to follow everything; the sources are those that have to be [`Seen::Listed`] before the picture is whole.
pub fn watch(client: &Client, scope: &Scope) -> (mpsc::Receiver<Seen>, Vec<Source>) {
    let client = &impatient(client);
    let (out, seen) = mpsc::channel(BUFFER);
    let names = Known::default();
    let mut sources = Vec::new();
    for namespace in places(&scope.namespaces) {
        for kind in Kind::ALL {
            let source = Source { kind: kind.as_str(), namespace: namespace.clone() };
            let resource = resource(kind);
            let api: Api<DynamicObject> = match &namespace {
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
                None => Api::all_with(client.clone(), &resource),
            };
            let tell = move |found| read::object(kind, found).map(|met| Seen::Object(Box::new(met)));
            let gone = move |name: Name, _| Seen::ObjectGone(name.of(kind));
            tokio::spawn(follow(
                api,
                watcher::Config::default(),
                source.clone(),
                names.clone(),
                tell,
                gone,
                out.clone(),
            ));
            sources.push(source);
        }
        let source = Source { kind: "ConfigMap", namespace: namespace.clone() };
        let labelled = watcher::Config::default().labels(read::PRODUCT_LABEL);
        let tell = |found: ConfigMap| read::documents(found).map(Seen::Documents);
        let api = typed::<ConfigMap>(client, namespace.as_deref());
        tokio::spawn(follow(
            api,
            labelled,
            source.clone(),
            names.clone(),
            tell,
            |name, _| Seen::DocumentsGone(name),
            out.clone(),
        ));
        sources.push(source);
    }
    let wanted = if scope.secret_namespaces.is_empty() { &scope.namespaces } else { &scope.secret_namespaces };
    for namespace in places(wanted) {
        let source = Source { kind: "Secret", namespace: namespace.clone() };
        let labelled = watcher::Config::default().labels(secret::LABEL);
        let tell = |found: Secret| {
            let delivered = secret::read(&found).map(|found| Seen::Secret(Box::new(found)));
            delivered.or_else(|| secret::certificates(&found).map(|(name, texts)| Seen::Certificates(name, texts)))
        };
        let api = typed::<Secret>(client, namespace.as_deref());
        tokio::spawn(follow(api, labelled, source.clone(), names.clone(), tell, Seen::SecretGone, out.clone()));
        sources.push(source);
    }
    (seen, sources)
}

fn places(namespaces: &[String]) -> Vec<Option<String>> {
    if namespaces.is_empty() { vec![None] } else { namespaces.iter().cloned().map(Some).collect() }
}

fn typed<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Names that sources know. What belongs together often has the same one.
type Known = Arc<Mutex<Interner<Name>>>;

fn intern(names: &Known, name: &Name) -> Name {
    names.lock().unwrap_or_else(PoisonError::into_inner).intern(name)
}

/// Follows one source until nobody listens.
async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    source: Source,
    names: Known,
    tell: impl Fn(K) -> Option<Seen>,
    gone: impl Fn(Name, Option<Uid>) -> Seen,
    out: mpsc::Sender<Seen>,
) where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    let mut known: HashSet<Name> = HashSet::new();
    // While a listing is under way: what was known and has not been listed yet.
    let mut missing: HashSet<Name> = HashSet::new();
    let mut stream = watcher(api, config.page_size(PAGE)).default_backoff().into_stream().boxed();
    loop {
        let event = match stream.try_next().await {
            Ok(Some(event)) => event,
            Ok(None) => return,
            Err(error) => {
                let message = describe(&error);
                tracing::warn!(%source, error = message, "cannot follow");
                if out.send(Seen::Failing(source.clone(), message)).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let mut told = Vec::new();
        match event {
            Event::Init => missing = known.clone(),
            Event::InitApply(found) | Event::Apply(found) => {
                if let Some(name) = read::name_of(&found) {
                    missing.remove(&name);
                    let uid = read::uid_of(&found);
                    if let Some(seen) = tell(found) {
                        if !known.contains(&name) {
                            known.insert(intern(&names, &name));
                        }
                        told.push(seen);
                    } else if known.remove(&name) {
                        told.push(gone(name, uid));
                    }
                }
            }
            Event::InitDone => {
                for name in missing.drain() {
                    known.remove(&name);
                    told.push(gone(name, None));
                }
                told.push(Seen::Listed(source.clone()));
            }
            Event::Delete(found) => {
                if let Some(name) = read::name_of(&found).filter(|name| known.remove(name)) {
                    told.push(gone(name, read::uid_of(&found)));
                }
            }
        }
        for seen in told {
            if out.send(seen).await.is_err() {
                return;
            }
        }
    }
}

/// The error with what led to it, in one line.
fn describe(error: &watcher::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}
