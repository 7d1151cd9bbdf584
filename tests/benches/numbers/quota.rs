//! What it costs to have somebody else count: a request without a limit, with a bucket in Envoy, with the rate limit
//! service (asked about each request) and with the rate limit quota service (told afterwards), in turn at one Envoy.

mod services;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portico_tests::http::{self, Ask};
use portico_tests::{load, portico, ports, processes, wait};
use serde_json::{Value, json};

use crate::table::{Table, count, quantile, time};

const TURNS: usize = 5;
const TURN: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 64;
const APPLICATIONS: usize = 1000;
/// Requests one after the other, for what a single one takes.
const SINGLE: usize = 3000;

const WAYS: [&str; 4] = ["no limit", "bucket in Envoy", "rate limit service", "rate limit quota service"];

/// Measures all ways in turn, and writes the table.
pub(crate) fn run() -> String {
    let upstream = load::cheap_upstream();
    let services = services::start();
    let gateway = Gateway::start(upstream, services.address);
    let requests: Vec<Vec<u8>> = (0..APPLICATIONS)
        .map(|one| format!("GET / HTTP/1.1\r\nhost: test\r\nx-application: app-{one}\r\n\r\n").into_bytes())
        .collect();
    for address in &gateway.addresses {
        load::flood(*address, CONNECTIONS, Duration::from_secs(1), &requests);
    }
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); WAYS.len()];
    let mut costs: Vec<Vec<f64>> = vec![Vec::new(); WAYS.len()];
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); WAYS.len()];
    for _ in 0..TURNS {
        for (way, address) in gateway.addresses.iter().enumerate() {
            let before = processes::ticks(gateway.child.id()).unwrap_or(0);
            let flood = load::flood(*address, CONNECTIONS, TURN, &requests);
            let ticks = processes::ticks(gateway.child.id()).unwrap_or(0) - before;
            assert_eq!(flood.other, 0, "{}: all requests are let in", WAYS[way]);
            rates[way].push(flood.rate());
            #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
            costs[way].push(ticks as f64 * 10_000.0 / flood.good as f64);
            times[way].extend(one_by_one(*address, SINGLE / TURNS));
        }
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let mut table = Table::new(["", "requests/s", "Envoy's processor time a request", "one request: p50", "p99"]);
    for (way, name) in WAYS.iter().enumerate() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive and small")]
        let rate = count(median(&mut rates[way]).round() as u64);
        let cost = format!("{:.1} µs", median(&mut costs[way]));
        let (half, most) = (quantile(&mut times[way], 0.5), quantile(&mut times[way], 0.99));
        table.row([(*name).to_owned(), rate, cost, time(half), time(most)]);
    }
    let over = over_limit(&gateway, &services);
    format!("### A limit of an hour or more, {APPLICATIONS} applications\n\n{}{over}", table.markdown())
}

/// How many requests of one application get through where 100 may, sent as fast as it goes.
fn over_limit(gateway: &Gateway, services: &services::Services) -> String {
    let way = |way: usize| {
        services.limit(100);
        let request = format!("GET / HTTP/1.1\r\nhost: test\r\nx-application: greedy-{way}\r\n\r\n").into_bytes();
        let flood = load::flood(gateway.addresses[way], 8, Duration::from_secs(12), &[request]);
        format!(
            "{}: of {} requests in 12 s, {} got through where 100 may\n",
            WAYS[way],
            count(flood.good + flood.other),
            count(flood.good)
        )
    };
    [2, 3].map(way).concat()
}

fn one_by_one(address: SocketAddr, requests: usize) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_nodelay(true).expect("a socket option");
    let mut buffer = [0; 4096];
    let once = |one: usize| {
        let text = format!("GET / HTTP/1.1\r\nhost: test\r\nx-application: app-{}\r\n\r\n", one % APPLICATIONS);
        let begun = Instant::now();
        stream.write_all(text.as_bytes()).expect("the gateway reads");
        let mut filled = 0;
        while !buffer[..filled].ends_with(b"\r\n\r\nok") {
            filled += stream.read(&mut buffer[filled..]).expect("the gateway answers");
        }
        begun.elapsed()
    };
    (0..requests).map(once).collect()
}

struct Gateway {
    child: Child,
    addresses: Vec<SocketAddr>,
    _folder: tempfile::TempDir,
}

