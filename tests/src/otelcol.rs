//! A real OpenTelemetry Collector, to see what traces it is told.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cluster::part::{Folder, Part};
use crate::gateway::Identity;
use crate::{ports, scripts, wait};

/// The Collector to test with: `PORTICO_OTELCOL`, or what `scripts/otelcol` prints.
///
/// # Panics
///
/// When there is none and none can be had.
pub fn binary() -> &'static Path {
    scripts::path("otelcol")
}

/// A running Collector. It is gone when it is dropped, and when the process that started it ends.
#[derive(Debug)]
pub struct Collector {
    _part: Part,
    endpoint: String,
    folder: Folder,
}

/// A span that it was told.
#[derive(Clone, Debug)]
pub struct Span {
    /// What sent it.
    pub resource: Value,
    /// All there is of it.
    pub object: Value,
}

impl Collector {
    /// Starts one at a free port, and waits until it listens.
    ///
    /// # Panics
    ///
    /// When it does not start, with what it printed.
    pub fn start() -> Collector {
        Collector::start_at(ports::free_address())
    }

    /// The same with a certificate, for whoever speaks TLS.
    ///
    /// # Panics
    ///
    /// When it does not start, with what it printed.
    pub fn start_with(identity: &Identity) -> Collector {
        let tls = json!({ "cert_file": identity.certificate, "key_file": identity.private_key });
        Collector::begin(ports::free_address(), "https", &json!({ "tls": tls }))
    }

    /// The same at an address.
    ///
    /// # Panics
    ///
    /// When it does not start, with what it printed.
    pub fn start_at(address: SocketAddr) -> Collector {
        Collector::begin(address, "http", &json!({}))
    }

    fn begin(address: SocketAddr, scheme: &'static str, options: &Value) -> Collector {
        let folder = Folder::new();
        let mut receiver = options.clone();
        receiver["endpoint"] = json!(address.to_string());
        let config = json!({
            "receivers": { "otlp": { "protocols": { "grpc": receiver } } },
            "exporters": { "file": { "path": told(&folder), "flush_interval": "50ms" } },
            "service": {
                "telemetry": { "metrics": { "level": "none" } },
                "pipelines": { "traces": { "receivers": ["otlp"], "exporters": ["file"] } },
            },
        });
        let file = folder.path().join("config.yaml");
        fs::write(&file, config.to_string()).expect("a file");
        let programs = binary().parent().expect("a program is in a folder");
        let arguments = ["--config".to_owned(), format!("file:{}", file.display())];
        let mut part = Part::start_from(programs, folder.path(), "otelcol", &arguments, &[]);
        let started = wait::within(wait::PATIENCE, || {
            let ended = part.has_ended();
            (ended || TcpStream::connect(address).is_ok()).then_some(!ended)
        });
        assert!(started == Some(true), "{}", part.complaint());
        Collector { _part: part, endpoint: format!("{scheme}://{address}"), folder }
    }

    /// Where it takes OTLP over gRPC.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// All that it was told so far, as it came.
    pub fn told(&self) -> String {
        fs::read_to_string(told(&self.folder)).unwrap_or_default()
    }

    /// The spans that it was told so far.
    pub fn spans(&self) -> Vec<Span> {
        let text = self.told();
        // The last line may be under way.
        let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut spans = Vec::new();
        for message in messages {
            for sent in list(&message, "resourceSpans") {
                for scope in list(sent, "scopeSpans") {
                    spans.extend(
                        list(scope, "spans")
                            .map(|span| Span { resource: sent["resource"].clone(), object: span.clone() }),
                    );
                }
            }
        }
        spans
    }
}

impl Span {
    /// What it is a span of.
    pub fn name(&self) -> &str {
        self.object["name"].as_str().unwrap_or_default()
    }

    /// What is said with it; empty where there is no such attribute, or it is no text.
    pub fn attribute(&self, name: &str) -> &str {
        attribute(&self.object, name)
    }

    /// What is said of who sent it.
    pub fn sender(&self, name: &str) -> &str {
        attribute(&self.resource, name)
    }
}

fn told(folder: &Folder) -> PathBuf {
    folder.path().join("told.json")
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

fn attribute<'a>(value: &'a Value, name: &str) -> &'a str {
    let found = list(value, "attributes").find(|attribute| attribute["key"] == name);
    found.and_then(|attribute| attribute["value"]["stringValue"].as_str()).unwrap_or_default()
}
