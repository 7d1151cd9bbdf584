//! A real Envoy with the server in front of it and an upstream behind it, all on the loopback interface.

#![allow(dead_code, reason = "each test program uses another part of it")]
#![allow(unreachable_pub, reason = "it is shared by test programs, not published")]

pub mod http;
pub mod tls;
pub mod upstream;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use portico_core::api_key::ApiKey;
use portico_core::delta::{Output, OutputKey, Put, Removal};
use portico_core::gateway::{Api, ApiPlan, Client, Gateway, GrantedScope, Limit, Operation, Scope};
use portico_core::key::{Name, ObjectKey};
use portico_crds::{EnvoyListener, EnvoySettings, IdentityHeaders, Period, Upstream};
use portico_envoy::server::{Event, Progress, Server};
use portico_envoy::supervisor::{self, Address, Settings, Supervisor};
use portico_envoy::translate::{Certificate, CertificateSource, KeySource, Options};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedReceiver;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The Envoy to test with: the pinned one, or the one that `PORTICO_ENVOY` names.
pub fn envoy() -> PathBuf {
    static FOUND: LazyLock<PathBuf> = LazyLock::new(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/envoy");
        let output = std::process::Command::new(script).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    });
    supervisor::find(Some(&FOUND), None).unwrap()
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

pub fn name(text: &str) -> Name {
    let (namespace, name) = text.split_once('/').unwrap();
    Name::new(namespace, name)
}

/// The key of a credential and generation; made of their names, so that nobody has to remember it.
pub fn key(credential: &str, generation: i64) -> ApiKey {
    let digest = Sha256::digest(format!("{credential} {generation}").as_bytes());
    ApiKey::from_random(*digest.first_chunk().unwrap())
}

/// Keys and certificates.
#[derive(Debug, Default)]
pub struct Secrets {
    pub certificates: Mutex<HashMap<Name, Certificate>>,
    pub authorities: Mutex<HashMap<Name, String>>,
}

impl KeySource for Secrets {
    fn key(&self, credential: &Name, generation: i64) -> Option<ApiKey> {
        Some(key(&credential.to_string(), generation))
    }
}

impl CertificateSource for Secrets {
    fn certificate(&self, secret: &Name) -> Option<Certificate> {
        self.certificates.lock().unwrap().get(secret).cloned()
    }

    fn authorities(&self, secret: &Name, _key: Option<&str>) -> Option<String> {
        self.authorities.lock().unwrap().get(secret).cloned()
    }
}

/// The whole of it. Its environment is `ops/test`.
pub struct World {
    pub server: Server,
    pub secrets: Arc<Secrets>,
    pub envoy: Option<Supervisor>,
    pub directory: tempfile::TempDir,
    pub settings: Settings,
    /// Where the first listener is.
    pub port: u16,
    events: UnboundedReceiver<Event>,
    seen: Vec<Event>,
    serving: Serving,
    serial: u64,
}

impl World {
    /// Everything started, with nothing to serve yet.
    pub async fn start() -> World {
        World::start_with(Options::default()).await
    }