impl Gateway {
    fn start(upstream: SocketAddr, services: SocketAddr) -> Gateway {
        let addresses: Vec<SocketAddr> = WAYS.iter().map(|_| ports::free_address()).collect();
        let folder = tempfile::Builder::new().prefix("portico-quota-").tempdir().expect("a temporary folder");
        let file = folder.path().join("envoy.json");
        std::fs::write(&file, configuration(&addresses, upstream, services).to_string()).expect("a file");
        let child = Command::new(portico::envoy())
            .args(["--use-dynamic-base-id", "--log-level", "error", "--concurrency", "2", "-c"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("Envoy starts");
        let gateway = Gateway { child, addresses, _folder: folder };
        for address in &gateway.addresses {
            let ask = Ask::get("/");
            wait::until("Envoy", || http::once(*address, &ask).ok().filter(|answer| answer.status == 200));
        }
        gateway
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kind(name: &str) -> String {
    format!("type.googleapis.com/{name}")
}

fn configuration(addresses: &[SocketAddr], upstream: SocketAddr, services: SocketAddr) -> Value {
    let service = json!({ "envoy_grpc": { "cluster_name": "services" } });
    let always = json!({ "default_value": { "numerator": 100, "denominator": "HUNDRED" } });
    let filters = [
        None,
        Some(json!({
            "@type": kind("envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"),
            "stat_prefix": "local", "filter_enabled": always, "filter_enforced": always,
            "always_consume_default_token_bucket": false, "max_dynamic_descriptors": 100_000,
            "descriptors": [{ "entries": [{ "key": "application" }], "token_bucket":
                { "max_tokens": 1_000_000_000, "tokens_per_fill": 1_000_000_000, "fill_interval": "3600s" } }]
        })),
        Some(json!({
            "@type": kind("envoy.extensions.filters.http.ratelimit.v3.RateLimit"),
            "domain": "test", "timeout": "1s", "failure_mode_deny": true, "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
            "rate_limit_service": { "transport_api_version": "V3", "grpc_service": service }
        })),
        Some(json!({
            "@type": kind("envoy.extensions.filters.http.rate_limit_quota.v3.RateLimitQuotaFilterConfig"),
            "domain": "test", "rlqs_server": service,
            "bucket_matchers": { "matcher_list": { "matchers": [{
                "predicate": { "single_predicate": {
                    "input": { "name": "header", "typed_config": {
                        "@type": kind("envoy.type.matcher.v3.HttpRequestHeaderMatchInput"), "header_name": "x-application" } },
                    "value_match": { "safe_regex": { "google_re2": {}, "regex": ".+" } }
                } },
                "on_match": { "action": { "name": "bucket", "typed_config": {
                    "@type": kind("envoy.extensions.filters.http.rate_limit_quota.v3.RateLimitQuotaBucketSettings"),
                    "bucket_id_builder": { "bucket_id_builder": { "application": { "custom_value": {
                        "name": "header", "typed_config": {
                            "@type": kind("envoy.type.matcher.v3.HttpRequestHeaderMatchInput"),
                            "header_name": "x-application" } } } } },
                    "reporting_interval": "1s",
                    "deny_response_settings": { "http_status": { "code": "TooManyRequests" } }
                } } }
            }] } }
        })),
    ];
    let listeners: Vec<Value> = addresses
        .iter()
        .zip(filters)
        .map(|(address, filter)| {
            let router = json!({ "name": "router", "typed_config": {
                "@type": kind("envoy.extensions.filters.http.router.v3.Router") } });
            let limit = filter.map(|filter| json!({ "name": "limit", "typed_config": filter }));
            let manager = json!({
                "@type": kind("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": "test",
                "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [{
                    "match": { "prefix": "/" },
                    "route": { "cluster": "upstream", "rate_limits": [{ "actions": [{ "request_headers":
                        { "header_name": "x-application", "descriptor_key": "application" } }] }] }
                }] }] },
                "http_filters": limit.into_iter().chain([router]).collect::<Vec<_>>()
            });
            json!({
                "name": address.to_string(),
                "address": socket(*address),
                "filter_chains": [{ "filters": [{ "name": "http", "typed_config": manager }] }]
            })
        })
        .collect();
    let cluster = |name: &str, address: SocketAddr| {
        json!({ "name": name, "type": "STATIC", "load_assignment": { "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": socket(address) } }] }] } })
    };
    let mut asked = cluster("services", services);
    asked["typed_extension_protocol_options"] = json!({ "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": kind("envoy.extensions.upstreams.http.v3.HttpProtocolOptions"),
        "explicit_http_config": { "http2_protocol_options": {} } } });
    json!({
        "admin": { "address": socket((Ipv4Addr::LOCALHOST, 0).into()) },
        "static_resources": { "listeners": listeners, "clusters": [cluster("upstream", upstream), asked] }
    })
}

fn socket(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}
