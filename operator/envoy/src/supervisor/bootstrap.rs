//! What Envoy is told at its start: who it is, and where Portico is. All else comes from there.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::Settings;

/// An address on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A port.
    Tcp(SocketAddr),
}

impl Address {
    fn json(&self) -> Value {
        match self {
            Address::Unix(path) => json!({ "pipe": { "path": path } }),
            Address::Tcp(address) => {
                json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
            }
        }
    }
}

/// The bootstrap configuration.
pub(super) fn bootstrap(settings: &Settings) -> Value {
    let from_ads = json!({ "ads": {}, "resource_api_version": "V3" });
    json!({
        "node": { "id": settings.node, "cluster": settings.environment.to_string() },
        "admin": { "address": settings.admin.json() },
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [{ "envoy_grpc": {
                    "cluster_name": "portico",
                    // Envoy would wait for up to half a minute before it looks for Portico again.
                    "retry_policy": { "retry_back_off": { "base_interval": "0.1s", "max_interval": "1s" } }
                } }]
            },
            "cds_config": from_ads,
            "lds_config": from_ads
        },
        "static_resources": { "clusters": [{
            "name": "portico",
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {
                "cluster_name": "portico",
                "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": settings.discovery.json() } }] }]
            },
            "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": { "http2_protocol_options": {
                    "connection_keepalive": { "interval": "10s", "timeout": "5s" }
                } }
            } }
        }] },
        // A thousand shards of keys would have ten counters each.
        "stats_config": { "stats_matcher": { "exclusion_list": { "patterns": [
            { "prefix": "extension_config_discovery.http_filter.keys" }
        ] } } },
        "overload_manager": { "resource_monitors": [{
            "name": "envoy.resource_monitors.global_downstream_max_connections",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                "max_active_downstream_connections": settings.max_connections
            }
        }] }
    })
}
