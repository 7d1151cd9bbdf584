//! Where requests go: one cluster for each API, and one for those that go nowhere.

use std::net::IpAddr;

use envoy_types::pb::envoy::config::cluster::v3::{Cluster, cluster};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::envoy::extensions::upstreams::http::v3 as http;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use portico_core::gateway::Api;
use portico_core::key::Name;

use super::{ApiId, CertificateSource, Invalid, wire};

/// A cluster without servers. Requests that are not known yet are routed to it, so that a mistake lets nothing through.
pub(super) const NOWHERE: &str = "nowhere";

/// Where Linux distributions keep the authorities that they trust; the official images of Envoy have it too.
pub(super) const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The parts of an upstream's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) secure: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// Host and port as they stood, for the `Host` header.
    pub(super) authority: String,
    /// With a leading and without a trailing `/`; empty where there is none.
    pub(super) path: String,
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Target, Invalid> {
        let invalid = |why: &'static str| Invalid::Upstream { url: url.to_owned(), why };
        let (secure, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(invalid("it must begin with http:// or https://")),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |place| rest.split_at(place));
        if authority.is_empty() || authority.contains(|c: char| !c.is_ascii_graphic() || "@?#\"\\<>%".contains(c)) {
            return Err(invalid("it needs a host, and nothing but a host and a port before the path"));
        }
        if path.contains(|c: char| !c.is_ascii_graphic() || c == '?' || c == '#') {
            return Err(invalid("its path must not have a query, a fragment or blanks"));
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((host, "")) => (host, None),
            // Without the colon, it is no port.
            Some((host, port)) => (host, Some(port.strip_prefix(':').unwrap_or_default())),
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None => {
                if secure {
                    443
                } else {
                    80
                }
            }
            Some(port) => {
                port.parse().ok().filter(|port| *port > 0).ok_or_else(|| invalid("its port is not a port"))?
            }
        };
        if host.is_empty() || host.contains(['[', ']']) {
            return Err(invalid("it needs a host"));
        }
        Ok(Target {
            secure,
            host: host.to_owned(),
            port,
            authority: authority.to_owned(),
            path: path.trim_end_matches('/').to_owned(),
        })
    }
}

/// The cluster's name.
pub(super) fn name(api: &ApiId) -> String {
    format!("api/{}/{}", api.product, api.index)
}

/// The cluster of an API.
pub(super) fn resource(id: &ApiId, api: &Api, certificates: &dyn CertificateSource) -> Result<Cluster, Invalid> {
    let target = Target::parse(&api.upstream.url)?;
    let address = target.host.parse::<IpAddr>();
    let name = name(id);
    let kind = if address.is_ok() { cluster::DiscoveryType::Static } else { cluster::DiscoveryType::StrictDns };
    let transport_socket =
        if target.secure { Some(transport(&api.product, api, &target, certificates)?) } else { None };
    let protocol = if target.secure {
        http::http_protocol_options::UpstreamProtocolOptions::AutoConfig(
            http::http_protocol_options::AutoHttpConfig::default(),
        )
    } else {
        http::http_protocol_options::UpstreamProtocolOptions::ExplicitHttpConfig(
            http::http_protocol_options::ExplicitHttpConfig {
                protocol_config: Some(
                    http::http_protocol_options::explicit_http_config::ProtocolConfig::HttpProtocolOptions(
                        core::Http1ProtocolOptions::default(),
                    ),
                ),
            },
        )
    };
    let options =
        http::HttpProtocolOptions { upstream_protocol_options: Some(protocol), ..http::HttpProtocolOptions::default() };
    Ok(Cluster {
        name: name.clone(),
        connect_timeout: Some(wire::seconds(5)),
        dns_lookup_family: cluster::DnsLookupFamily::V4Preferred.into(),
        load_assignment: Some(assignment(name, Some(wire::address(&target.host, target.port)))),
        transport_socket,
        typed_extension_protocol_options: [(OPTIONS.to_owned(), wire::any(&options))].into(),
        cluster_discovery_type: Some(cluster::ClusterDiscoveryType::Type(kind.into())),
        ..Cluster::default()
    })
}

/// See [`NOWHERE`].
pub(super) fn nowhere() -> Cluster {
    Cluster {
        name: NOWHERE.to_owned(),
        connect_timeout: Some(wire::seconds(1)),
        load_assignment: Some(assignment(NOWHERE.to_owned(), None)),
        cluster_discovery_type: Some(cluster::ClusterDiscoveryType::Type(cluster::DiscoveryType::Static.into())),
        ..Cluster::default()
    }
}

fn assignment(cluster_name: String, address: Option<core::Address>) -> endpoint::ClusterLoadAssignment {
    let endpoints = address.map(|address| endpoint::LocalityLbEndpoints {
        lb_endpoints: vec![endpoint::LbEndpoint {
            host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(endpoint::Endpoint {
                address: Some(address),
                ..endpoint::Endpoint::default()
            })),
            ..endpoint::LbEndpoint::default()
        }],
        ..endpoint::LocalityLbEndpoints::default()
    });
    endpoint::ClusterLoadAssignment {
        cluster_name,
        endpoints: endpoints.into_iter().collect(),
        ..endpoint::ClusterLoadAssignment::default()
    }
}

fn transport(
    product: &Name,
    api: &Api,
    target: &Target,
    certificates: &dyn CertificateSource,
) -> Result<core::TransportSocket, Invalid> {
    let settings = api.upstream.tls.clone().unwrap_or_default();
    let server_name = settings.server_name.unwrap_or_else(|| target.host.clone());
    let is_address = server_name.parse::<IpAddr>().is_ok();
    let trusted = match settings.ca {
        None => core::DataSource {
            specifier: Some(core::data_source::Specifier::Filename(SYSTEM_AUTHORITIES.to_owned())),
            ..core::DataSource::default()
        },
        Some(reference) => {
            let secret = product.beside(&reference.name);
            let authorities = certificates.authorities(&secret, reference.key.as_deref());
            wire::text(authorities.ok_or(Invalid::NoAuthorities { secret })?)
        }
    };
    let san = if is_address {
        tls::subject_alt_name_matcher::SanType::IpAddress
    } else {
        tls::subject_alt_name_matcher::SanType::Dns
    };
    let validation = tls::CertificateValidationContext {
        trusted_ca: Some(trusted),
        match_typed_subject_alt_names: vec![tls::SubjectAltNameMatcher {
            san_type: san.into(),
            matcher: Some(wire::string(MatchPattern::Exact(server_name.clone()))),
            ..tls::SubjectAltNameMatcher::default()
        }],
        ..tls::CertificateValidationContext::default()
    };
    let context = tls::UpstreamTlsContext {
        common_tls_context: Some(tls::CommonTlsContext {
            tls_params: Some(tls::TlsParameters {
                tls_minimum_protocol_version: tls::tls_parameters::TlsProtocol::TlSv12.into(),
                // Envoy would stop at 1.2 towards upstreams.
                tls_maximum_protocol_version: tls::tls_parameters::TlsProtocol::TlSv13.into(),
                ..tls::TlsParameters::default()
            }),
            validation_context_type: (!settings.insecure_skip_verify)
                .then_some(tls::common_tls_context::ValidationContextType::ValidationContext(validation)),
            ..tls::CommonTlsContext::default()
        }),
        sni: if is_address { String::new() } else { server_name },
        ..tls::UpstreamTlsContext::default()
    };
    Ok(core::TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(wire::any(&context))),
    })
}
