//! Gives Envoys their configuration, and says what became of it.
//!
//! A delta aggregated discovery service for any number of environments. An Envoy belongs to the environment that its
//! `node.cluster` names, as `namespace/name`; its `node.id` may be anything. An environment is answered for once
//! [`Server::update`] was called for it the first time: an Envoy that comes back before that keeps what it has.
//!
//! At the same place it counts what long limits are about, see [`Server::take_counts`].

mod environment;
mod quota;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitServiceServer;
use portico_core::delta::{Put, Removal};
use portico_core::key::{Name, ObjectKey};
use portico_core::quota::Counters;
use prost::Message as _;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate as TlsCertificate, Identity, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use crate::translate::{CertificateSource, KeySource, Options, Resource, Type};
use environment::{Environment, Envoy, Sources};

/// After how long what cannot be known to fail again is tried again, such as a port that was in use.
const RETRY: Duration = Duration::from_secs(10);

/// Something that happened at a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Every connected Envoy of the environment has everything up to this serial, but for what was refused.
    Confirmed {
        /// The environment.
        environment: Name,
        /// See [`Put::serial`].
        serial: u64,
    },
    /// Something was refused, by Envoy or because it cannot be said to Envoy. What it had before goes on.
    Refused {
        /// The environment.
        environment: Name,
        /// From what it was made.
        objects: Vec<ObjectKey>,
        /// Why.
        message: String,
    },
    /// What was refused is taken now, as it is.
    Mended {
        /// The environment.
        environment: Name,
        /// From what it was made.
        objects: Vec<ObjectKey>,
    },
    /// An Envoy came.
    Connected {
        /// The environment.
        environment: Name,
        /// What it calls itself.
        node: String,
    },
    /// An Envoy went.
    Disconnected {
        /// The environment.
        environment: Name,
        /// What it calls itself.
        node: String,
    },
}

/// How an environment is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The highest serial that was asked for.
    pub serial: u64,
    /// The highest serial that every Envoy confirmed.
    pub confirmed: u64,
    /// What the connected Envoys call themselves.
    pub envoys: Vec<String>,
    /// How many credentials have access.
    pub clients: usize,
    /// How many responses were sent, by type: `cluster`, `listener`, `route`, `extension`, `secret`.
    pub responses: BTreeMap<&'static str, u64>,
    /// How many bytes were sent, by type, before compression and framing.
    pub bytes: BTreeMap<&'static str, u64>,
}

/// How much was sent, by type: `cluster`, `listener`, `route`, `extension`, `secret`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// How many responses.
    pub responses: BTreeMap<&'static str, u64>,
    /// How many bytes, before compression and framing.
    pub bytes: BTreeMap<&'static str, u64>,
    /// How many credentials have access now, in all environments together.
    pub clients: usize,
}

