//! The gateways: Envoys that are told what the core wants, and those of them that Portico runs.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use portico_core::batch::Fact;
use portico_core::delta::{OutputKey, Put, Removal};
use portico_core::key::Name;
use portico_core::quota::Record;
use portico_envoy::server::{self, Progress, Server};
use portico_envoy::supervisor::{self, Address, Settings, State, Supervisor};
use portico_envoy::translate;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Handle;

use super::engine::Event;
use super::keys::{Files, Keys};

/// What a gateway, or an Envoy that runs here, has to say.
pub enum News {
    /// For the core.
    Fact(Fact),
    /// For the person at the terminal.
    Note(String),
    /// The same, where it is not well.
    Trouble(String),
}

/// Whether and how Envoys are run.
pub struct How {
    /// Start them.
    pub start: bool,
    /// The program; else the one on the path.
    pub envoy: Option<PathBuf>,
    /// Stop them together with Portico.
    pub stop: bool,
    /// The state directory.
    pub state: PathBuf,
}

/// The discovery service, and the Envoys that Portico runs.
pub struct Gateway {
    server: Server,
    keys: Arc<Keys>,
    address: SocketAddr,
    runtime: Handle,
    how: How,
    binary: Option<PathBuf>,
    discovery: Address,
    running: Arc<Mutex<HashMap<Name, Supervisor>>>,
    environments: Vec<Name>,
    events: Sender<Event>,
}

/// How often what was counted is kept. So much of it is lost when Portico is killed.
const KEEP_COUNTS: Duration = Duration::from_secs(1);

/// A Unix socket's path may be so long.
const LONGEST_SOCKET: usize = 100;

