//! What a cluster asks a replica: whether it is alive, whether it is ready, and its metrics.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use portico_envoy::server::Server;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::engine::Health;
use super::metrics::Metrics;

/// A loop that has not come round for so long hangs.
const HANGS: Duration = Duration::from_mins(2);

#[derive(Clone)]
struct Known {
    health: watch::Receiver<Health>,
    metrics: Metrics,
    server: Server,
}

/// Serves on an address and answers which one it is.
pub async fn serve(
    address: SocketAddr,
    health: watch::Receiver<Health>,
    metrics: Metrics,
    server: Server,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: choose another address with --http"))?;
    let address = listener.local_addr().context("cannot tell the address")?;
    let router = Router::new()
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .with_state(Known { health, metrics, server });
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "health and metrics are no longer served");
        }
    });
    Ok(address)
}

async fn alive(State(known): State<Known>) -> (StatusCode, String) {
    let beat = known.health.borrow().beat;
    match beat {
        Some(beat) if Instant::now().duration_since(beat) > HANGS => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("the loop has not come round since {:?}\n", beat.elapsed()))
        }
        _ => (StatusCode::OK, "ok\n".to_owned()),
    }
}

/// Everything was listed, and gateways are told what it says.
async fn ready(State(known): State<Known>) -> (StatusCode, String) {
    let health = known.health.borrow().clone();
    let failing: Vec<String> = health.failing.iter().map(|(source, why)| format!("{source}: {why}\n")).collect();
    let status = if health.synced { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let text = if health.synced { "ok\n" } else { "not everything is listed yet\n" };
    (status, format!("{text}{}", failing.concat()))
}

async fn metrics_text(State(known): State<Known>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], known.metrics.text(&known.server))
}
