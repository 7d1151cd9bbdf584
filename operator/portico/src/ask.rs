//! Asking a running `portico up`.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::http::request;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::runtime::Builder;

/// What a running `portico up` answers; `None` if none is running.
pub fn ask(socket: &Path, path: &str) -> anyhow::Result<Option<Value>> {
    send(socket, Request::get(path), Bytes::new())
}

/// Gives something to a running `portico up`; `None` if none is running.
pub fn give(socket: &Path, path: &str, what: String) -> anyhow::Result<Option<Value>> {
    send(socket, Request::post(path), what.into())
}

fn send(socket: &Path, request: request::Builder, body: Bytes) -> anyhow::Result<Option<Value>> {
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        let stream = match UnixStream::connect(socket).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(error) => return Err(error).with_context(|| format!("cannot use {}", socket.display())),
        };
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.context("portico up does not answer")?;
        tokio::spawn(connection);
        let request = request.header("host", "portico").body(Full::new(body))?;
        let response = sender.send_request(request).await.context("portico up does not answer")?;
        let status = response.status();
        let body = response.into_body().collect().await.context("portico up stopped in the middle")?.to_bytes();
        if status != StatusCode::OK {
            bail!("{}", String::from_utf8_lossy(&body).trim());
        }
        Ok(Some(serde_json::from_slice(&body).context("portico up answers something else")?))
    })
}
