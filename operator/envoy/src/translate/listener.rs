//! Where Envoy listens, and what a request passes on its way: the same filters at every listener.
//!
//! No filter but one asks Portico. In order:
//! 1. before all else, headers are thrown away that only Portico may set; where there is an access log, path and host are
//!    noted for it as they came;
//! 2. CORS answers preflights, which carry no key;
//! 3. the key's first characters choose a shard of keys, and the shard turns the key into the client's plans and scopes
//!    in [`CLIENT_HEADER`]. Whatever chooses no shard is denied;
//! 4. the application is noted for the rate limits;
//! 5. the route is chosen again, now that the plans are known. Before, only denials and [`clusters::NOWHERE`] match;
//! 6. rate limits by the second and the minute; then Portico is asked where the route has a longer one, and is done without
//!    where it does not answer; then what holds without it;
//! 7. the router.

use envoy_types::pb::envoy::config::accesslog::v3 as accesslog;
use envoy_types::pb::envoy::config::common::mutation_rules::v3::{HeaderMutation, header_mutation};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3 as file_log;
use envoy_types::pb::envoy::extensions::filters::common::set_filter_state::v3 as state_value;
use envoy_types::pb::envoy::extensions::filters::http::composite::v3 as composite;
use envoy_types::pb::envoy::extensions::filters::http::cors::v3::Cors;
use envoy_types::pb::envoy::extensions::filters::http::header_to_metadata::v3 as header_to_metadata;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::http::set_filter_state::v3 as set_filter_state;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::envoy::extensions::http::early_header_mutation::header_mutation::v3 as early;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::envoy::r#type::matcher::v3::HttpRequestHeaderMatchInput;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::google::protobuf::{BoolValue, Struct, UInt32Value, Value, value};
use envoy_types::pb::xds::r#type::matcher::v3 as xds;
use portico_core::api_key;
use portico_core::key::Name;
use portico_crds::{EnvoyListener, EnvoySettings};
use prost::Message;
use serde_json::json;

use super::{APPLICATION_KEY, CLIENT_HEADER, METADATA, Options, ROUTES, keys, limits, secrets, wire};

/// Headers by which a caller could have a server act on another method or path than the one that was checked.
const OVERRIDES: [&str; 6] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
];

/// What the access log says of a request. Neither the key nor the query, which may hold anything.
const LOGGED: [(&str, &str); 13] = [
    ("time", "%START_TIME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%FILTER_STATE(portico.path:PLAIN)%"),
    ("host", "%FILTER_STATE(portico.host:PLAIN)%"),
    ("status", "%RESPONSE_CODE%"),
    ("details", "%RESPONSE_CODE_DETAILS%"),
    ("flags", "%RESPONSE_FLAGS%"),
    ("milliseconds", "%DURATION%"),
    ("received", "%BYTES_RECEIVED%"),
    ("sent", "%BYTES_SENT%"),
    ("application", "%DYNAMIC_METADATA(portico:application)%"),
    ("cluster", "%UPSTREAM_CLUSTER%"),
    ("request", "%REQ(X-REQUEST-ID)%"),
];

/// What is noted for it, as by the end both are what the upstream saw.
const NOTED: [(&str, &str); 2] = [("portico.path", "%PATH(NQ:PATH)%"), ("portico.host", "%REQ(:AUTHORITY)%")];

/// The listener's name.
pub(super) fn name(listener: &EnvoyListener) -> String {
    format!("listener/{}", listener.name)
}

/// A listener, and what its version is to be made of. The version cannot be made of the listener itself: it holds maps,
/// which are written in another order each time.
pub(super) fn resource(
    environment: &Name,
    listener: &EnvoyListener,
    settings: &EnvoySettings,
    certificates: &[Name],
    options: &Options,
) -> (listener::Listener, Vec<u8>) {
    let plain = Options { access_log: None };
    let mut essence =
        assemble(environment, listener, settings, certificates, &plain, hcm::HttpFilter::default()).encode_to_vec();
    for shard in keys::names() {
        essence.extend_from_slice(shard.as_bytes());
    }
    essence.extend_from_slice(settings.api_key_header.as_bytes());
    if let Some(path) = &options.access_log {
        essence.extend_from_slice(path.as_bytes());
        essence.extend_from_slice(format!("{LOGGED:?}{NOTED:?}").as_bytes());
    }
    let keys = key_filter(&settings.api_key_header);
    (assemble(environment, listener, settings, certificates, options, keys), essence)
}

