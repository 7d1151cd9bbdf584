//! What the other commands ask a running `portico up`, over a socket that only its user can open.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::Sender;

use anyhow::Context;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use portico_core::api_key::ApiKey;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::oneshot;

use super::engine::{Engine, Event};
use crate::answer;
use crate::tree::{name, object};

type Answer = Result<Json<Value>, (StatusCode, String)>;

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Serves on a socket, within a runtime.
pub fn serve(socket: &Path, events: Sender<Event>) -> anyhow::Result<()> {
    // The state directory is locked, so whoever left it is gone.
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
    fs::set_permissions(socket, Permissions::from_mode(0o600)).context("cannot protect the socket")?;
    let router = Router::new()
        .route("/status", get(status))
        .route("/access", get(access))
        .route("/explain", get(explain))
        .route("/reveal", get(reveal))
        .route("/import", post(import))
        .with_state(events);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the control socket stopped");
        }
    });
    Ok(())
}

/// Asks the engine, between two of its steps.
pub async fn ask<T: Send + 'static>(
    events: &Sender<Event>,
    question: impl FnOnce(&Engine) -> T + Send + 'static,
) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    let question = Box::new(move |engine: &Engine| drop(reply.send(question(engine))));
    events.send(Event::Ask(question)).ok()?;
    answer.await.ok()
}

async fn answered(
    events: &Sender<Event>,
    question: impl FnOnce(&Engine) -> anyhow::Result<Value> + Send + 'static,
) -> Answer {
    match ask(events, question).await {
        Some(Ok(value)) => Ok(Json(value)),
        Some(Err(error)) => Err((StatusCode::NOT_FOUND, format!("{error:#}"))),
        None => Err((StatusCode::SERVICE_UNAVAILABLE, "Portico is stopping".to_owned())),
    }
}

async fn status(State(events): State<Sender<Event>>) -> Answer {
    answered(&events, |engine| {
        let mut status = answer::status(&engine.core.read());
        let gateways: serde_json::Map<String, Value> = engine
            .environments()
            .into_iter()
            .map(|(environment, gateways)| (environment.to_string(), gateways.into()))
            .collect();
        status["commit"] = json!(engine.commit.map(|commit| commit.to_string()));
        status["refused"] =
            json!(engine.refused.as_ref().map(|(commit, why)| json!({ "commit": commit.to_string(), "why": why })));
        status["trouble"] = json!(engine.trouble);
        status["gateways"] = Value::Object(gateways);
        status["diagnostics"] = serde_json::to_value(engine.diagnostics())?;
        Ok(status)
    })
    .await
}

async fn access(State(events): State<Sender<Event>>) -> Answer {
    answered(&events, |engine| Ok(serde_json::to_value(engine.core.read().access())?)).await
}

async fn explain(State(events): State<Sender<Event>>, Query(named): Query<Named>) -> Answer {
    answered(&events, move |engine| answer::explain(&engine.core.read(), &engine.reader, &object(&named.name)?)).await
}

async fn reveal(State(events): State<Sender<Event>>, Query(named): Query<Named>) -> Answer {
    answered(&events, move |engine| {
        let credential = name(&named.name)?;
        answer::reveal(&credential, &engine.reveal(&credential)?)
    })
    .await
}

async fn import(State(events): State<Sender<Event>>, Query(named): Query<Named>, text: String) -> Answer {
    let refused = |why: String| (StatusCode::CONFLICT, why);
    let credential = name(&named.name).map_err(|error| refused(format!("{error:#}")))?;
    let key = ApiKey::import(text.trim_end_matches(['\r', '\n'])).map_err(|error| refused(error.to_string()))?;
    let (reply, answer) = oneshot::channel();
    let reply = Box::new(move |taken| drop(reply.send(taken)));
    let stopping = || (StatusCode::SERVICE_UNAVAILABLE, "Portico is stopping".to_owned());
    events.send(Event::Import { credential, key, reply }).map_err(|_| stopping())?;
    answer.await.map_err(|_| stopping())?.map_err(refused)?;
    Ok(Json(json!({})))
}
