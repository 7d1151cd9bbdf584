//! Gateway intent to Envoy resources. No I/O; the same input gives the same resources.

mod cells;
mod clusters;
mod keys;
pub(crate) mod limits;
mod listener;
mod paths;
mod routes;
mod secrets;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::Secret;
use envoy_types::pb::google::protobuf::Any;
use portico_core::api_key::ApiKey;
use portico_core::gateway::{Api, Client, Gateway};
use portico_core::key::{Kind, Name, ObjectKey};
use prost::Name as _;
use sha2::{Digest, Sha256};

/// The request header in which Envoy tells itself which plans and scopes a client has. It never leaves Envoy.
const CLIENT_HEADER: &str = "x-portico-client";
/// Where Envoy notes what later filters need.
const METADATA: &str = "portico";
/// The note that says whose request it is.
const APPLICATION_KEY: &str = "application";
/// The name of the route table.
const ROUTES: &str = "portico";

/// Finds the keys of credentials.
pub trait KeySource: Send + Sync {
    /// The key of a generation of a credential; none where it is not made yet, or gone.
    fn key(&self, credential: &Name, generation: i64) -> Option<ApiKey>;
}

/// Finds certificates.
pub trait CertificateSource: Send + Sync {
    /// The certificate in a Secret (`tls.crt` and `tls.key`).
    fn certificate(&self, secret: &Name) -> Option<Certificate>;
    /// The authorities to trust, as PEM, in a Secret; without `key` in its only entry.
    fn authorities(&self, secret: &Name, key: Option<&str>) -> Option<String>;
}

/// A certificate with its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, then those that lead to the authority.
    pub chain: String,
    /// The private key. It is not printed.
    pub private_key: String,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("chain", &self.chain).field("private_key", &"[redacted]").finish()
    }
}

/// What the operator of an Envoy may choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// A file that gets one line of JSON for each request; without keys and without queries.
    pub access_log: Option<String>,
}

/// Which API: a product, and the place in its list of endpoints.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiId {
    /// The product.
    pub product: Name,
    /// The endpoint.
    pub index: u32,
}

impl ApiId {
    pub(crate) fn object(&self) -> ObjectKey {
        self.product.clone().of(Kind::ApiProduct)
    }
}

/// Why something cannot be said to Envoy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The upstream's URL.
    #[error("the upstream {url} cannot be used: {why}")]
    Upstream {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The authorities that are to be trusted are not to be found.
    #[error("there are no certificates to trust in the Secret {secret}")]
    NoAuthorities {
        /// Where they should be.
        secret: Name,
    },
    /// A request header for the upstream.
    #[error("the request header {name} has a name or a value that HTTP does not allow")]
    Header {
        /// Its name.
        name: String,
    },
    /// A host name.
    #[error("{host} is not a host name")]
    Host {
        /// As it was given.
        host: String,
    },
    /// A base path or the path of an operation.
    #[error("the path {path} cannot be matched")]
    Path {
        /// Its beginning.
        path: String,
    },
    /// A certificate of a listener is not to be found.
    #[error("there is no certificate in the Secret {secret} for the listener {listener}")]
    NoCertificate {
        /// Where it should be.
        secret: Name,
        /// Which listener needs it.
        listener: String,
    },
}

/// The types of resources, in the order in which they are sent: what takes access away first, and what is referred to
/// before what refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Type {
    Extension,
    Secret,
    Cluster,
    Listener,
    Route,
}

impl Type {
    pub(crate) const ALL: [Type; 5] = [Type::Extension, Type::Secret, Type::Cluster, Type::Listener, Type::Route];

    pub(crate) fn url(self) -> String {
        match self {
            Type::Extension => TypedExtensionConfig::type_url(),
            Type::Secret => Secret::type_url(),
            Type::Cluster => Cluster::type_url(),
            Type::Listener => Listener::type_url(),
            Type::Route => RouteConfiguration::type_url(),
        }
    }

    pub(crate) fn from_url(url: &str) -> Option<Type> {
        Type::ALL.into_iter().find(|one| one.url() == url)
    }
}

/// Says whether two resources are the same; the same after a restart too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Version(u64);