fn assemble(
    environment: &Name,
    listener: &EnvoyListener,
    settings: &EnvoySettings,
    certificates: &[Name],
    options: &Options,
    key_filter: hcm::HttpFilter,
) -> listener::Listener {
    let manager = connection_manager(environment, listener, settings, options, key_filter);
    let chain = listener::FilterChain {
        filters: vec![listener::Filter {
            name: "envoy.filters.network.http_connection_manager".to_owned(),
            config_type: Some(listener::filter::ConfigType::TypedConfig(wire::any(&manager))),
        }],
        transport_socket: listener.tls.as_ref().map(|_| transport(certificates)),
        ..listener::FilterChain::default()
    };
    listener::Listener {
        name: name(listener),
        address: Some(wire::address(&listener.address, listener.port)),
        filter_chains: vec![chain],
        per_connection_buffer_limit_bytes: Some(UInt32Value { value: 1 << 20 }),
        ..listener::Listener::default()
    }
}

/// All certificates at one filter chain: Envoy chooses by the names that stand in them.
fn transport(certificates: &[Name]) -> core::TransportSocket {
    let context = tls::DownstreamTlsContext {
        common_tls_context: Some(tls::CommonTlsContext {
            tls_params: Some(tls::TlsParameters {
                tls_minimum_protocol_version: tls::tls_parameters::TlsProtocol::TlSv12.into(),
                tls_maximum_protocol_version: tls::tls_parameters::TlsProtocol::TlSv13.into(),
                ..tls::TlsParameters::default()
            }),
            tls_certificate_sds_secret_configs: certificates
                .iter()
                .map(|name| tls::SdsSecretConfig {
                    name: secrets::resource_name(name),
                    sds_config: Some(wire::from_ads()),
                })
                .collect(),
            alpn_protocols: vec!["h2".to_owned(), "http/1.1".to_owned()],
            ..tls::CommonTlsContext::default()
        }),
        ..tls::DownstreamTlsContext::default()
    };
    core::TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(wire::any(&context))),
    }
}

fn connection_manager(
    environment: &Name,
    listener: &EnvoyListener,
    settings: &EnvoySettings,
    options: &Options,
    key_filter: hcm::HttpFilter,
) -> hcm::HttpConnectionManager {
    hcm::HttpConnectionManager {
        stat_prefix: listener.name.clone(),
        http_filters: options
            .access_log
            .iter()
            .map(|_| note_filter("noted", &NOTED, false))
            .chain([
                filter("envoy.filters.http.cors", &Cors::default()),
                key_filter,
                application_filter(),
                reroute_filter(),
                dynamic_filter(limits::RESOURCE, limits::type_url()),
                filter("quota", &limits::service(environment)),
                dynamic_filter(limits::FALLBACK, limits::type_url()),
                filter("envoy.filters.http.router", &Router { suppress_envoy_headers: true, ..Router::default() }),
            ])
            .collect(),
        early_header_mutation_extensions: vec![wire::extension(
            "envoy.http.early_header_mutation.header_mutation",
            &early::HeaderMutation { mutations: forbidden_headers(settings) },
        )],
        // The address of the peer is the caller's; what it says about itself in X-Forwarded-For is passed on behind it.
        use_remote_address: Some(BoolValue { value: true }),
        internal_address_config: Some(nobody_is_internal()),
        normalize_path: Some(BoolValue { value: true }),
        merge_slashes: true,
        path_with_escaped_slashes_action: hcm::http_connection_manager::PathWithEscapedSlashesAction::RejectRequest
            .into(),
        request_headers_timeout: Some(wire::seconds(10)),
        local_reply_config: Some(local_replies(settings)),
        access_log: options.access_log.iter().map(|path| access_log(path)).collect(),
        route_specifier: Some(hcm::http_connection_manager::RouteSpecifier::Rds(hcm::Rds {
            config_source: Some(wire::from_ads()),
            route_config_name: ROUTES.to_owned(),
        })),
        ..hcm::HttpConnectionManager::default()
    }
}

/// An address that no peer has: without any, Envoy would take private networks for its own and tell upstreams so.
fn nobody_is_internal() -> hcm::http_connection_manager::InternalAddressConfig {
    let nobody =
        core::CidrRange { address_prefix: "255.255.255.255".to_owned(), prefix_len: Some(UInt32Value { value: 32 }) };
    hcm::http_connection_manager::InternalAddressConfig { cidr_ranges: vec![nobody], ..Default::default() }
}

