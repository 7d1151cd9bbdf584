//! What stands between an operator and the API server when the connection between them is to be bad.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, block_on};

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing special.
    Pass,
    /// The API server never sees it, and this is the answer.
    Answer(u16),
    /// The connection breaks, and the API server never sees it.
    Lost,
    /// The API server takes it, and the connection breaks before the answer.
    AnswerLost,
    /// Nothing comes back and the API server never sees it, as long as the connection stands.
    Held,
    /// The API server never sees it, nor anything after it: [`Proxy::cut`].
    Cut,
    /// The API server takes it; the answer is lost, and everything after it.
    CutAfter,
}

/// A write, as the plan sees it.
#[derive(Clone, Debug)]
pub struct Write {
    /// How many there were since the plan was made, this one included.
    pub number: usize,
    /// `PATCH`, `PUT`, `POST` or `DELETE`.
    pub method: Method,
    /// The path without the query.
    pub path: String,
    /// How often this very thing was tried before.
    pub tries: usize,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // apis/GROUP/VERSION/namespaces/NAMESPACE/KIND/NAME
        let (_, rest) = self.path.split_once("/namespaces/").unwrap_or(("", &self.path));
        let (_, rest) = rest.split_once('/').unwrap_or(("", rest));
        write!(f, "{} {rest}", self.method)
    }
}

type Plan = Arc<dyn Fn(&Write) -> Fault + Send + Sync>;

/// An HTTP proxy to the API server, on loopback, without TLS and without asking who is there: whoever comes is the
/// administrator. It counts what is written, except leases and Events, and does to it what the plan says.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
    folder: TempDir,
}

struct Shared {
    client: Client,
    state: Mutex<State>,
    /// Counts up when all connections are to break.
    breaks: watch::Sender<u64>,
}