impl Version {
    /// What Envoy is told of things that do not exist.
    pub(crate) const NOTHING: Version = Version(0);

    fn of(content: &[u8]) -> Version {
        let digest = Sha256::digest(content);
        let first = digest.first_chunk::<8>().copied().unwrap_or_default();
        Version(u64::from_be_bytes(first).max(1))
    }

    /// What Envoy says it has; anything that was not ours differs from everything.
    pub(crate) fn parse(text: &str) -> Version {
        u64::from_str_radix(text, 16).map_or(Version::NOTHING, Version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A resource, ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resource {
    pub(crate) version: Version,
    pub(crate) body: Any,
    /// The objects that it was made from, for when it is refused.
    pub(crate) origins: Vec<ObjectKey>,
}

impl Resource {
    fn new<M: prost::Message + prost::Name>(message: &M, origins: Vec<ObjectKey>) -> Resource {
        let body = wire::any(message);
        Resource { version: Version::of(&body.value), body, origins }
    }
}

/// An API's part of the resources.
#[derive(Debug, PartialEq)]
pub(crate) struct Compiled {
    pub(crate) cluster: Resource,
    routes: routes::ApiRoutes,
}

/// Compiles an API.
pub(crate) fn api(
    environment: &Name,
    id: &ApiId,
    api: &Api,
    gateway: &Gateway,
    certificates: &dyn CertificateSource,
) -> Result<Compiled, Invalid> {
    Ok(Compiled {
        cluster: Resource::new(&clusters::resource(id, api, certificates)?, vec![id.object()]),
        routes: routes::of_api(environment, id, api, &gateway.settings)?,
    })
}

/// The name of an API's cluster.
pub(crate) fn cluster_name(id: &ApiId) -> String {
    clusters::name(id)
}

/// The cluster that every environment has.
pub(crate) fn nowhere() -> (String, Resource) {
    (clusters::NOWHERE.to_owned(), Resource::new(&clusters::nowhere(), Vec::new()))
}

/// The route table of some APIs.
pub(crate) fn routes<'a>(apis: impl Iterator<Item = (&'a ApiId, &'a Compiled)>) -> (String, Resource) {
    let apis: BTreeMap<_, _> = apis.map(|(id, compiled)| (id, &compiled.routes)).collect();
    let origins = apis.keys().map(|id| id.object()).collect();
    (ROUTES.to_owned(), Resource::new(&routes::resource(&apis), origins))
}

/// The limits of all plans.
pub(crate) fn limits<'a>(environment: &Name, apis: impl Iterator<Item = &'a Api> + Clone) -> [(String, Resource); 2] {
    let resource =
        |name: &str, limits| (name.to_owned(), Resource::new(limits, vec![environment.clone().of(Kind::Environment)]));
    [resource(limits::RESOURCE, &limits::resource(apis.clone())), resource(limits::FALLBACK, &limits::fallback(apis))]
}

/// The listeners of an environment and their certificates, as (type, name, resource). A certificate that is not to be
/// found any more stays what it was, by its resource's name in `before`.
pub(crate) fn listeners(
    environment: &Name,
    gateway: &Gateway,
    certificates: &dyn CertificateSource,
    before: &BTreeMap<(Type, String), Resource>,
    options: &Options,
) -> (Vec<(Type, String, Resource)>, Vec<Invalid>) {
    let origins = vec![environment.clone().of(Kind::Environment)];
    let (mut resources, mut invalid) = (Vec::new(), Vec::new());
    for one in &gateway.settings.listeners {
        let mut names = Vec::new();
        let mut wanted: Vec<_> = one.tls.iter().flat_map(|tls| &tls.certificates).collect();
        // Envoy takes the first one for hosts that no certificate names.
        wanted.sort_by_key(|wanted| !wanted.hosts.is_empty());
        for wanted in wanted {
            let secret = environment.beside(&wanted.secret.name);
            let key = (Type::Secret, secrets::resource_name(&secret));
            let found = certificates.certificate(&secret);
            if found.is_none() {
                invalid.push(Invalid::NoCertificate { secret: secret.clone(), listener: one.name.clone() });
            }
            let found = found.map(|found| Resource::new(&secrets::resource(&secret, &found), origins.clone()));
            if let Some(resource) = found.or_else(|| before.get(&key).cloned())
                && !names.contains(&secret)
            {
                resources.push((key.0, key.1, resource));
                names.push(secret);
            }
        }
        if one.tls.is_some() && names.is_empty() {
            continue;
        }
        let (message, essence) = listener::resource(environment, one, &gateway.settings, &names, options);
        let resource = Resource { version: Version::of(&essence), body: wire::any(&message), origins: origins.clone() };
        resources.push((Type::Listener, listener::name(one), resource));
    }
    (resources, invalid)
}

/// All API keys of an environment, by shard.
#[derive(Debug)]
pub(crate) struct Clients {
    keys: keys::Keys,
    header: Arc<str>,
    versions: Vec<Version>,
    /// For each shard the serial at which it last lost an entry.
    lost: Vec<u64>,
    names: BTreeMap<String, u16>,
}

impl Clients {
    pub(crate) fn new() -> Clients {
        let names = keys::names().map(|shard| keys::resource_name(&shard)).zip(0u16..).collect();
        let mut clients = Clients {
            keys: keys::Keys::new(),
            header: "".into(),
            versions: vec![Version::NOTHING; keys::SHARDS],
            lost: vec![0; keys::SHARDS],
            names,
        };
        clients.set_header("x-api-key");
        clients
    }