/// See [`OVERRIDES`]; besides those, all by which Portico tells who calls, and by which Envoy takes orders.
fn forbidden_headers(settings: &EnvoySettings) -> Vec<HeaderMutation> {
    let identity = &settings.identity_headers;
    let mut names: Vec<String> = vec![CLIENT_HEADER.to_owned()];
    names.extend([&identity.application, &identity.plan, &identity.product].map(Clone::clone));
    names.extend(identity.environment.clone());
    names.extend(OVERRIDES.map(str::to_owned));
    let mut mutations: Vec<_> =
        names.into_iter().map(|name| HeaderMutation { action: Some(header_mutation::Action::Remove(name)) }).collect();
    mutations.push(HeaderMutation {
        action: Some(header_mutation::Action::RemoveOnMatch(header_mutation::RemoveOnMatch {
            key_matcher: Some(wire::string(MatchPattern::Prefix("x-envoy-".to_owned()))),
        })),
    });
    mutations
}

fn filter<M: Message + prost::Name>(name: &str, config: &M) -> hcm::HttpFilter {
    hcm::HttpFilter {
        name: name.to_owned(),
        config_type: Some(hcm::http_filter::ConfigType::TypedConfig(wire::any(config))),
        ..hcm::HttpFilter::default()
    }
}

fn dynamic_filter(name: &str, type_url: String) -> hcm::HttpFilter {
    hcm::HttpFilter {
        name: name.to_owned(),
        config_type: Some(hcm::http_filter::ConfigType::ConfigDiscovery(discovery(type_url))),
        ..hcm::HttpFilter::default()
    }
}

/// Without a default: a listener waits for what it needs, and a request that finds nothing is refused.
fn discovery(type_url: String) -> core::ExtensionConfigSource {
    core::ExtensionConfigSource {
        config_source: Some(wire::from_ads()),
        type_urls: vec![type_url],
        ..core::ExtensionConfigSource::default()
    }
}

fn key_filter(header: &str) -> hcm::HttpFilter {
    let looked_up = |shard: &str| {
        on_match(&composite::ExecuteFilterAction {
            dynamic_config: Some(composite::DynamicConfig {
                name: keys::resource_name(shard),
                config_discovery: Some(discovery(keys::type_url())),
            }),
            ..composite::ExecuteFilterAction::default()
        })
    };
    let map = api_key::shards().map(|shard| (format!("{}{shard}", api_key::PREFIX), looked_up(&shard))).collect();
    let input = HttpRequestHeaderMatchInput { header_name: header.to_owned() };
    let matcher = xds::Matcher {
        // Never without: what is not looked up is let through.
        on_no_match: Some(Box::new(looked_up(api_key::FOREIGN))),
        matcher_type: Some(xds::matcher::MatcherType::MatcherTree(xds::matcher::MatcherTree {
            input: Some(wire::xds_extension("envoy.matching.inputs.request_headers", &input)),
            tree_type: Some(xds::matcher::matcher_tree::TreeType::PrefixMatchMap(
                xds::matcher::matcher_tree::MatchMap { map },
            )),
        })),
    };
    filter("keys", &composite::Composite { matcher: Some(matcher), ..composite::Composite::default() })
}

fn on_match(action: &composite::ExecuteFilterAction) -> xds::matcher::OnMatch {
    xds::matcher::OnMatch {
        on_match: Some(xds::matcher::on_match::OnMatch::Action(wire::xds_extension("filter", action))),
        ..xds::matcher::OnMatch::default()
    }
}

fn application_filter() -> hcm::HttpFilter {
    let config = header_to_metadata::Config {
        request_rules: vec![header_to_metadata::config::Rule {
            header: CLIENT_HEADER.to_owned(),
            on_header_present: Some(header_to_metadata::config::KeyValuePair {
                metadata_namespace: METADATA.to_owned(),
                key: APPLICATION_KEY.to_owned(),
                regex_value_rewrite: Some(wire::substitute(r"^([^|]*)\|.*$".to_owned(), r"\1".to_owned())),
                ..header_to_metadata::config::KeyValuePair::default()
            }),
            ..header_to_metadata::config::Rule::default()
        }],
        ..header_to_metadata::Config::default()
    };
    filter("application", &config)
}

