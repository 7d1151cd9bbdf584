//! Connections of people who come to the portal: the leader answers them, the others pass them on.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::extract::ConnectInfo;
use axum::http::{StatusCode, header};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use portico_kube::portal::Memory;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::up::chain;

/// How long somebody may take to say what they want.
const HEAD: Duration = Duration::from_secs(30);
/// How long the leader may take to take a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// So long it is believed where the leader is.
const FRESH: Duration = Duration::from_secs(1);
/// The pause after something that went wrong.
const PAUSE: Duration = Duration::from_secs(1);

/// Two listeners: for everybody, and for the other replicas, which pass nothing on once more.
pub struct Door {
    public: TcpListener,
    between: TcpListener,
    /// Where the others reach this one.
    own: SocketAddr,
    memory: Memory,
    identity: String,
    leader: watch::Receiver<bool>,
}

impl Door {
    pub fn new(
        public: TcpListener,
        between: TcpListener,
        memory: Memory,
        identity: String,
        leader: watch::Receiver<bool>,
    ) -> anyhow::Result<Door> {
        let own = between.local_addr().context("cannot tell the address")?;
        Ok(Door { public, between, own, memory, identity, leader })
    }

    /// Takes connections. `opened` is the portal, once it can be served.
    pub async fn keep(self, opened: impl Future<Output = Router>) {
        let Door { public, between, own, memory, identity, mut leader } = self;
        let finder = Arc::new(Finder { memory: memory.clone(), known: Mutex::default() });
        let mut opened = Box::pin(opened);
        let mut portal: Option<Router> = None;
        // They end when this replica leads no longer: what it would tell from then on may not be so.
        let mut connections = JoinSet::new();
        let mut announcing: Option<AbortHandle> = None;
        let mut leads = *leader.borrow_and_update();
        loop {
            let is_open = leads && portal.is_some();
            if is_open && announcing.is_none() {
                let announced = announce(memory.clone(), identity.clone(), own);
                announcing = Some(tokio::spawn(announced).abort_handle());
            }
            let answers = || portal.clone().filter(|_| leads);
            tokio::select! {
                accepted = public.accept() => match (accepted, answers()) {
                    (Ok((stream, peer)), Some(portal)) => _ = connections.spawn(answer(stream, peer, portal)),
                    (Ok((stream, peer)), None) => _ = connections.spawn(pass(stream, peer, finder.clone())),
                    (Err(error), _) => refused(&error).await,
                },
                accepted = between.accept() => match accepted {
                    Ok((stream, peer)) => {
                        _ = connections.spawn(answer(stream, peer, answers().unwrap_or_else(closed)));
                    }
                    Err(error) => refused(&error).await,
                },
                router = &mut opened, if portal.is_none() => portal = Some(router),
                changed = leader.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    leads = *leader.borrow_and_update();
                    if !leads {
                        connections.abort_all();
                    }
                    if let Some(announcing) = announcing.take() {
                        announcing.abort();
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// Too many files are open, or somebody was gone already.
async fn refused(error: &io::Error) {
    tracing::debug!(%error, "a connection to the portal was not taken");
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        sleep(PAUSE).await;
    }
}

/// Tells the others that this one answers, until they are told.
async fn announce(memory: Memory, identity: String, own: SocketAddr) {
    while let Err(error) = memory.announce(&identity, own).await {
        tracing::warn!(error = chain(&error), "the other replicas are not told where the portal is; trying again");
        sleep(PAUSE).await;
    }
    tracing::info!(%own, "this replica answers for the portal");
}

/// Answers on one connection.
async fn answer(stream: TcpStream, peer: SocketAddr, portal: Router) {
    let service = TowerToHyperService::new(portal.layer(Extension(ConnectInfo(peer))));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to the portal ended");
    }
}

/// Passes a connection on to whoever leads.
async fn pass(mut stream: TcpStream, peer: SocketAddr, finder: Arc<Finder>) {
    let leader = match finder.find().await {
        // Whoever passes on within a machine would make somebody from elsewhere look as if they were here.
        Some(leader) if leader.ip().is_loopback() && !peer.ip().to_canonical().is_loopback() => None,
        Some(leader) => timeout(CONNECT, TcpStream::connect(leader)).await.ok().and_then(Result::ok),
        None => None,
    };
    let Some(mut leader) = leader else { return answer(stream, peer, closed()).await };
    if let Err(error) = copy_bidirectional(&mut stream, &mut leader).await {
        tracing::debug!(%error, "a connection to the portal that was passed on ended");
    }
}

/// What is answered while nobody can answer.
fn closed() -> Router {
    let text = "The portal is about to be there: no replica of Portico leads at the moment. Load this page again.\n";
    Router::new().fallback(async move || {
        let headers = [(header::RETRY_AFTER, "2"), (header::CACHE_CONTROL, "no-store"), (header::CONNECTION, "close")];
        (StatusCode::SERVICE_UNAVAILABLE, headers, text)
    })
}

/// Knows for a moment where the leader is.
struct Finder {
    memory: Memory,
    known: Mutex<Option<(Instant, Option<SocketAddr>)>>,
}

impl Finder {
    async fn find(&self) -> Option<SocketAddr> {
        let mut known = self.known.lock().await;
        if let Some((at, leader)) = *known
            && at.elapsed() < FRESH
        {
            return leader;
        }
        let leader = match timeout(CONNECT, self.memory.leader()).await {
            Ok(Ok(leader)) => leader,
            Ok(Err(error)) => {
                tracing::debug!(%error, "it cannot be told which replica answers for the portal");
                None
            }
            Err(_) => None,
        };
        *known = Some((Instant::now(), leader));
        leader
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn who_comes_too_early_is_told_so() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut visitor = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        tokio::spawn(answer(stream, peer, closed()));
        visitor.write_all(b"GET /applications HTTP/1.1\r\nhost: portal.example\r\n\r\n").await.unwrap();
        let mut text = String::new();
        visitor.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("retry-after: 2"), "{text}");
    }
}
