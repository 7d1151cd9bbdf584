//! The protocol and what an environment makes of it: requests in, responses and events out.

mod protocol;
mod refusals;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_types::pb::google::rpc::Status;
use portico_core::api_key::ApiKey;
use portico_core::delta::{Output, OutputKey, Put, Removal};
use portico_core::gateway::{Api, ApiPlan, Client, Gateway};
use portico_core::key::Name;
use portico_crds::{EnvoyListener, EnvoySettings, IdentityHeaders, ListenerTls, LocalRef, Upstream};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::Event;
use super::environment::{Environment, Envoy, Sources};
use super::stream::Stream;
use crate::translate::{Certificate, CertificateSource, KeySource, Options, Type};

fn name(text: &str) -> Name {
    let (namespace, name) = text.split_once('/').unwrap();
    Name::new(namespace, name)
}

fn key(credential: &Name, generation: i64) -> ApiKey {
    ApiKey::from_random(*Sha256::digest(format!("{credential} {generation}")).first_chunk().unwrap())
}

fn shard(credential: &str) -> String {
    format!("keys/{}", key(&name(credential), 1).shard())
}

/// Keys of all credentials, and the certificates that there are.
#[derive(Default)]
struct Secrets(Mutex<BTreeMap<Name, &'static str>>);

impl KeySource for Secrets {
    fn key(&self, credential: &Name, generation: i64) -> Option<ApiKey> {
        Some(key(credential, generation))
    }
}

impl CertificateSource for Secrets {
    fn certificate(&self, secret: &Name) -> Option<Certificate> {
        let chain = (*self.0.lock().unwrap().get(secret)?).to_owned();
        Some(Certificate { chain, private_key: "private".to_owned() })
    }

    fn authorities(&self, secret: &Name, _key: Option<&str>) -> Option<String> {
        Some((*self.0.lock().unwrap().get(secret)?).to_owned())
    }
}

/// An environment, and the serials of what it is told.
struct World {
    environment: Environment,
    secrets: Arc<Secrets>,
    sources: Sources,
    serial: u64,
}

impl World {
    fn new() -> World {
        let secrets = Arc::new(Secrets::default());
        let sources = Sources { keys: secrets.clone(), certificates: secrets.clone(), options: Options::default() };
        World { environment: Environment::new(name("ops/test")), secrets, sources, serial: 0 }
    }

    /// With a listener and these APIs and clients.
    fn with(apis: &[&str], clients: &[&str]) -> World {
        let mut world = World::new();
        let puts = [gateway(&[("http", None)])].into_iter();
        let puts = puts.chain(apis.iter().map(|product| api(product, |_| ())));
        let puts = puts.chain(clients.iter().map(|credential| client(credential))).collect();
        world.put(puts);
        world
    }

    fn put(&mut self, outputs: Vec<(OutputKey, Output)>) {
        let puts = outputs.into_iter().map(|(key, output)| {
            self.serial += 1;
            Put { key, output, serial: self.serial, replaces: false }
        });
        let puts = puts.collect();
        self.environment.update(Vec::new(), puts, &self.sources);
    }

    fn remove(&mut self, keys: Vec<OutputKey>) {
        let removals = keys.into_iter().map(|key| {
            self.serial += 1;
            Removal { key, serial: self.serial }
        });
        let removals = removals.collect();
        self.environment.update(removals, Vec::new(), &self.sources);
    }

    fn connect(&mut self, id: u64) -> Fake {
        self.environment.envoys.insert(id, Envoy { node: format!("{id}"), ..Envoy::default() });
        Fake { stream: Stream::new(id), wake: false }
    }

    /// The serial that was confirmed, and the refusals, since last asked.
    fn events(&mut self) -> (Option<u64>, Vec<String>) {
        let (mut confirmed, mut refused) = (None, Vec::new());
        for event in self.environment.take_events() {
            match event {
                Event::Confirmed { serial, .. } => confirmed = Some(serial),
                Event::Refused { objects, message, .. } => {
                    let objects: Vec<_> = objects.iter().map(ToString::to_string).collect();
                    refused.push(format!("{}: {message}", objects.join(", ")));
                }
                Event::Mended { objects, .. } => {
                    let objects: Vec<_> = objects.iter().map(ToString::to_string).collect();
                    refused.push(format!("{}: mended", objects.join(", ")));
                }
                Event::Connected { .. } | Event::Disconnected { .. } => {}
            }
        }
        (confirmed, refused)
    }
}

fn gateway(listeners: &[(&str, Option<&str>)]) -> (OutputKey, Output) {
    let listeners = (10_000..).zip(listeners).map(|(port, (name, secret))| EnvoyListener {
        name: (*name).to_owned(),
        address: "127.0.0.1".to_owned(),
        port,
        tls: secret.map(|secret| ListenerTls {
            certificates: vec![portico_crds::Certificate {
                hosts: Vec::new(),
                secret: LocalRef { name: secret.to_owned() },
            }],
        }),
    });
    let settings = EnvoySettings {
        listeners: listeners.collect(),
        api_key_header: "x-api-key".to_owned(),
        identity_headers: IdentityHeaders::default(),
    };
    (OutputKey::Gateway { environment: name("ops/test") }, Output::Gateway(Box::new(Gateway { settings })))
}

/// An API at a base path of its name; `owner/pay` is at `/pay`.
fn api(product: &str, change: impl FnOnce(&mut Api)) -> (OutputKey, Output) {
    let product = name(product);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let mut api = Api {
        product: product.clone(),
        version: "v1".to_owned(),
        hosts: Vec::new(),
        base_path: format!("/{}", product.name()),
        upstream: Upstream { url: format!("http://{address}"), ..Upstream::default() },
        cors: None,
        plans: vec![ApiPlan { plan: name("owner/gold"), only: None, limits: Vec::new(), deprecated: None }],
        guarded: Vec::new(),
        deprecated: None,
    };
    change(&mut api);
    (api_key(&product.to_string()), Output::Api(Box::new(api)))
}

fn api_key(product: &str) -> OutputKey {
    OutputKey::Api { environment: name("ops/test"), product: name(product), index: 0 }
}

fn client(credential: &str) -> (OutputKey, Output) {
    let client = Client {
        credential: name(credential),
        application: name(credential),
        generations: vec![1],
        plans: [name("owner/gold")].into(),
        scopes: [].into(),
    };
    (client_key(credential), Output::Client(client.into()))
}

fn client_key(credential: &str) -> OutputKey {
    OutputKey::Client { environment: name("ops/test"), credential: name(credential) }
}

/// An Envoy that does what it is told to.
struct Fake {
    stream: Stream,
    /// Whether anything it said was of interest to other Envoys.
    wake: bool,
}

impl Fake {
    fn send(&mut self, world: &mut World, request: DeltaDiscoveryRequest) {
        self.wake |= self.stream.receive(request, &mut world.environment).wake;
    }

    fn pump(&mut self, world: &mut World) -> Vec<DeltaDiscoveryResponse> {
        let (responses, outcome) = self.stream.pump(&mut world.environment);
        self.wake |= outcome.wake;
        responses
    }

    fn ask(&mut self, world: &mut World, kind: Type, names: &[&str]) {
        self.send(world, subscribe(kind, names));
    }

    /// Asks for all that an Envoy asks for; of the shards, for those of these credentials.
    fn ask_all(&mut self, world: &mut World, credentials: &[&str]) {
        let shards: Vec<String> = credentials.iter().map(|credential| shard(credential)).collect();
        let extensions: Vec<&str> = shards.iter().map(String::as_str).chain(["limits"]).collect();
        self.ask(world, Type::Cluster, &[]);
        self.ask(world, Type::Listener, &[]);
        self.ask(world, Type::Route, &["portico"]);
        self.ask(world, Type::Extension, &extensions);
    }

    fn ack(&mut self, world: &mut World, response: &DeltaDiscoveryResponse) {
        self.send(world, answer(response, None));
    }

    fn nack(&mut self, world: &mut World, response: &DeltaDiscoveryResponse, message: &str) {
        self.send(world, answer(response, Some(message)));
    }

    /// Accepts all that comes until nothing does; what that was.
    fn settle(&mut self, world: &mut World) -> Vec<String> {
        self.settle_but(world, |_| None)
    }

    /// As [`Fake::settle`], but refuses what `refuse` gives a reason for.
    fn settle_but(
        &mut self,
        world: &mut World,
        refuse: impl Fn(&DeltaDiscoveryResponse) -> Option<&'static str>,
    ) -> Vec<String> {
        let mut seen = Vec::new();
        for _ in 0..200 {
            let responses = self.pump(world);
            if responses.is_empty() {
                return seen;
            }
            for response in responses {
                let refusal = refuse(&response);
                seen.push(format!("{}{}", if refusal.is_some() { "refused " } else { "" }, show(&response)));
                self.send(world, answer(&response, refusal));
            }
        }
        panic!("it does not settle: {seen:#?}")
    }
}

fn subscribe(kind: Type, names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.url(),
        resource_names_subscribe: names.iter().map(|name| (*name).to_owned()).collect(),
        ..DeltaDiscoveryRequest::default()
    }
}