/// The value does not matter: this filter is the one that can have the route chosen again.
fn reroute_filter() -> hcm::HttpFilter {
    note_filter("reroute", &[("portico.known", "yes")], true)
}

/// Notes values, by name, that later filters and the access log can read.
fn note_filter(name: &str, notes: &[(&str, &str)], clear_route_cache: bool) -> hcm::HttpFilter {
    let values = notes.iter().map(|(key, format)| state_value::FilterStateValue {
        factory_key: "envoy.string".to_owned(),
        key: Some(state_value::filter_state_value::Key::ObjectKey((*key).to_owned())),
        value: Some(state_value::filter_state_value::Value::FormatString(core::SubstitutionFormatString {
            format: Some(core::substitution_format_string::Format::TextFormatSource(wire::text(*format))),
            ..core::SubstitutionFormatString::default()
        })),
        ..state_value::FilterStateValue::default()
    });
    filter(name, &set_filter_state::Config { on_request_headers: values.collect(), clear_route_cache })
}

/// What Envoy itself answers is JSON. The 403s bring their text along, see the routes.
fn local_replies(settings: &EnvoySettings) -> hcm::LocalReplyConfig {
    let unauthorized = format!("no valid API key in the header {}", settings.api_key_header);
    let challenge = wire::header("www-authenticate", format!("ApiKey header=\"{}\"", settings.api_key_header));
    let mapper = |status: u32, error: &str, message: &str| {
        let body = wire::literal(&json!({ "error": error, "message": message }).to_string());
        reply(status, format!("{body}\n"))
    };
    let mut not_authorized = mapper(401, "unauthorized", &unauthorized);
    not_authorized.headers_to_add = vec![challenge];
    hcm::LocalReplyConfig {
        mappers: vec![
            not_authorized,
            reply(403, "%LOCAL_REPLY_BODY%\n".to_owned()),
            mapper(400, "bad_request", "the request or its path is not well-formed"),
            mapper(404, "not_found", "there is no API at this address"),
            mapper(408, "request_timeout", "the request took too long to arrive"),
            mapper(413, "payload_too_large", "the request is too large"),
            mapper(
                429,
                "too_many_requests",
                "the limit of this plan is reached; Retry-After says in how many seconds to try again",
            ),
            mapper(431, "request_header_fields_too_large", "the headers of the request are too large"),
            mapper(502, "bad_gateway", "the API gave no valid answer"),
            mapper(503, "service_unavailable", "the API cannot be reached"),
            mapper(504, "gateway_timeout", "the API took too long to answer"),
        ],
        ..hcm::LocalReplyConfig::default()
    }
}

fn reply(status: u32, body: String) -> hcm::ResponseMapper {
    hcm::ResponseMapper {
        filter: Some(accesslog::AccessLogFilter {
            filter_specifier: Some(accesslog::access_log_filter::FilterSpecifier::StatusCodeFilter(
                accesslog::StatusCodeFilter {
                    comparison: Some(accesslog::ComparisonFilter {
                        op: accesslog::comparison_filter::Op::Eq.into(),
                        value: Some(core::RuntimeUInt32 {
                            default_value: status,
                            runtime_key: format!("portico.reply.{status}"),
                        }),
                    }),
                },
            )),
        }),
        body_format_override: Some(core::SubstitutionFormatString {
            content_type: "application/json".to_owned(),
            format: Some(core::substitution_format_string::Format::TextFormatSource(wire::text(body))),
            ..core::SubstitutionFormatString::default()
        }),
        ..hcm::ResponseMapper::default()
    }
}

fn access_log(path: &str) -> accesslog::AccessLog {
    let fields = LOGGED
        .map(|(name, format)| (name.to_owned(), Value { kind: Some(value::Kind::StringValue(format.to_owned())) }));
    let log = file_log::FileAccessLog {
        path: path.to_owned(),
        access_log_format: Some(file_log::file_access_log::AccessLogFormat::LogFormat(
            core::SubstitutionFormatString {
                format: Some(core::substitution_format_string::Format::JsonFormat(Struct { fields: fields.into() })),
                ..core::SubstitutionFormatString::default()
            },
        )),
    };
    accesslog::AccessLog {
        name: "envoy.access_loggers.file".to_owned(),
        config_type: Some(accesslog::access_log::ConfigType::TypedConfig(wire::any(&log))),
        ..accesslog::AccessLog::default()
    }
}