    pub async fn start_with(options: Options) -> World {
        let directory = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let settings = Settings {
            binary: envoy(),
            environment: name("ops/test"),
            node: "one".to_owned(),
            directory: directory.path().join("envoy"),
            discovery: Address::Tcp(listener.local_addr().unwrap()),
            admin: Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))),
            concurrency: Some(2),
            max_connections: 10_000,
        };
        let secrets = Arc::new(Secrets::default());
        let (server, events, serving) = serve(secrets.clone(), options, listener);
        let envoy = Supervisor::start(settings.clone()).await.unwrap();
        World {
            server,
            secrets,
            envoy: Some(envoy),
            directory,
            settings,
            port: free_port(),
            events,
            seen: Vec::new(),
            serving,
            serial: 0,
        }
    }

    /// Ends the server with all its connections, as if the program had died.
    pub fn kill_server(&mut self) {
        self.serving.end();
    }

    /// Starts a server that knows nothing, where the one before was.
    pub fn start_server(&mut self) {
        let Address::Tcp(address) = self.settings.discovery else { panic!("a port") };
        let listener = std::net::TcpListener::bind(address).unwrap();
        (self.server, self.events, self.serving) = serve(self.secrets.clone(), Options::default(), listener);
        self.seen.clear();
    }

    pub fn environment(&self) -> Name {
        name("ops/test")
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// A listener at [`World::port`] and all other settings as they come.
    pub fn gateway(&self) -> Gateway {
        Gateway {
            settings: EnvoySettings {
                listeners: vec![listener("http", self.port)],
                api_key_header: "x-api-key".to_owned(),
                identity_headers: IdentityHeaders::default(),
            },
        }
    }

    pub fn put_gateway(&mut self, gateway: Gateway) -> Put {
        let key = OutputKey::Gateway { environment: self.environment() };
        self.put(key, Output::Gateway(Box::new(gateway)))
    }

    pub fn put_api(&mut self, api: Api) -> Put {
        let key = OutputKey::Api { environment: self.environment(), product: api.product.clone(), index: 0 };
        self.put(key, Output::Api(Box::new(api)))
    }

    pub fn put_client(&mut self, client: Client) -> Put {
        let key = OutputKey::Client { environment: self.environment(), credential: client.credential.clone() };
        self.put(key, Output::Client(client.into()))
    }

    fn put(&mut self, key: OutputKey, output: Output) -> Put {
        self.serial += 1;
        Put { key, output, serial: self.serial, replaces: false }
    }

    pub fn remove_client(&mut self, credential: &str) -> Removal {
        let environment = self.environment();
        self.remove(OutputKey::Client { environment, credential: name(credential) })
    }

    pub fn remove_api(&mut self, product: &str) -> Removal {
        let environment = self.environment();
        self.remove(OutputKey::Api { environment, product: name(product), index: 0 })
    }

    fn remove(&mut self, key: OutputKey) -> Removal {
        self.serial += 1;
        Removal { key, serial: self.serial }
    }

    pub fn progress(&self) -> Progress {
        self.server.progress(&self.environment()).unwrap()
    }

    /// What was reported and not waited for.
    pub fn unexpected(&mut self) -> Vec<Event> {
        while let Ok(event) = self.events.try_recv() {
            self.seen.push(event);
        }
        self.seen.iter().filter(|event| matches!(event, Event::Refused { .. })).cloned().collect()
    }

    /// Has it all applied, and waits until Envoy has confirmed it.
    pub async fn apply(&mut self, removals: Vec<Removal>, puts: Vec<Put>) {
        self.update(removals, puts);
        self.confirmed().await;
        self.listens(self.port).await;
    }

    pub fn update(&mut self, removals: Vec<Removal>, puts: Vec<Put>) {
        self.server.update(&self.environment(), removals, puts);
    }

    /// Waits until everything is confirmed.
    pub async fn confirmed(&mut self) {
        let serial = self.serial;
        self.until(|event| matches!(event, Event::Confirmed { serial: confirmed, .. } if *confirmed >= serial)).await;
    }

    /// Waits until Envoy takes connections at a port: it confirms a listener a moment before that.
    pub async fn listens(&self, port: u16) {
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "nobody listens at {port}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits for a refusal, and says what was refused and why.
    pub async fn refused(&mut self) -> (Vec<ObjectKey>, String) {
        let event = self.until(|event| matches!(event, Event::Refused { .. })).await;
        let Event::Refused { objects, message, .. } = event else { unreachable!() };
        (objects, message)
    }

    /// Waits for an event. Those before it are kept.
    pub async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        if let Some(place) = self.seen.iter().position(&wanted) {
            return self.seen.remove(place);
        }
        let wait = async {
            loop {
                let event = self.events.recv().await.expect("the server goes on");
                if wanted(&event) {
                    return event;
                }
                self.seen.push(event);
            }
        };
        let found = tokio::time::timeout(PATIENCE, wait).await;
        found.unwrap_or_else(|_| {
            let log = std::fs::read_to_string(self.settings.directory.join("envoy.log")).unwrap_or_default();
            panic!(
                "waited in vain; seen {:?}, progress {:?}, log {log}",
                self.seen,
                self.server.progress(&name("ops/test"))
            )
        })
    }

    /// What Envoy's administration answers.
    pub async fn admin(&self, path: &str) -> String {
        let Address::Tcp(address) = self.settings.admin else { panic!("a port") };
        http::get(address, path, &[("host", "admin")]).await.body
    }

    /// Has its administration do something.
    pub async fn admin_post(&self, path: &str) {
        let Address::Tcp(address) = self.settings.admin else { panic!("a port") };
        let answer = http::send(address, "POST", path, &[("host", "admin"), ("content-length", "0")]).await;
        assert_eq!(answer.status, 200, "{path} {answer:?}");
    }

    pub async fn stop(mut self) {
        if let Some(envoy) = self.envoy.take() {
            envoy.stop().await.unwrap();
        }
    }
}

