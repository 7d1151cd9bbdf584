//! `portico operator`: follow the objects of a cluster and enforce what they say.

mod authors;
mod counts;
mod deletion;
mod documents;
mod engine;
mod givers;
mod held;
mod http;
mod metrics;
mod notes;
mod portal;
mod repository;
mod rush;
mod secrets;
mod traces;
mod work;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use portico_envoy::server::{Server, Tls};
use portico_envoy::translate::Options;
use portico_kube::counts::Place;
use portico_kube::lease::{self, Terms};
use portico_kube::portal::Memory;
use portico_kube::watch::{Scope, watch as watch_cluster};
use portico_kube::{Client, Config};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use crate::cli::Operator;
use authors::Authors;
use engine::{Engine, Health, Inputs, Parts};
use held::Held;
use metrics::Metrics;
use notes::Notes;

/// How long a lease holds when its holder is gone without a word, and how long before its end it is renewed.
const LEASE_SECONDS: u64 = 8;
const LEASE_GRACE_SECONDS: u64 = 4;
/// So long before the end of an unrenewed lease its holder writes no more: clocks differ, and the last writes are under way.
const LEASE_MARGIN_SECONDS: u64 = 1;

/// Works until it is told to stop.
pub fn run(options: &Operator) -> anyhow::Result<()> {
    let runtime = Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(operate(options))
}

async fn operate(options: &Operator) -> anyhow::Result<()> {
    let identity =
        options.identity.clone().or_else(host_name).context("this replica has no name: give one with --identity")?;
    let traces = options.otlp_endpoint.as_deref().map(|endpoint| traces::start(endpoint, &identity)).transpose()?;
    crate::log(options.log_format, "info", traces.as_ref());
    let config = Config::infer()
        .await
        .context("cannot find a cluster: neither a service account nor KUBECONFIG leads to one")?;
    let address = config.cluster_url.clone();
    let client = Client::try_from(config).with_context(|| format!("cannot speak to the API server at {address}"))?;
    let version =
        client.apiserver_version().await.with_context(|| format!("cannot reach the API server at {address}"))?;
    let namespace = options.lease_namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    tracing::info!(server = version.git_version, identity, namespace, "found the cluster");

    let held = Arc::new(Held::default());
    let (server, gateways) = Server::new(held.clone(), held.clone(), Options::default());
    let listener = TcpListener::bind(options.xds)
        .await
        .with_context(|| format!("cannot listen on {}: choose another address with --xds", options.xds))?;
    let xds = listener.local_addr().context("cannot tell the address")?;
    let tls = options.xds_tls.as_deref().map(certificates).transpose()?;
    let metrics = Metrics::new();
    let (health, known) = watch::channel(Health::default());
    let http = http::serve(options.http, known.clone(), metrics.clone(), server.clone()).await?;
    let terms = Terms {
        namespace: namespace.clone(),
        name: options.lease.clone(),
        identity: identity.clone(),
        seconds: LEASE_SECONDS,
        grace_seconds: LEASE_GRACE_SECONDS,
        margin_seconds: LEASE_MARGIN_SECONDS,
    };
    let (leader, lease) = lease::strive(&client, terms)
        .await
        .with_context(|| format!("cannot use the lease {namespace}/{}", options.lease))?;
    // It was only to see that the address is free.
    drop(listener);
    let serving = tokio::spawn(serve(server.clone(), xds, tls, leader.clone()));
    let (end_counting, end) = oneshot::channel();
    let place = Place::new(&client, &namespace, &format!("{}-counts", options.lease));
    let counting = tokio::spawn(counts::keep(server.clone(), place, leader.clone(), end));
    let scope = Scope { namespaces: options.namespaces.clone(), secret_namespaces: options.secret_namespaces.clone() };
    let (seen, sources) = watch_cluster(&client, &scope);
    let (done, finished) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(obey(stop));
    tracing::info!(%xds, %http, "working");

    let copies = options.copies.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("portico-{identity}")));
    let (wrote, authors) = mpsc::unbounded_channel();
    let (ask, questions) = mpsc::unbounded_channel();
    let notes = Notes::start(client.clone(), identity.clone());
    let memory = Memory::beside(&client, &namespace, &options.lease);
    let engine = Engine::new(Parts {
        server,
        held: held.clone(),
        client,
        sources,
        done,
        authors: Authors::new(copies.clone(), wrote),
        notes,
        metrics,
        health,
    });
    let mut visited = None;
    if let Some(address) = options.portal {
        let (local, own) = (options.local_sign_in, options.replica_address);
        let reading = engine.core.reading();
        let site = portal::Site { reading, held, memory, questions: ask, copies, local, identity, own };
        let (address, task) = portal::serve(address, site, leader.clone(), known).await?;
        visited = Some(task);
        tracing::info!(portal = %address, "the portal is open");
    }
    let inputs = Inputs { seen, gateways, done: finished, authors, questions, leader: leader.clone(), stop: stopped };
    engine.run(inputs).await;
    // Nobody listens to it any more, so that the lease is given back, and the next one need not wait for its end.
    serving.abort();
    if let Some(visited) = visited {
        visited.abort();
    }
    drop(end_counting);
    if let Err(error) = counting.await {
        tracing::warn!(%error, "what was counted last is not kept");
    }
    drop(leader);
    let given_back = lease.await;
    if let Some(traces) = traces {
        traces::stop(&traces);
    }
    match given_back {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error).context("the lease could not be given back"),
        Err(error) => Err(error).context("the lease could not be given back"),
    }
}

/// Serves gateways as long as this replica leads: statuses are written by the one that knows what gateways confirmed. The
/// others have everything ready, and no open port, so that a gateway that comes to them goes on to the leader.
async fn serve(server: Server, address: SocketAddr, tls: Option<Tls>, mut leader: watch::Receiver<bool>) {
    while leader.wait_for(|leads| *leads).await.is_ok() {
        let listener = match TcpListener::bind(address).await {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%address, %error, "cannot listen; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let mut until = leader.clone();
        let stop = async move {
            // Either it leads no longer, or there is nobody left to tell.
            let _ = until.wait_for(|leads| !*leads).await;
        };
        if let Err(error) = server.serve_until(listener, tls.clone(), stop).await {
            tracing::error!(%error, "gateways are not served; trying again");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// The certificate of the discovery service, and the authority of those who may use it.
fn certificates(folder: &Path) -> anyhow::Result<Tls> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    Ok(Tls { certificate: read("tls.crt")?, private_key: read("tls.key")?, authority: read("ca.crt")? })
}

/// Stops on `SIGINT` and `SIGTERM`.
async fn obey(stop: watch::Sender<bool>) {
    let listen = |kind| signal(kind).map_err(|error| tracing::warn!(%error, "cannot listen for a signal"));
    let (Ok(mut interrupt), Ok(mut terminate)) = (listen(SignalKind::interrupt()), listen(SignalKind::terminate()))
    else {
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping");
    stop.send_replace(true);
}