fn answer(response: &DeltaDiscoveryResponse, refusal: Option<&str>) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: response.type_url.clone(),
        response_nonce: response.nonce.clone(),
        error_detail: refusal.map(|message| Status { message: message.to_owned(), ..Status::default() }),
        ..DeltaDiscoveryRequest::default()
    }
}

fn kind(response: &DeltaDiscoveryResponse) -> Type {
    Type::from_url(&response.type_url).unwrap()
}

fn names(response: &DeltaDiscoveryResponse) -> Vec<&str> {
    response.resources.iter().map(|resource| resource.name.as_str()).collect()
}

/// `Cluster +nowhere -api/…`.
fn show(response: &DeltaDiscoveryResponse) -> String {
    let put = names(response).into_iter().map(|name| format!(" +{name}"));
    let removed = response.removed_resources.iter().map(|name| format!(" -{name}"));
    format!("{:?}{}", kind(response), put.chain(removed).collect::<String>())
}

fn of(responses: Vec<DeltaDiscoveryResponse>, wanted: Type) -> DeltaDiscoveryResponse {
    let found: Vec<_> = responses.into_iter().filter(|response| kind(response) == wanted).collect();
    let [one] = found.try_into().unwrap_or_else(|all: Vec<_>| panic!("{} responses of {wanted:?}", all.len()));
    one
}