impl Drop for World {
    /// A test that fails must not leave an Envoy behind.
    fn drop(&mut self) {
        if let Some(envoy) = &self.envoy
            && let supervisor::State::Running { pid } = *envoy.state().borrow()
        {
            let _ = std::process::Command::new("kill").arg("-9").arg(pid.to_string()).status();
        }
    }
}

fn serve(
    secrets: Arc<Secrets>,
    options: Options,
    listener: std::net::TcpListener,
) -> (Server, UnboundedReceiver<Event>, Serving) {
    let (server, events) = Server::new(secrets.clone(), secrets, options);
    let serving = server.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    listener.set_nonblocking(true).unwrap();
    runtime.spawn(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        serving.serve_tcp(listener).await.unwrap();
    });
    (server, events, Serving(Some(runtime)))
}

/// The runtime of a server. All its tasks end with it, those of open connections too.
struct Serving(Option<Runtime>);

impl Serving {
    fn end(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.end();
    }
}

pub fn listener(name: &str, port: u16) -> EnvoyListener {
    EnvoyListener { name: name.to_owned(), address: "127.0.0.1".to_owned(), port, tls: None }
}

/// An API at any host.
pub fn api(product: &str, base_path: &str, upstream: SocketAddr, plans: Vec<ApiPlan>) -> Api {
    Api {
        product: name(product),
        version: "v1".to_owned(),
        hosts: Vec::new(),
        base_path: base_path.to_owned(),
        upstream: Upstream { url: format!("http://{upstream}"), ..Upstream::default() },
        cors: None,
        plans,
        guarded: Vec::new(),
        deprecated: None,
    }
}

pub fn plan(plan: &str) -> ApiPlan {
    ApiPlan { plan: name(plan), only: None, limits: Vec::new(), deprecated: None }
}

pub fn limit(id: &str, scope: Scope, requests: u64, per: Period) -> Limit {
    Limit { id: id.to_owned(), alone: false, shared: false, scope, requests, per }
}

pub fn operation(text: &str) -> Operation {
    match text.split_once(' ') {
        Some((method, path)) => Operation { method: Some(method.to_owned()), path: path.to_owned() },
        None => Operation { method: None, path: text.to_owned() },
    }
}

/// A client whose application is named as its credential.
pub fn client(credential: &str, plans: &[&str], scopes: &[(&str, &str)]) -> Client {
    Client {
        credential: name(credential),
        application: name(credential),
        generations: vec![1],
        plans: plans.iter().map(|plan| name(plan)).collect(),
        scopes: scopes
            .iter()
            .map(|(product, scope)| GrantedScope { product: name(product), scope: (*scope).into() })
            .collect(),
    }
}
