//! The protocol and what an environment makes of it: requests in, responses and events out.

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
        base_path: format!("/{}", product.name),
        upstream: Upstream { url: format!("http://{address}"), ..Upstream::default() },
        cors: None,
        plans: vec![ApiPlan { plan: name("owner/gold"), only: None, limits: Vec::new() }],
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
    (client_key(credential), Output::Client(client))
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

#[test]
fn nothing_is_said_before_there_is_anything_to_say() {
    let mut world = World::new();
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &["team/app"]);
    assert_eq!(envoy.settle(&mut world), Vec::<String>::new(), "an Envoy that comes back keeps what it has");
    // Even nothing is an answer, for which Envoy waits at its start.
    world.put(Vec::new());
    let extensions = format!("Extension +{} +limits", shard("team/app"));
    assert_eq!(envoy.settle(&mut world), [&extensions, "Cluster +nowhere", "Listener", "Route +portico"]);
    assert_eq!(envoy.settle(&mut world), Vec::<String>::new());
}

#[test]
fn a_change_is_sent_and_nothing_else() {
    let mut world = World::with(&["owner/pay", "owner/mail"], &["team/app", "team/other"]);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &["team/app", "team/other", "team/new"]);
    envoy.settle(&mut world);
    assert_eq!(world.events(), (Some(world.serial), vec![]));

    world.remove(vec![client_key("team/app")]);
    assert_eq!(envoy.settle(&mut world), [format!("Extension +{}", shard("team/app"))]);
    world.put(vec![client("team/new")]);
    assert_eq!(envoy.settle(&mut world), [format!("Extension +{}", shard("team/new"))]);
    // Said again, it is the same.
    world.put(vec![client("team/new"), api("owner/pay", |_| ()), gateway(&[("http", None)])]);
    assert_eq!(envoy.settle(&mut world), Vec::<String>::new());
    assert_eq!(world.events(), (Some(world.serial), vec![]));
    world.put(vec![api("owner/pay", |api| api.upstream.url = "http://127.0.0.1:2".to_owned())]);
    assert_eq!(envoy.settle(&mut world), ["Cluster +api/owner/pay/0", "Route +portico"]);
    world.put(vec![gateway(&[("http", None), ("other", None)])]);
    assert_eq!(envoy.settle(&mut world), ["Listener +listener/other"]);
    world.put(vec![gateway(&[("other", None)])]);
    assert_eq!(envoy.settle(&mut world), ["Listener +listener/other -listener/http"], "its port is another one");
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}

#[test]
fn one_response_of_a_type_is_on_its_way() {
    let mut world = World::with(&[], &["team/app"]);
    let mut envoy = world.connect(1);
    let asked = [shard("team/app"), shard("team/one"), shard("team/two")];
    envoy.ask(&mut world, Type::Extension, &asked.each_ref().map(String::as_str));
    let first = of(envoy.pump(&mut world), Type::Extension);
    world.put(vec![client("team/one")]);
    assert!(envoy.pump(&mut world).is_empty());
    world.put(vec![client("team/two")]);
    // Answers to what was not asked are not answers.
    envoy.send(&mut world, DeltaDiscoveryRequest { response_nonce: "old".to_owned(), ..answer(&first, None) });
    assert!(envoy.pump(&mut world).is_empty());
    envoy.ack(&mut world, &first);
    let mut expected = [format!(" +{}", shard("team/one")), format!(" +{}", shard("team/two"))];
    expected.sort();
    assert_eq!(show(&of(envoy.pump(&mut world), Type::Extension)), format!("Extension{}", expected.concat()));
}

