//! An Envoy that runs by itself and takes its configuration from a discovery service, as it does in a cluster.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::admin::Admin;
use crate::cluster::part::spawn;
use crate::portico;

/// What an Envoy shows to the discovery service, and whom it believes: files in PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its certificate.
    pub certificate: PathBuf,
    /// The key of it.
    pub private_key: PathBuf,
    /// The authority of the discovery service.
    pub authority: PathBuf,
}

/// A running Envoy. It is killed when it is dropped, and when this process ends.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    folder: TempDir,
}

impl Gateway {
    /// Starts one for an environment, `NAMESPACE/NAME`, that asks at one of `discovery`, as it would at a Service.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn start(environment: &str, discovery: &[SocketAddr], identity: Option<&Identity>) -> Gateway {
        let folder = tempfile::Builder::new().prefix("portico-gateway-").tempdir().expect("a temporary folder");
        let file = folder.path().join("envoy.json");
        fs::write(&file, bootstrap(folder.path(), environment, discovery, identity).to_string()).expect("a file");
        let log = fs::File::create(folder.path().join("envoy.log")).expect("a file");
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(portico::envoy())
            .args(["--disable-hot-restart", "--log-level", "warning", "--component-log-level", "misc:error"])
            .args(["--concurrency", "2", "-c"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log);
        let child = spawn(command).expect("Envoy starts");
        Gateway { child, folder }
    }

    /// Its administration.
    pub fn admin(&self) -> Admin {
        Admin::Socket(self.folder.path().join("admin.sock"))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it complained about.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("envoy.log")).unwrap_or_default()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bootstrap(folder: &Path, environment: &str, discovery: &[SocketAddr], identity: Option<&Identity>) -> Value {
    let from_ads = json!({ "ads": {}, "resource_api_version": "V3" });
    let endpoints: Vec<Value> = discovery
        .iter()
        .map(|address| {
            let place = json!({ "address": address.ip().to_string(), "port_value": address.port() });
            json!({ "endpoint": { "address": { "socket_address": place } } })
        })
        .collect();
    let mut cluster = json!({
        "name": "portico",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": { "cluster_name": "portico", "endpoints": [{ "lb_endpoints": endpoints }] },
        "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": { "http2_protocol_options": {
                "connection_keepalive": { "interval": "5s", "timeout": "2s" }
            } }
        } }
    });
    if let Some(Identity { certificate, private_key, authority }) = identity {
        cluster["transport_socket"] = json!({ "name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": "portico",
            "common_tls_context": {
                "tls_params": { "tls_maximum_protocol_version": "TLSv1_3" },
                "tls_certificates": [{
                    "certificate_chain": { "filename": certificate },
                    "private_key": { "filename": private_key }
                }],
                "validation_context": { "trusted_ca": { "filename": authority } }
            }
        } });
    }
    json!({
        "node": { "id": format!("gateway-{}", std::process::id()), "cluster": environment },
        "admin": { "address": { "pipe": { "path": folder.join("admin.sock") } } },
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [{ "envoy_grpc": {
                    "cluster_name": "portico",
                    "retry_policy": { "retry_back_off": { "base_interval": "0.1s", "max_interval": "1s" } }
                } }]
            },
            "cds_config": from_ads,
            "lds_config": from_ads
        },
        "static_resources": { "clusters": [cluster] }
    })
}