/// A certificate, its key, and the authority of those who may connect, as PEM.
#[derive(Clone)]
pub struct Tls {
    /// The certificate, then those that lead to the authority.
    pub certificate: String,
    /// The private key. It is not printed.
    pub private_key: String,
    /// Whose certificates are good.
    pub authority: String,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// The server failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The connection to the Envoys.
    #[error("the discovery service stopped")]
    Transport(#[source] tonic::transport::Error),
    /// The certificates.
    #[error("the certificates of the discovery service cannot be used")]
    Tls(#[source] tonic::transport::Error),
}

/// The discovery service. Clones are handles to the same one.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

struct Shared {
    environments: Mutex<HashMap<Name, Arc<Cell>>>,
    sources: Sources,
    events: mpsc::UnboundedSender<Event>,
    ids: AtomicU64,
    counters: Mutex<Counters>,
    /// Rings when all connections have to end.
    closing: watch::Sender<()>,
}

/// An environment, and a bell for those who serve it.
struct Cell {
    state: Mutex<Environment>,
    changed: watch::Sender<()>,
    sent: Mutex<BTreeMap<Type, (u64, u64)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// A server without environments, and what it reports.
    pub fn new(
        keys: Arc<dyn KeySource>,
        certificates: Arc<dyn CertificateSource>,
        options: Options,
    ) -> (Server, mpsc::UnboundedReceiver<Event>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let sources = Sources { keys, certificates, options };
        let (environments, ids) = (Mutex::new(HashMap::new()), AtomicU64::new(1));
        let (counters, closing) = (Mutex::default(), watch::Sender::new(()));
        let shared = Shared { environments, sources, events, ids, counters, closing };
        (Server { shared: Arc::new(shared) }, receiver)
    }

    /// What an environment should have is different now. The first call for an environment must bring all it has, and
    /// may be empty. Takes no longer than the translation; Envoys are told in the background.
    pub fn update(&self, environment: &Name, removals: Vec<Removal>, puts: Vec<Put>) {
        self.change(environment, |state, sources| state.update(removals, puts, sources));
    }

    /// Certificates may be different now; those of the environment are looked up again.
    pub fn refresh_certificates(&self, environment: &Name) {
        self.change(environment, Environment::refresh_certificates);
    }

    /// How an environment is doing; nothing where it is not known.
    pub fn progress(&self, environment: &Name) -> Option<Progress> {
        let cell = lock(&self.shared.environments).get(environment)?.clone();
        let state = lock(&cell.state);
        let mut progress = Progress {
            serial: state.serial,
            confirmed: state.confirmed_serial(),
            envoys: state.envoys.values().map(|envoy| envoy.node.clone()).collect(),
            clients: state.clients(),
            ..Progress::default()
        };
        progress.envoys.sort();
        for (kind, (responses, bytes)) in lock(&cell.sent).iter() {
            progress.responses.insert(label(*kind), *responses);
            progress.bytes.insert(label(*kind), *bytes);
        }
        Some(progress)
    }

    /// All resources of an environment, keys included; shards without keys are left out.
    pub(crate) fn shown(&self, environment: &Name) -> Option<Vec<(Type, String, Resource)>> {
        let cell = lock(&self.shared.environments).get(environment)?.clone();
        let shown = lock(&cell.state).shown();
        Some(shown)
    }

    /// Serves Envoys that connect over TCP, until dropped.
    pub async fn serve_tcp(&self, listener: TcpListener) -> Result<(), ServeError> {
        self.serve(incoming(listener)).await
    }

    /// Serves Envoys that connect over a Unix socket, until dropped.
    pub async fn serve_unix(&self, listener: UnixListener) -> Result<(), ServeError> {
        self.serve(UnixListenerStream::new(listener)).await
    }

    /// Serves Envoys over TCP until `stop` is over, and then closes all connections: those who come again may come to
    /// somebody else. With `tls`, Envoys have to show a certificate.
    pub async fn serve_until(
        &self,
        listener: TcpListener,
        tls: Option<Tls>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let mut builder = tonic::transport::Server::builder();
        if let Some(Tls { certificate, private_key, authority }) = tls {
            let config = ServerTlsConfig::new()
                .identity(Identity::from_pem(certificate, private_key))
                .client_ca_root(TlsCertificate::from_pem(authority));
            builder = builder.tls_config(config).map_err(ServeError::Tls)?;
        }
        let stop = async {
            stop.await;
            self.shared.closing.send_replace(());
        };
        self.serve_with(builder, incoming(listener), stop).await
    }

    /// How much was sent to all Envoys since the start.
    pub fn sent(&self) -> Sent {
        let mut sent = Sent::default();
        for cell in lock(&self.shared.environments).values() {
            sent.clients += lock(&cell.state).clients();
            for (kind, (responses, bytes)) in lock(&cell.sent).iter() {
                *sent.responses.entry(label(*kind)).or_default() += responses;
                *sent.bytes.entry(label(*kind)).or_default() += bytes;
            }
        }
        sent
    }

    async fn serve<I, IO>(&self, incoming: I) -> Result<(), ServeError>
    where
        I: Stream<Item = std::io::Result<IO>>,
        IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + tonic::transport::server::Connected + Unpin + Send + 'static,
    {
        self.serve_with(tonic::transport::Server::builder(), incoming, std::future::pending()).await
    }

    async fn serve_with<I, IO>(
        &self,
        builder: tonic::transport::Server,
        incoming: I,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ServeError>
    where
        I: Stream<Item = std::io::Result<IO>>,
        IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + tonic::transport::server::Connected + Unpin + Send + 'static,
    {
        let service = AggregatedDiscoveryServiceServer::new(self.clone()).max_decoding_message_size(64 << 20);
        builder
            .http2_keepalive_interval(Some(Duration::from_secs(30)))
            .add_service(service)
            .add_service(RateLimitServiceServer::new(self.clone()))
            .serve_with_incoming_shutdown(incoming, stop)
            .await
            .map_err(ServeError::Transport)
    }

    fn cell(&self, environment: &Name) -> Arc<Cell> {
        let mut environments = lock(&self.shared.environments);
        let cell = environments.entry(environment.clone()).or_insert_with(|| {
            Arc::new(Cell {
                state: Mutex::new(Environment::new(environment.clone())),
                changed: watch::Sender::new(()),
                sent: Mutex::default(),
            })
        });
        cell.clone()
    }

    fn change(&self, environment: &Name, change: impl FnOnce(&mut Environment, &Sources)) {
        let cell = self.cell(environment);
        let events = {
            let mut state = lock(&cell.state);
            change(&mut state, &self.shared.sources);
            state.take_events()
        };
        self.report(events);
        cell.changed.send_replace(());
    }

    fn report(&self, events: Vec<Event>) {
        for event in events {
            // Nobody listens while the program stops.
            let _ = self.shared.events.send(event);
        }
    }
}

/// Connections that hold nothing back: a small answer would wait 40 ms for an acknowledgement of the one before.
fn incoming(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}

fn label(kind: Type) -> &'static str {
    match kind {
        Type::Extension => "extension",
        Type::Secret => "secret",
        Type::Cluster => "cluster",
        Type::Listener => "listener",
        Type::Route => "route",
    }
}

/// Takes an Envoy off its environment's list however its connection ends.
struct Presence {
    server: Server,
    cell: Arc<Cell>,
    environment: Name,
    id: u64,
    node: String,
}

impl Presence {
    fn new(server: &Server, environment: Name, node: String) -> Presence {
        let cell = server.cell(&environment);
        let id = server.shared.ids.fetch_add(1, Ordering::Relaxed);
        lock(&cell.state).envoys.insert(id, Envoy { node: node.clone(), ..Envoy::default() });
        tracing::info!(%environment, node, "an Envoy connected");
        server.report(vec![Event::Connected { environment: environment.clone(), node: node.clone() }]);
        Presence { server: server.clone(), cell, environment, id, node }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let events = {
            let mut state = lock(&self.cell.state);
            state.envoys.remove(&self.id);
            if !state.envoys.is_empty() {
                state.settle();
            }
            state.take_events()
        };
        self.server.report(events);
        tracing::info!(environment = %self.environment, node = self.node, "an Envoy disconnected");
        let gone = Event::Disconnected { environment: self.environment.clone(), node: std::mem::take(&mut self.node) };
        self.server.report(vec![gone]);
        self.cell.changed.send_replace(());
    }
}

/// Serves one Envoy until either side has enough.
async fn converse(
    presence: Presence,
    first: DeltaDiscoveryRequest,
    mut requests: Streaming<DeltaDiscoveryRequest>,
    responses: mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
) {
    let mut stream = stream::Stream::new(presence.id);
    let mut changed = presence.cell.changed.subscribe();
    let mut closing = presence.server.shared.closing.subscribe();
    let mut retry = tokio::time::interval(RETRY);
    let mut next = Some(first);
    loop {
        let (ready, events, wake) = {
            let mut state = lock(&presence.cell.state);
            let received = next.take().map(|request| stream.receive(request, &mut state)).unwrap_or_default();
            let (ready, pumped) = stream.pump(&mut state);
            (ready, state.take_events(), received.wake || pumped.wake)
        };
        presence.server.report(events);
        if wake {
            presence.cell.changed.send_replace(());
        }
        for response in ready {
            if let Some(kind) = Type::from_url(&response.type_url) {
                let mut sent = lock(&presence.cell.sent);
                let (count, bytes) = sent.entry(kind).or_default();
                *count += 1;
                *bytes += u64::try_from(response.encoded_len()).unwrap_or(u64::MAX);
            }
            if responses.send(Ok(response)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            request = requests.next() => match request {
                Some(Ok(request)) => next = Some(request),
                Some(Err(_)) | None => return,
            },
            change = changed.changed() => if change.is_err() { return },
            _ = closing.changed() => return,
            _ = retry.tick() => stream.retry(),
        }
    }
}

fn environment_of(cluster: &str) -> Option<Name> {
    let (namespace, name) = cluster.split_once('/')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains('/')).then(|| Name::new(namespace, name))
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Server {
    type StreamAggregatedResourcesStream = Pin<Box<dyn Stream<Item = Result<DiscoveryResponse, Status>> + Send>>;

    async fn stream_aggregated_resources(
        &self,
        _request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("this server speaks the incremental protocol only: set api_type to DELTA_GRPC"))
    }

    type DeltaAggregatedResourcesStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let mut requests = request.into_inner();
        let (sender, receiver) = mpsc::channel(8);
        let server = self.clone();
        // The answer must not wait for the first request, for which Envoy may wait to hear an answer.
        tokio::spawn(async move {
            let Some(Ok(first)) = requests.next().await else { return };
            let node = first.node.clone().unwrap_or_default();
            let Some(environment) = environment_of(&node.cluster) else {
                let message = "node.cluster must name an environment, as namespace/name";
                let _ = sender.send(Err(Status::invalid_argument(message))).await;
                return;
            };
            let presence = Presence::new(&server, environment, node.id);
            converse(presence, first, requests, sender).await;
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