#[test]
fn what_is_refused_is_reported_once_and_not_sent_again() {
    let mut world = World::with(&["owner/pay"], &[]);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &[]);
    let in_use = |response: &DeltaDiscoveryResponse| (kind(response) == Type::Listener).then_some("port in use");
    let seen = envoy.settle_but(&mut world, in_use);
    assert_eq!(seen.iter().filter(|line| *line == "refused Listener +listener/http").count(), 1, "{seen:?}");
    let (confirmed, refused) = world.events();
    assert_eq!(refused, ["Environment ops/test: port in use"]);
    assert_eq!(confirmed, Some(world.serial), "all but what was refused");

    // After a while it is tried again, as the port may be free now; that it is not is no news.
    envoy.stream.retry();
    assert_eq!(envoy.settle_but(&mut world, in_use), ["refused Listener +listener/http"]);
    assert_eq!(world.events(), (None, vec![]));
    envoy.stream.retry();
    assert_eq!(envoy.settle(&mut world), ["Listener +listener/http"]);
    envoy.stream.retry();
    assert_eq!(envoy.settle(&mut world), Vec::<String>::new());

    // A cluster that is refused is not tried again before it is another one.
    let broken = |api: &mut Api| api.upstream.url = "http://127.0.0.1:2".to_owned();
    world.put(vec![api("owner/pay", broken)]);
    let no_cluster = |response: &DeltaDiscoveryResponse| (kind(response) == Type::Cluster).then_some("bad cluster");
    assert_eq!(envoy.settle_but(&mut world, no_cluster), ["refused Cluster +api/owner/pay/0", "Route +portico"]);
    assert_eq!(world.events(), (Some(world.serial), vec!["ApiProduct owner/pay: bad cluster".to_owned()]));
    envoy.stream.retry();
    world.put(vec![api("owner/pay", broken)]);
    assert_eq!(envoy.settle(&mut world), Vec::<String>::new());
    world.put(vec![api("owner/pay", |api| api.upstream.url = "http://127.0.0.1:3".to_owned())]);
    assert_eq!(envoy.settle(&mut world), ["Cluster +api/owner/pay/0", "Route +portico"]);
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}

#[test]
fn of_several_that_are_refused_the_one_at_fault_is_found() {
    let mut world = World::with(&["owner/a", "owner/b", "owner/c"], &[]);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &[]);
    let seen = envoy.settle_but(&mut world, |response| names(response).contains(&"api/owner/b/0").then_some("no"));
    let clusters: Vec<_> = seen.iter().filter(|line| line.contains("Cluster")).map(String::as_str).collect();
    assert_eq!(
        clusters,
        [
            "refused Cluster +api/owner/a/0 +api/owner/b/0 +api/owner/c/0 +nowhere",
            "Cluster +api/owner/a/0",
            "refused Cluster +api/owner/b/0",
            "Cluster +api/owner/c/0",
            "Cluster +nowhere",
        ]
    );
    assert_eq!(world.events(), (Some(world.serial), vec!["ApiProduct owner/b: no".to_owned()]));
}

#[test]
fn an_envoy_that_comes_back_is_sent_what_differs() {
    let (apis, clients) = (["owner/pay", "owner/mail"], ["team/app", "team/other"]);
    let mut world = World::with(&apis, &clients);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &clients);
    let mut held: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for _ in 0..10 {
        for response in envoy.pump(&mut world) {
            for resource in &response.resources {
                let of_type = held.entry(response.type_url.clone()).or_default();
                of_type.insert(resource.name.clone(), resource.version.clone());
            }
            envoy.ack(&mut world, &response);
        }
    }

    // Another server, which knows the same but for one client that is gone.
    let mut world = World::with(&apis, &clients);
    world.remove(vec![client_key("team/app")]);
    let mut envoy = world.connect(1);
    let shards = clients.map(shard);
    let extensions = ["limits", &shards[0], &shards[1]];
    let asked: [(Type, &[&str]); 4] =
        [(Type::Cluster, &[]), (Type::Listener, &[]), (Type::Route, &["portico"]), (Type::Extension, &extensions)];
    for (kind, names) in asked {
        let versions = held[&kind.url()].clone();
        let request = DeltaDiscoveryRequest {
            initial_resource_versions: versions.into_iter().collect(),
            ..subscribe(kind, names)
        };
        envoy.send(&mut world, request);
    }
    assert_eq!(envoy.settle(&mut world), [format!("Extension +{}", shards[0]), "Cluster".into(), "Listener".into()]);
    assert_eq!(world.events(), (Some(world.serial), vec![]), "what it has is confirmed");
    // And the routes it came with are those that a bad API falls back to.
    world.put(vec![api("owner/mail", |api| api.hosts = vec!["refuse.example".to_owned()])]);
    envoy.settle_but(&mut world, |response| (kind(response) == Type::Route).then_some("no"));
    assert_eq!(world.events(), (Some(world.serial), vec!["ApiProduct owner/mail: no".to_owned()]));

    // What it has and should not have is taken away.
    let mut world = World::with(&["owner/pay"], &[]);
    let mut envoy = world.connect(1);
    for (kind, names) in asked {
        let mut versions = held[&kind.url()].clone();
        versions.insert("not-ours".to_owned(), "v17".to_owned());
        let request = DeltaDiscoveryRequest {
            initial_resource_versions: versions.into_iter().collect(),
            ..subscribe(kind, names)
        };
        envoy.send(&mut world, request);
    }
    let seen = envoy.settle(&mut world);
    assert!(seen.contains(&"Cluster -api/owner/mail/0 -not-ours".to_owned()), "{seen:?}");
    assert!(seen.contains(&"Listener -not-ours".to_owned()), "{seen:?}");
}