impl Gateway {
    /// Starts to serve; Envoys are started as environments come.
    ///
    /// `counts` is what was counted before against long limits.
    pub fn start(
        runtime: &Handle,
        address: SocketAddr,
        how: How,
        counts: Vec<Record>,
        events: Sender<Event>,
    ) -> anyhow::Result<Gateway> {
        let binary = if how.start {
            let path = std::env::var_os("PATH");
            let found = supervisor::find(how.envoy.as_deref(), path.as_deref());
            Some(found.context("cannot start a gateway; with --no-envoy Portico serves those that run elsewhere")?)
        } else {
            None
        };
        let keys = Arc::new(Keys::default());
        let certificates = Arc::new(Files::new(&how.state));
        let (server, news) = Server::new(keys.clone(), certificates, translate::Options::default());

        server.restore_counts(counts);

        let listener = runtime
            .block_on(TcpListener::bind(address))
            .with_context(|| format!("cannot listen on {address}: choose another address with --xds"))?;
        let address = listener.local_addr().context("cannot tell the address")?;
        let serving = server.clone();
        runtime.spawn(async move {
            if let Err(error) = serving.serve_tcp(listener).await {
                tracing::error!(%error, "gateways are no longer served");
            }
        });
        // Envoys that run here come through a socket file, which is theirs at whatever port the service is.
        let socket = how.state.join("xds.sock");
        let discovery = if how.start && socket.as_os_str().len() <= LONGEST_SOCKET {
            // The state directory is locked, so whoever left it is gone.
            let _ = std::fs::remove_file(&socket);
            let _guard = runtime.enter();
            let listener =
                UnixListener::bind(&socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
            let serving = server.clone();
            runtime.spawn(async move {
                if let Err(error) = serving.serve_unix(listener).await {
                    tracing::error!(%error, "gateways are no longer served");
                }
            });
            Address::Unix(socket)
        } else {
            Address::Tcp(address)
        };
        runtime.spawn(translate_news(news, events.clone()));
        runtime.spawn(tell_counts(server.clone(), events.clone()));
        Ok(Gateway {
            server,
            keys,
            address,
            runtime: runtime.clone(),
            how,
            binary,
            discovery,
            running: Arc::default(),
            environments: Vec::new(),
            events,
        })
    }

    /// Where Envoys get their configuration.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The keys that gateways are given.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What the core wants is different now.
    pub fn update(&mut self, removals: Vec<Removal>, puts: Vec<Put>) {
        let mut changes: BTreeMap<Name, (Vec<Removal>, Vec<Put>)> = BTreeMap::new();
        let mut come = Vec::new();
        for removal in removals {
            if let OutputKey::Gateway { environment } = &removal.key {
                self.environments.retain(|known| known != environment);
                self.end(environment);
            }
            changes.entry(removal.key.environment().clone()).or_default().0.push(removal);
        }
        for put in puts {
            if let OutputKey::Gateway { environment } = &put.key
                && !self.environments.contains(environment)
            {
                self.environments.push(environment.clone());
                come.push(environment.clone());
            }
            changes.entry(put.key.environment().clone()).or_default().1.push(put);
        }
        for (environment, (removals, puts)) in changes {
            self.server.update(&environment, removals, puts);
        }
        for environment in come {
            self.begin(environment);
        }
    }

    /// The environments, with how many Envoys each has.
    pub fn connected(&self) -> Vec<(Name, usize)> {
        let count = |environment: &Name| self.server.progress(environment).map_or(0, |progress| progress.envoys.len());
        self.environments.iter().map(|environment| (environment.clone(), count(environment))).collect()
    }

    /// Whether the gateways enforce all that is wanted now. Where Portico runs none, that is not its concern.
    pub fn has_caught_up(&self) -> bool {
        self.every(|progress| progress.confirmed >= progress.serial)
    }

    /// Whether each environment has a gateway. Where Portico runs none, that is not its concern.
    pub fn is_connected(&self) -> bool {
        self.every(|progress| !progress.envoys.is_empty())
    }

    fn every(&self, holds: impl Fn(&Progress) -> bool) -> bool {
        let mut all = self.environments.iter().map(|environment| self.server.progress(environment));
        !self.how.start || all.all(|progress| progress.as_ref().is_some_and(&holds))
    }

    /// What was counted against long limits and is not kept yet.
    pub fn take_counts(&self) -> Vec<Record> {
        self.server.take_counts(Timestamp::now())
    }

    /// It could not be kept.
    pub fn counts_not_kept(&self, records: Vec<Record>) {
        self.server.counts_not_kept(records);
    }

    /// Leaves the Envoys to themselves, or stops them.
    pub fn stop(&mut self) {
        let running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        for (environment, supervisor) in running {
            let ended = if self.how.stop {
                self.runtime.block_on(supervisor.stop())
            } else {
                self.runtime.block_on(supervisor.leave())
            };
            if let Err(error) = ended {
                tracing::warn!(%environment, %error, "Envoy does not end as it should");
            }
        }
    }

    fn begin(&self, environment: Name) {
        let Some(binary) = self.binary.clone() else { return };
        let directory =
            self.how.state.join("envoy").join(format!("{}_{}", environment.namespace(), environment.name()));
        let admin = directory.join("admin.sock");
        let settings = Settings {
            binary,
            environment: environment.clone(),
            node: format!("{environment}/local"),
            admin: Address::Unix(admin),
            directory,
            discovery: self.discovery.clone(),
            concurrency: None,
            max_connections: 50_000,
        };
        let (running, events) = (self.running.clone(), self.events.clone());
        let program = settings.binary.display().to_string();
        self.runtime.spawn(async move {
            let supervisor = match Supervisor::start(settings).await {
                Ok(supervisor) => supervisor,
                Err(error) => {
                    let text = format!("no Envoy for Environment {environment}: {}", super::engine::chain(&error));
                    let _ = events.send(Event::Gateway(News::Trouble(text)));
                    return;
                }
            };
            let mut state = supervisor.state();
            running.lock().unwrap_or_else(PoisonError::into_inner).insert(environment.clone(), supervisor);
            loop {
                let said = match &*state.borrow_and_update() {
                    State::Running { pid } => {
                        News::Note(format!("Envoy for Environment {environment} runs (process {pid})"))
                    }
                    State::Died { message } => News::Trouble(format!(
                        "Envoy for Environment {environment} ({program}) died, and is started again: {message}"
                    )),
                    State::Stopped => break,
                };
                if events.send(Event::Gateway(said)).is_err() || state.changed().await.is_err() {
                    break;
                }
            }
        });
    }

    fn end(&self, environment: &Name) {
        let gone = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(environment);
        if let Some(supervisor) = gone {
            self.runtime.spawn(async move {
                if let Err(error) = supervisor.stop().await {
                    tracing::warn!(%error, "Envoy does not end as it should");
                }
            });
        }
    }
}

/// Tells what was counted, as often as it may be lost.
async fn tell_counts(server: Server, events: Sender<Event>) {
    let mut ticks = tokio::time::interval(KEEP_COUNTS);
    loop {
        ticks.tick().await;
        let records = server.take_counts(Timestamp::now());
        if !records.is_empty() && events.send(Event::Counted(records)).is_err() {
            return;
        }
    }
}

async fn translate_news(mut news: tokio::sync::mpsc::UnboundedReceiver<server::Event>, events: Sender<Event>) {
    while let Some(said) = news.recv().await {
        let said = match said {
            server::Event::Confirmed { environment, serial } => News::Fact(Fact::Confirmed { environment, serial }),
            server::Event::Refused { environment, objects, message } => {
                News::Fact(Fact::Refused { environment, objects, message })
            }
            server::Event::Mended { environment, objects } => News::Fact(Fact::Accepted { environment, objects }),
            server::Event::Connected { environment, node } => {
                News::Note(format!("gateway {node} of Environment {environment} is connected"))
            }
            server::Event::Disconnected { environment, node } => News::Trouble(format!(
                "gateway {node} of Environment {environment} is gone; it keeps enforcing what it has"
            )),
        };
        if events.send(Event::Gateway(said)).is_err() {
            return;
        }
    }
}
