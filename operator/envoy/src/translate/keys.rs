//! The API keys of an environment, in shards.
//!
//! A shard is one filter configuration that Envoy asks for by name (`keys/<shard>`). It says which keys there are and
//! what each stands for; see [`client`]. All keys that Portico did not make are in one, and so is every request with a key
//! that no other shard may have. A key that is added or taken away changes one shard and nothing else.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::extensions::filters::http::api_key_auth::v3 as auth;
use portico_core::api_key::{self, ApiKey};
use portico_core::gateway::Client;
use portico_core::key::Name;
use prost::Name as _;

use super::{CLIENT_HEADER, KeySource, wire};

/// How many shards there are.
pub(super) const SHARDS: usize = 1024 + 1;

/// Of what type a shard is.
pub(super) fn type_url() -> String {
    auth::ApiKeyAuth::type_url()
}

/// The name under which Envoy asks for a shard.
pub(super) fn resource_name(shard: &str) -> String {
    format!("keys/{shard}")
}

/// The names of all shards, by place.
pub(super) fn names() -> impl Iterator<Item = String> {
    api_key::shards().chain([api_key::FOREIGN.to_owned()])
}

/// The keys of an environment.
#[derive(Debug)]
pub(super) struct Keys {
    shards: Vec<Shard>,
    places: HashMap<String, u16>,
    clients: HashMap<Name, Held>,
}

/// What is remembered of a client, so that it can be taken away without asking for its keys again.
#[derive(Debug)]
struct Held {
    /// Shared with the entries of its keys; by this very pointer they are found.
    client: Arc<str>,
    shards: Box<[u16]>,
}

#[derive(Debug, Default)]
struct Shard {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    key: ApiKey,
    client: Arc<str>,
}

/// What a change of a client did to a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Touched {
    /// Which one.
    pub(super) shard: u16,
    /// Whether anything that was good before is not any more.
    pub(super) lost: bool,
}

impl Keys {
    pub(super) fn new() -> Self {
        let places = names().zip(0u16..).collect();
        Keys { shards: (0..SHARDS).map(|_| Shard::default()).collect(), places, clients: HashMap::new() }
    }

    /// How many clients there are.
    pub(super) fn clients(&self) -> usize {
        self.clients.len()
    }

    /// How many keys a shard has.
    pub(super) fn count(&self, shard: u16) -> usize {
        self.shards.get(usize::from(shard)).map_or(0, |shard| shard.entries.len())
    }

    /// The credential is good for this and nothing else, from now on.
    pub(super) fn put(&mut self, wanted: &Client, source: &dyn KeySource) -> Vec<Touched> {
        let mut touched = self.remove(&wanted.credential);
        let client: Arc<str> = client(wanted).into();
        let mut shards = Vec::with_capacity(wanted.generations.len());
        for key in wanted.generations.iter().filter_map(|one| source.key(&wanted.credential, *one)) {
            let Some(place) = self.places.get(key.shard()).copied() else { continue };
            let Some(shard) = self.shards.get_mut(usize::from(place)) else { continue };
            if shard.entries.iter().any(|entry| entry.key == key) {
                // Envoy refuses a whole shard over one key that stands in it twice.
                tracing::warn!(credential = %wanted.credential, "a key is held by two credentials; the first one keeps it");
                continue;
            }
            shard.entries.push(Entry { key, client: client.clone() });
            shards.push(place);
            if !touched.iter().any(|one| one.shard == place) {
                touched.push(Touched { shard: place, lost: false });
            }
        }
        self.clients.insert(wanted.credential.clone(), Held { client, shards: shards.into() });
        touched
    }

    /// The credential is good for nothing, from now on.
    pub(super) fn remove(&mut self, credential: &Name) -> Vec<Touched> {
        let Some(held) = self.clients.remove(credential) else { return Vec::new() };
        let mut touched: Vec<Touched> = Vec::with_capacity(held.shards.len());
        for place in held.shards {
            if let Some(shard) = self.shards.get_mut(usize::from(place)) {
                shard.entries.retain(|entry| !Arc::ptr_eq(&entry.client, &held.client));
            }
            touched.push(Touched { shard: place, lost: true });
        }
        touched.sort_by_key(|one| one.shard);
        touched.dedup();
        touched
    }

    /// The shard's name, such as `0a`, by its place.
    pub(super) fn name(place: u16) -> String {
        names().nth(usize::from(place)).unwrap_or_default()
    }

    /// The credentials that have keys in a shard, in order.
    pub(super) fn credentials(&self, place: u16) -> Vec<Name> {
        let mut names: Vec<_> = self
            .clients
            .iter()
            .filter(|(_, held)| held.shards.contains(&place))
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        names
    }

    /// A shard as Envoy wants it.
    pub(super) fn shard(&self, place: u16, header: &str) -> TypedExtensionConfig {
        let mut credentials: Vec<_> = self
            .shards
            .get(usize::from(place))
            .map(|shard| shard.entries.as_slice())
            .unwrap_or_default()
            .iter()
            .map(|entry| auth::Credential {
                key: entry.key.expose().to_owned(),
                client: entry.client.as_ref().to_owned(),
            })
            .collect();
        credentials.sort_by(|a, b| a.key.cmp(&b.key));
        wire::extension(&resource_name(&Keys::name(place)), &filter(header, credentials))
    }
}

fn filter(header: &str, credentials: Vec<auth::Credential>) -> auth::ApiKeyAuth {
    auth::ApiKeyAuth {
        credentials,
        key_sources: vec![auth::KeySource { header: header.to_owned(), ..auth::KeySource::default() }],
        forwarding: Some(auth::Forwarding { header: CLIENT_HEADER.to_owned(), hide_credentials: true }),
    }
}

/// What a key stands for: `<application>|<plan>|<plan>|s:<product>:<scope>|`. A `|` stands on both sides of every plan
/// and scope, and in no name, so that a search for `|<plan>|` finds that plan only.
fn client(client: &Client) -> String {
    let mut text = format!("{}|", client.application);
    for plan in client.plans.iter() {
        let _ = write!(text, "{plan}|");
    }
    for scope in client.scopes.iter() {
        let _ = write!(text, "s:{}:{}|", scope.product, scope.scope);
    }
    text
}

/// What to search for to know that a client has a plan.
pub(super) fn has_plan(plan: &Name) -> String {
    format!("|{plan}|")
}

/// What to search for to know that a client has a scope.
pub(super) fn has_scope(product: &Name, scope: &str) -> String {
    format!("|s:{product}:{scope}|")
}