#[test]
fn a_change_that_shows_in_no_route_is_confirmed() {
    let mut world = World::with(&["owner/pay"], &[]);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &[]);
    envoy.settle(&mut world);
    // Only the cluster knows the authorities and the port of an upstream whose Host header is set.
    let fixed = |port: u16| {
        move |api: &mut Api| {
            api.upstream.url = format!("http://127.0.0.1:{port}");
            api.upstream.request_headers = [("host".to_owned(), "fixed".to_owned())].into();
        }
    };
    world.put(vec![api("owner/pay", fixed(2))]);
    assert_eq!(envoy.settle(&mut world), ["Cluster +api/owner/pay/0", "Route +portico"]);
    world.put(vec![api("owner/pay", fixed(3))]);
    assert_eq!(envoy.settle(&mut world), ["Cluster +api/owner/pay/0"]);
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}

#[test]
fn names_come_and_go() {
    let mut world = World::with(&[], &["team/app", "team/other"]);
    let mut envoy = world.connect(1);
    let (app, other) = (shard("team/app"), shard("team/other"));
    envoy.ask(&mut world, Type::Extension, &[&app, "keys/nonsense"]);
    assert_eq!(envoy.settle(&mut world), [format!("Extension +{app} -keys/nonsense")], "not there, and said once");
    envoy.ask(&mut world, Type::Extension, &[&other]);
    assert_eq!(envoy.settle(&mut world), [format!("Extension +{other}")]);
    // Asked for again, it is sent again.
    envoy.ask(&mut world, Type::Extension, &[&app]);
    assert_eq!(envoy.settle(&mut world), [format!("Extension +{app}")]);
    let unsubscribe = DeltaDiscoveryRequest {
        resource_names_unsubscribe: vec![app.clone()],
        ..DeltaDiscoveryRequest { type_url: Type::Extension.url(), ..DeltaDiscoveryRequest::default() }
    };
    envoy.send(&mut world, unsubscribe);
    world.remove(vec![client_key("team/app"), client_key("team/other")]);
    assert_eq!(envoy.settle(&mut world), [format!("Extension +{other}")]);
    // Of types that are not asked for nothing is sent, whatever happens to them.
    world.put(vec![api("owner/pay", |_| ())]);
    assert_eq!(envoy.settle(&mut world), Vec::<String>::new());
}

#[test]
fn much_is_sent_in_parts_and_revocations_first() {
    let credentials: Vec<String> = (0..20_000).map(|place| format!("team/app-{place}")).collect();
    let credentials: Vec<&str> = credentials.iter().map(String::as_str).collect();
    let mut world = World::with(&[], &credentials);
    let mut envoy = world.connect(1);
    let shards: Vec<String> = portico_core::api_key::shards().map(|shard| format!("keys/{shard}")).collect();
    let shards: Vec<&str> = shards.iter().map(String::as_str).collect();
    envoy.ask(&mut world, Type::Extension, &shards);
    let first = of(envoy.pump(&mut world), Type::Extension);
    let size = first.encoded_len();
    assert!(((1 << 20)..(1 << 20) + (1 << 16)).contains(&size), "{size}");
    assert!(first.resources.len() < shards.len());
    let sent = names(&first);
    // A key that is in nothing that was sent is revoked while much is still to be sent.
    let victim = *credentials.iter().rev().find(|one| !sent.contains(&shard(one).as_str())).unwrap();
    world.remove(vec![client_key(victim)]);
    envoy.ack(&mut world, &first);
    let second = of(envoy.pump(&mut world), Type::Extension);
    assert_eq!(names(&second)[0], shard(victim));
    envoy.ack(&mut world, &second);
    envoy.settle(&mut world);
    // A revocation goes before keys that are added, and is one shard.
    let (revoked, added) = (credentials[7], "team/added");
    world.remove(vec![client_key(revoked)]);
    let small = of(envoy.pump(&mut world), Type::Extension);
    assert_eq!(names(&small), [shard(revoked)]);
    assert!(small.encoded_len() < 16 << 10, "{}", small.encoded_len());
    envoy.ack(&mut world, &small);
    world.put(vec![client(added)]);
    world.remove(vec![client_key(credentials[8])]);
    assert_eq!(names(&of(envoy.pump(&mut world), Type::Extension)), [shard(credentials[8]), shard(added)]);
}

