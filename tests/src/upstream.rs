//! An HTTP server that says what reached it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::routing::any;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// A running echo server. It answers every request with JSON: `method`, `path`, `query` and `headers` (names in lower case,
/// several values of one name joined with commas). A request for a path that ends in `/slow` is answered after two
/// seconds. It stops when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    runtime: Option<Runtime>,
}

impl Upstream {
    /// Starts one on a free port.
    pub fn start() -> Upstream {
        Upstream::start_at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Starts one at an address.
    ///
    /// # Panics
    ///
    /// When the address is taken.
    pub fn start_at(address: SocketAddr) -> Upstream {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("upstream")
            .enable_all()
            .build()
            .expect("a thread for the upstream");
        let requests = Arc::new(AtomicU64::new(0));
        let service = any(echo).with_state(requests.clone());
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind(address))
            .unwrap_or_else(|error| panic!("the upstream cannot listen at {address}: {error}"));
        let address = listener.local_addr().expect("a bound socket has an address");
        runtime.spawn(async move { axum::serve(listener, service).await });
        Upstream { address, requests, runtime: Some(runtime) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests have reached it.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn echo(State(requests): State<Arc<AtomicU64>>, request: Request) -> Json<Value> {
    requests.fetch_add(1, Ordering::SeqCst);
    if request.uri().path().ends_with("/slow") {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    Json(json!({
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "query": request.uri().query(),
        "headers": headers(request.headers()),
    }))
}

fn headers(map: &HeaderMap) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in map {
        let value = String::from_utf8_lossy(value.as_bytes());
        headers
            .entry(name.as_str().to_owned())
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    headers
}