struct State {
    plan: Plan,
    /// Nobody gets through.
    cut: bool,
    /// Whoever asks waits for ever, leases and all.
    frozen: bool,
    /// Watches that begin at a version from before are told that it is gone; so many times.
    gone: usize,
    /// Lists that are never answered; so many times.
    swallowed: usize,
    writes: Vec<Write>,
    tries: BTreeMap<String, usize>,
    last: Instant,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Proxy {
    /// Starts one that lets everything through.
    ///
    /// # Panics
    ///
    /// When it cannot listen.
    pub fn start(cluster: &Cluster) -> Proxy {
        let state = State {
            plan: Arc::new(|_| Fault::Pass),
            cut: false,
            frozen: false,
            gone: 0,
            swallowed: 0,
            writes: Vec::new(),
            tries: BTreeMap::new(),
            last: Instant::now(),
        };
        let shared =
            Arc::new(Shared { client: cluster.admin(), state: Mutex::new(state), breaks: watch::Sender::new(0) });
        let (address, serving) = block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port for the proxy");
            let address = listener.local_addr().expect("a bound socket has an address");
            (address, tokio::spawn(serve(listener, shared.clone())))
        });
        let folder = tempfile::Builder::new().prefix("portico-proxy-").tempdir().expect("a temporary folder");
        let proxy = Proxy { address, shared, serving, folder };
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{ "name": "it", "cluster": { "server": format!("http://{address}") } }],
            "users": [{ "name": "it", "user": {} }],
            "contexts": [{ "name": "it", "context": { "cluster": "it", "user": "it" } }],
        });
        fs::write(proxy.kubeconfig(), config.to_string()).expect("a file");
        proxy
    }

    /// A file that leads here.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// What happens to writes from now on; they are counted from one again.
    pub fn plan(&self, plan: impl Fn(&Write) -> Fault + Send + Sync + 'static) {
        let mut state = self.shared.state();
        state.plan = Arc::new(plan);
        state.writes.clear();
        state.tries.clear();
    }

    /// What was written since the plan was made, or tried to be.
    pub fn writes(&self) -> Vec<Write> {
        self.shared.state().writes.clone()
    }

    /// How long nobody has written.
    pub fn quiet(&self) -> Duration {
        self.shared.state().last.elapsed()
    }

    /// Whether nobody gets through.
    pub fn is_cut(&self) -> bool {
        self.shared.state().cut
    }

    /// All connections break, and no new one gets through.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// Connections get through again, and nothing happens to writes.
    pub fn mend(&self) {
        self.plan(|_| Fault::Pass);
        let mut state = self.shared.state();
        state.cut = false;
        state.gone = 0;
        // What waits for an answer gets none.
        if std::mem::take(&mut state.frozen) {
            self.shared.break_all();
        }
    }

    /// Connections stay, and nothing comes through them.
    pub fn freeze(&self) {
        self.shared.state().frozen = true;
        // What comes through watches would come otherwise.
        self.shared.break_all();
    }

    /// So many lists are never answered, and their connections stand.
    pub fn swallow_lists(&self, count: usize) {
        self.shared.state().swallowed = count;
    }

    /// How many lists are still to be swallowed.
    pub fn to_swallow(&self) -> usize {
        self.shared.state().swallowed
    }

    /// Breaks all watches; when they are begun again, so many are told that what they saw last is too long ago, so that they
    /// have to list everything.
    pub fn break_watches(&self, gone: usize) {
        self.shared.state().gone = gone;
        self.shared.break_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
        self.shared.break_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn break_all(&self) {
        self.breaks.send_modify(|count| *count += 1);
    }

    fn cut(&self) {
        self.state().cut = true;
        self.break_all();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        if shared.state().cut {
            continue;
        }
        tokio::spawn(connection(stream, shared.clone()));
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let mut breaks = shared.breaks.subscribe();
    let service = service_fn(|request| answer(request, shared.clone()));
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // However it ends: whoever is at the other side sees it.
        _ = serving => {}
        _ = breaks.changed() => {}
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    if shared.state().frozen {
        return std::future::pending().await;
    }
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let is_counted = head.method != Method::GET && !path.contains("/leases") && !path.contains("/events");
    let fault = if is_counted { shared.seen(head.method.clone(), path.clone()) } else { Fault::Pass };
    let lost = || Err(io::Error::from(io::ErrorKind::ConnectionReset));
    match fault {
        Fault::Pass | Fault::AnswerLost | Fault::CutAfter => {}
        Fault::Answer(code) => return Ok(refusal(code)),
        Fault::Lost => return lost(),
        Fault::Held => return std::future::pending().await,
        Fault::Cut => {
            shared.cut();
            return lost();
        }
    }
    if query.contains("watch=true") && query.contains("resourceVersion=") && shared.is_gone() {
        let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "too old resource version", "reason": "Expired", "code": 410 });
        return Ok(Response::new(Body::from(
            format!("{}\n", json!({ "type": "ERROR", "object": status })).into_bytes(),
        )));
    }
    let is_list = head.method == Method::GET && query.contains("limit=");
    if is_list && shared.swallows() {
        return std::future::pending().await;
    }
    let mut forwarded = Request::builder().method(head.method).uri(head.uri);
    if let Some(headers) = forwarded.headers_mut() {
        *headers = end_to_end(&head.headers);
    }
    let forwarded = forwarded.body(Body::from(body)).map_err(io::Error::other)?;
    // On its own, so that it is applied also where the client has gone.
    let client = shared.client.clone();
    let sending = tokio::spawn(async move { client.send(forwarded).await });
    let (mut head, body) = sending.await.map_err(io::Error::other)?.map_err(io::Error::other)?.into_parts();
    head.headers = end_to_end(&head.headers);
    head.version = axum::http::Version::HTTP_11;
    match fault {
        Fault::CutAfter => {
            shared.cut();
            lost()
        }
        Fault::AnswerLost => lost(),
        _ => Ok(Response::from_parts(head, body)),
    }
}

impl Shared {
    /// Counts a write, and says what becomes of it.
    fn seen(&self, method: Method, path: String) -> Fault {
        let mut state = self.state();
        state.last = Instant::now();
        let tries = state.tries.entry(format!("{method} {path}")).or_default();
        let write = Write { number: 0, method, path, tries: *tries };
        *tries += 1;
        let write = Write { number: state.writes.len() + 1, ..write };
        state.writes.push(write.clone());
        let fault = (state.plan)(&write);
        // What is under way at the same moment does not slip through.
        state.cut |= fault == Fault::Cut;
        if state.cut { Fault::Cut } else { fault }
    }

    fn swallows(&self) -> bool {
        let mut state = self.state();
        let swallows = state.swallowed > 0;
        state.swallowed = state.swallowed.saturating_sub(1);
        swallows
    }

    fn is_gone(&self) -> bool {
        let mut state = self.state();
        let is_gone = state.gone > 0;
        state.gone = state.gone.saturating_sub(1);
        is_gone
    }
}

/// Without what concerns one connection only.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::HOST, header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    headers
}

fn refusal(code: u16) -> Response<Body> {
    let reason = match code {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "not now", "reason": reason, "code": code });
    let mut response = Response::new(Body::from(status.to_string().into_bytes()));
    *response.status_mut() = StatusCode::from_u16(code).expect("a code between 100 and 999");
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if matches!(code, 429 | 503) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