#[test]
fn a_serial_is_confirmed_when_every_type_is() {
    let mut world = World::with(&["owner/pay"], &["team/app"]);
    let mut envoy = world.connect(1);
    envoy.ask(&mut world, Type::Cluster, &[]);
    envoy.settle(&mut world);
    assert_eq!(world.events(), (None, vec![]), "it will ask for listeners");
    envoy.ask(&mut world, Type::Listener, &[]);
    envoy.settle(&mut world);
    assert_eq!(world.events(), (None, vec![]), "it will ask for what the listener needs");
    envoy.ask(&mut world, Type::Extension, &[&shard("team/app"), "limits"]);
    envoy.settle(&mut world);
    assert_eq!(world.events(), (None, vec![]), "it will ask for routes");
    envoy.ask(&mut world, Type::Route, &["portico"]);
    envoy.settle(&mut world);
    assert_eq!(world.events(), (Some(world.serial), vec![]));

    world.put(vec![api("owner/pay", |api| api.hosts = vec!["a.example".to_owned()]), client("team/more")]);
    envoy.ask(&mut world, Type::Extension, &[&shard("team/more")]);
    let responses = envoy.pump(&mut world);
    let (last, others) = responses.split_last().unwrap();
    for response in others {
        envoy.ack(&mut world, response);
        envoy.pump(&mut world);
        assert_eq!(world.events(), (None, vec![]));
    }
    envoy.ack(&mut world, last);
    envoy.pump(&mut world);
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}

#[test]
fn clusters_come_before_routes_and_go_after_them() {
    let mut world = World::with(&["owner/pay"], &[]);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &[]);
    envoy.settle(&mut world);
    world.put(vec![api("owner/mail", |_| ())]);
    let responses = envoy.pump(&mut world);
    assert_eq!(responses.iter().map(show).collect::<Vec<_>>(), ["Cluster +api/owner/mail/0"]);
    assert!(envoy.pump(&mut world).is_empty(), "the routes wait for an answer");
    envoy.ack(&mut world, &responses[0]);
    let routes = envoy.pump(&mut world);
    assert_eq!(routes.iter().map(show).collect::<Vec<_>>(), ["Route +portico"]);
    envoy.ack(&mut world, &routes[0]);
    envoy.settle(&mut world);

    world.remove(vec![api_key("owner/pay")]);
    let routes = envoy.pump(&mut world);
    assert_eq!(routes.iter().map(show).collect::<Vec<_>>(), ["Route +portico"]);
    assert!(envoy.pump(&mut world).is_empty(), "the cluster waits for an answer");
    envoy.ack(&mut world, &routes[0]);
    assert_eq!(envoy.settle(&mut world), ["Cluster -api/owner/pay/0"]);
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}

/// The hosts that a route table names, but for `*`.
fn hosts(response: &DeltaDiscoveryResponse) -> Vec<String> {
    use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
    let body = response.resources[0].resource.as_ref().unwrap();
    let table = RouteConfiguration::decode(body.value.as_slice()).unwrap();
    table.virtual_hosts.into_iter().map(|host| host.name).filter(|host| host != "*").collect()
}

