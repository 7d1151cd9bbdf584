//! What the outside may ask over HTTP: whether Portico is well, and to look for a commit now.

use std::net::SocketAddr;
use std::sync::mpsc::Sender;

use anyhow::Context;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use portico_git::watch::Trigger;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::control::ask;
use super::engine::Event;

#[derive(Clone)]
struct Api {
    events: Sender<Event>,
    trigger: Trigger,
}

/// Serves on an address and answers which one it is.
pub async fn serve(address: SocketAddr, events: Sender<Event>, trigger: Trigger) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: choose another address with --api"))?;
    let address = listener.local_addr().context("cannot tell the address")?;
    let router = Router::new()
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .route("/hooks/git", post(look))
        .with_state(Api { events, trigger });
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the API stopped");
        }
    });
    Ok(address)
}

/// The engine answers.
async fn healthy(State(api): State<Api>) -> (StatusCode, &'static str) {
    match ask(&api.events, |_| ()).await {
        Some(()) => (StatusCode::OK, "ok\n"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}

/// A commit has been taken over, and the gateways that run here enforce it.
async fn ready(State(api): State<Api>) -> (StatusCode, Json<Value>) {
    let found = ask(&api.events, |engine| {
        let commit = engine.commit.map(|commit| commit.to_string());
        let gateways: serde_json::Map<String, Value> = engine
            .environments()
            .into_iter()
            .map(|(environment, gateways)| (environment.to_string(), gateways.into()))
            .collect();
        (engine.ready(), json!({ "commit": commit, "trouble": engine.trouble, "gateways": gateways }))
    });
    match found.await {
        Some((true, body)) => (StatusCode::OK, Json(body)),
        Some((false, body)) => (StatusCode::SERVICE_UNAVAILABLE, Json(body)),
        None => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "trouble": "stopping" }))),
    }
}

/// Whatever a webhook says, it makes Portico look; what is there to see is in the repository only.
async fn look(State(api): State<Api>) -> StatusCode {
    api.trigger.look();
    StatusCode::ACCEPTED
}