    /// The request header that holds keys.
    pub(crate) fn set_header(&mut self, header: &str) {
        if &*self.header != header {
            self.header = header.into();
            self.refresh(0..u16::try_from(keys::SHARDS).unwrap_or(u16::MAX));
        }
    }

    /// Applies a change; the shards it touched have to be refreshed.
    pub(crate) fn put(&mut self, client: &Client, source: &dyn KeySource, serial: u64) -> Vec<u16> {
        let touched = self.keys.put(client, source);
        self.note(touched, serial)
    }

    /// As [`Clients::put`].
    pub(crate) fn remove(&mut self, credential: &Name, serial: u64) -> Vec<u16> {
        let touched = self.keys.remove(credential);
        self.note(touched, serial)
    }

    fn note(&mut self, touched: Vec<keys::Touched>, serial: u64) -> Vec<u16> {
        for one in touched.iter().filter(|one| one.lost) {
            if let Some(lost) = self.lost.get_mut(usize::from(one.shard)) {
                *lost = serial;
            }
        }
        touched.into_iter().map(|one| one.shard).collect()
    }

    /// Computes the versions of shards anew.
    pub(crate) fn refresh(&mut self, shards: impl IntoIterator<Item = u16>) {
        for shard in shards {
            let version = self.resource(shard).version;
            if let Some(place) = self.versions.get_mut(usize::from(shard)) {
                *place = version;
            }
        }
    }

    /// How many clients there are.
    pub(crate) fn count(&self) -> usize {
        self.keys.clients()
    }

    /// The shard of that resource name.
    pub(crate) fn shard(&self, resource: &str) -> Option<u16> {
        self.names.get(resource).copied()
    }

    pub(crate) fn version(&self, shard: u16) -> Version {
        self.versions.get(usize::from(shard)).copied().unwrap_or(Version::NOTHING)
    }

    /// The serial at which a shard last lost an entry.
    pub(crate) fn lost(&self, shard: u16) -> u64 {
        self.lost.get(usize::from(shard)).copied().unwrap_or_default()
    }

    /// The shards that have keys, with the names of their resources.
    pub(crate) fn filled(&self) -> impl Iterator<Item = (String, u16)> {
        let shards = self.names.iter().map(|(name, shard)| (name.clone(), *shard));
        shards.filter(|(_, shard)| self.keys.count(*shard) > 0)
    }

    pub(crate) fn resource(&self, shard: u16) -> Resource {
        Resource::new(&self.keys.shard(shard, &self.header), Vec::new())
    }

    /// The credentials that have keys in a shard.
    pub(crate) fn origins(&self, shard: u16) -> Vec<ObjectKey> {
        self.keys.credentials(shard).into_iter().map(|name| name.of(Kind::Credential)).collect()
    }
}