/// Refuses routes in which a host begins with `bad`.
fn picky(response: &DeltaDiscoveryResponse) -> Option<&'static str> {
    (kind(response) == Type::Route && hosts(response).iter().any(|host| host.starts_with("bad"))).then_some("bad host")
}

#[test]
fn a_bad_api_does_not_keep_others_from_changing() {
    let products: Vec<String> = (10..26).map(|place| format!("owner/p{place}")).collect();
    let mut world = World::with(&products.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &[]);
    envoy.settle(&mut world);
    world.events();
    let at = |product: &str, host: &str| {
        let host = host.to_owned();
        api(product, move |api| api.hosts = vec![host])
    };
    // Two are bad among many that are good; one of the bad ones is new.
    let mut puts: Vec<_> = products.iter().map(|product| at(product, &format!("{}.example", &product[6..]))).collect();
    puts[4] = at("owner/p14", "bad.example");
    puts.push(at("owner/new", "bad.too"));
    world.put(puts);
    let table = std::cell::RefCell::new(Vec::new());
    let seen = envoy.settle_but(&mut world, |response| {
        let refusal = picky(response);
        if kind(response) == Type::Route && refusal.is_none() {
            table.replace(hosts(response));
        }
        refusal
    });
    let tries = seen.iter().filter(|line| line.contains("Route")).count();
    assert!(tries <= 16, "halves, not one by one: {tries}");
    let (confirmed, mut refused) = world.events();
    refused.sort();
    assert_eq!(refused, ["ApiProduct owner/new: bad host", "ApiProduct owner/p14: bad host"]);
    assert_eq!(confirmed, Some(world.serial));
    let good: Vec<_> =
        products.iter().filter(|one| *one != "owner/p14").map(|one| format!("{}.example", &one[6..])).collect();
    assert_eq!(*table.borrow(), good, "and the bad ones are as they were");

    // A bad one may change and still be bad; a good one changes next to it.
    world.put(vec![at("owner/p14", "bad.again"), at("owner/p11", "better.example")]);
    envoy.settle_but(&mut world, picky);
    assert_eq!(world.events(), (Some(world.serial), vec!["ApiProduct owner/p14: bad host".to_owned()]));
    world.put(vec![at("owner/p11", "best.example")]);
    assert_eq!(envoy.settle_but(&mut world, picky), ["Route +portico"]);
    assert_eq!(world.events(), (Some(world.serial), vec![]));
    world.put(vec![at("owner/p14", "good.example"), at("owner/new", "new.example")]);
    assert_eq!(envoy.settle_but(&mut world, picky), ["Route +portico"]);
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}

#[test]
fn changes_while_a_bad_api_is_looked_for() {
    let mut world = World::with(&["owner/a", "owner/b", "owner/c", "owner/d"], &[]);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &[]);
    envoy.settle(&mut world);
    world.events();
    let at = |product: &str, host: &str| {
        let host = host.to_owned();
        api(product, move |api| api.hosts = vec![host])
    };
    let puts = [("owner/a", "bad.a"), ("owner/b", "b.example"), ("owner/c", "c.example"), ("owner/d", "d.example")];
    world.put(puts.into_iter().map(|(product, host)| at(product, host)).collect());
    let routes = of(envoy.pump(&mut world), Type::Route);
    envoy.nack(&mut world, &routes, "bad host");
    // Half of them are on trial when one becomes good, one is gone, and one comes.
    let routes = of(envoy.pump(&mut world), Type::Route);
    world.put(vec![at("owner/a", "a.example"), at("owner/e", "e.example")]);
    world.remove(vec![api_key("owner/c")]);
    envoy.nack(&mut world, &routes, "bad host");
    let last = std::cell::RefCell::new(Vec::new());
    envoy.settle_but(&mut world, |response| {
        if kind(response) == Type::Route {
            last.replace(hosts(response));
        }
        picky(response)
    });
    assert_eq!(*last.borrow(), ["a.example", "b.example", "d.example", "e.example"]);
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}

#[test]
fn every_envoy_has_to_confirm() {
    let mut world = World::with(&["owner/pay"], &["team/app"]);
    let (mut one, mut two) = (world.connect(1), world.connect(2));
    one.ask_all(&mut world, &["team/app"]);
    one.settle(&mut world);
    assert_eq!(world.events(), (None, vec![]), "the other one has nothing yet");
    two.ask_all(&mut world, &["team/app"]);
    two.settle(&mut world);
    one.settle(&mut world);
    assert_eq!(world.events(), (Some(world.serial), vec![]));

    // Routes are good when both say so.
    world.put(vec![api("owner/pay", |api| api.hosts = vec!["bad.example".to_owned()])]);
    assert_eq!(one.settle(&mut world), ["Route +portico"]);
    (one.wake, two.wake) = (false, false);
    assert_eq!(two.settle_but(&mut world, picky), ["refused Route +portico"]);
    assert!(two.wake, "the first one has to go back");
    assert_eq!(one.settle(&mut world), ["Route +portico"]);
    two.settle(&mut world);
    assert_eq!(world.events(), (Some(world.serial), vec!["ApiProduct owner/pay: bad host".to_owned()]));

    // Whoever leaves is not waited for.
    world.put(vec![api("owner/pay", |api| api.hosts = vec!["good.example".to_owned()])]);
    one.settle(&mut world);
    assert_eq!(world.events(), (None, vec![]));
    world.environment.envoys.remove(&2);
    world.environment.settle();
    assert_eq!(one.settle(&mut world), Vec::<String>::new());
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}

#[test]
fn listeners_wait_for_certificates_and_keep_them() {
    let mut world = World::new();
    world.put(vec![gateway(&[("plain", None), ("tls", Some("web"))])]);
    let missing = "Environment ops/test: there is no certificate in the Secret ops/web for the listener tls".to_owned();
    assert_eq!(world.events().1, [missing.clone()]);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &[]);
    let seen = envoy.settle(&mut world);
    assert!(seen.contains(&"Listener +listener/plain".to_owned()), "the others do not wait: {seen:?}");

    world.secrets.0.lock().unwrap().insert(name("ops/web"), "first");
    world.environment.refresh_certificates(&world.sources);
    envoy.ask(&mut world, Type::Secret, &["tls/ops/web"]);
    assert_eq!(envoy.settle(&mut world), ["Secret +tls/ops/web", "Listener +listener/tls"]);
    world.secrets.0.lock().unwrap().insert(name("ops/web"), "second");
    world.environment.refresh_certificates(&world.sources);
    assert_eq!(envoy.settle(&mut world), ["Secret +tls/ops/web"], "the listener is not touched");
    assert_eq!(world.events().1, Vec::<String>::new());
    // A file that is gone for a moment ends nothing.
    world.secrets.0.lock().unwrap().clear();
    world.environment.refresh_certificates(&world.sources);
    assert_eq!(envoy.settle(&mut world), Vec::<String>::new());
    assert_eq!(world.events().1, [missing]);
}

#[test]
fn what_cannot_be_said_is_refused_at_once() {
    let mut world = World::with(&["owner/good"], &[]);
    world.put(vec![
        api("owner/url", |api| api.upstream.url = "ftp://files".to_owned()),
        api("owner/header", |api| api.upstream.request_headers = [("x y".to_owned(), "1".to_owned())].into()),
        api("owner/host", |api| api.hosts = vec!["a b".to_owned()]),
        api("owner/path", |api| api.base_path = "/a?b".to_owned()),
        api("owner/ca", |api| {
            api.upstream.url = "https://127.0.0.1:1".to_owned();
            let ca = portico_crds::SecretRef { name: "ca".to_owned(), key: None };
            api.upstream.tls = Some(portico_crds::UpstreamTls { ca: Some(ca), ..Default::default() });
        }),
    ]);
    let (_, mut refused) = world.events();
    refused.sort();
    assert_eq!(
        refused,
        [
            "ApiProduct owner/ca: there are no certificates to trust in the Secret owner/ca",
            "ApiProduct owner/header: the request header x y has a name or a value that HTTP does not allow",
            "ApiProduct owner/host: a b is not a host name",
            "ApiProduct owner/path: the path /a?b cannot be matched",
            "ApiProduct owner/url: the upstream ftp://files cannot be used: it must begin with http:// or https://",
        ]
    );
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &[]);
    let seen = envoy.settle(&mut world);
    assert!(seen.contains(&"Cluster +api/owner/good/0 +nowhere".to_owned()), "{seen:?}");
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}
