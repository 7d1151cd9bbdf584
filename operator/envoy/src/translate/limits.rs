//! All rate limits of an environment. Which of them count for a request is said by its route.
//!
//! Limits by the second and the minute are buckets in Envoy, one for each limit and application: a filter configuration
//! that Envoy asks for by name. Whatever changes in it empties all buckets, so keys and routes are kept out of it.
//!
//! Longer ones have to survive a restart, and are counted by Portico for all Envoys of an environment together: Envoy
//! asks its rate limit service about each request that has one, and lets it pass where there is no answer. For that case
//! they have buckets too, which are too large to matter while Portico is there: within the length of a window there are two
//! windows of the calendar at most, so twice a limit is more than Portico ever allows.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3::ApiVersion;
use envoy_types::pb::envoy::config::core::v3::{GrpcService, TypedExtensionConfig, grpc_service};
use envoy_types::pb::envoy::config::ratelimit::v3::RateLimitServiceConfig;
use envoy_types::pb::envoy::config::route::v3::{RateLimit, rate_limit};
use envoy_types::pb::envoy::extensions::common::ratelimit::v3 as common;
use envoy_types::pb::envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit;
use envoy_types::pb::envoy::extensions::filters::http::ratelimit::v3 as remote;
use envoy_types::pb::envoy::r#type::metadata::v3::{MetadataKey, metadata_key};
use envoy_types::pb::envoy::r#type::v3::TokenBucket;
use envoy_types::pb::google::protobuf::{BoolValue, Duration, UInt32Value};
use portico_core::gateway::{Api, Limit};
use portico_core::key::Name;
use portico_crds::Period;
use prost::Name as _;

use super::{APPLICATION_KEY, METADATA, wire};

/// The name under which Envoy asks for the limits by the second and the minute.
pub(super) const RESOURCE: &str = "limits";
/// The name under which Envoy asks for what holds while Portico does not answer.
pub(super) const FALLBACK: &str = "limits-without-portico";

/// The cluster of every Envoy's bootstrap that leads to Portico.
const PORTICO: &str = "portico";

/// How long a request waits for Portico before it goes on uncounted.
const PATIENCE: Duration = Duration { seconds: 0, nanos: 250_000_000 };

/// What a route says of a limit, and what Envoy asks Portico then.
pub(crate) mod key {
    pub(crate) const LIMIT: &str = "limit";
    pub(crate) const REQUESTS: &str = "requests";
    pub(crate) const PER: &str = "per";
    pub(crate) const APPLICATION: &str = "application";
}

// Which filter looks at a limit of a route.
const BUCKETS: u32 = 0;
const COUNTERS: u32 = 1;
const WITHOUT_PORTICO: u32 = 2;

/// For how many applications a limit keeps buckets; beyond it those that were idle longest start afresh.
const BUCKETS_PER_LIMIT: u32 = 100_000;

/// Of what type the resource is.
pub(super) fn type_url() -> String {
    LocalRateLimit::type_url()
}

/// Whether a limit is counted by Portico.
fn is_long(limit: &Limit) -> bool {
    matches!(limit.per, Period::Hour | Period::Day | Period::Month)
}

/// The limits of all plans by the second and the minute.
pub(super) fn resource<'a>(apis: impl Iterator<Item = &'a Api>) -> TypedExtensionConfig {
    let limits = distinct(apis, |limit| !is_long(limit));
    let filter = LocalRateLimit {
        stage: BUCKETS,
        descriptors: limits.into_iter().map(|(id, limit)| descriptor(id, limit, 1)).collect(),
        enable_x_ratelimit_headers: common::XRateLimitHeadersRfcVersion::DraftVersion03.into(),
        ..buckets("portico")
    };
    wire::extension(RESOURCE, &filter)
}

/// What holds for longer limits while Portico does not answer.
pub(super) fn fallback<'a>(apis: impl Iterator<Item = &'a Api>) -> TypedExtensionConfig {
    let limits = distinct(apis, is_long);
    let filter = LocalRateLimit {
        stage: WITHOUT_PORTICO,
        descriptors: limits.into_iter().map(|(id, limit)| descriptor(id, limit, 2)).collect(),
        ..buckets("portico_fallback")
    };
    wire::extension(FALLBACK, &filter)
}

/// Asks Portico about the requests that have a longer limit.
pub(super) fn service(environment: &Name) -> remote::RateLimit {
    let grpc = grpc_service::EnvoyGrpc { cluster_name: PORTICO.to_owned(), ..grpc_service::EnvoyGrpc::default() };
    remote::RateLimit {
        domain: environment.to_string(),
        stage: COUNTERS,
        timeout: Some(PATIENCE),
        failure_mode_deny: false,
        enable_x_ratelimit_headers: remote::rate_limit::XRateLimitHeadersRfcVersion::DraftVersion03.into(),
        disable_x_envoy_ratelimited_header: true,
        rate_limit_service: Some(RateLimitServiceConfig {
            grpc_service: Some(GrpcService {
                target_specifier: Some(grpc_service::TargetSpecifier::EnvoyGrpc(grpc)),
                ..GrpcService::default()
            }),
            transport_api_version: ApiVersion::V3.into(),
        }),
        ..remote::RateLimit::default()
    }
}

/// A plan that covers several products is listed by each of them; its limits are counted together.
fn distinct<'a>(apis: impl Iterator<Item = &'a Api>, wanted: impl Fn(&Limit) -> bool) -> BTreeMap<String, &'a Limit> {
    let mut limits: BTreeMap<String, &Limit> = BTreeMap::new();
    for api in apis {
        for plan in &api.plans {
            for limit in plan.limits.iter().filter(|limit| limit.requests > 0 && wanted(limit)) {
                limits.entry(bucket(&plan.plan, limit)).or_insert(limit);
            }
        }
    }
    limits
}

fn buckets(stat_prefix: &str) -> LocalRateLimit {
    LocalRateLimit {
        stat_prefix: stat_prefix.to_owned(),
        filter_enabled: Some(wire::every_request()),
        filter_enforced: Some(wire::every_request()),
        always_consume_default_token_bucket: Some(BoolValue { value: false }),
        max_dynamic_descriptors: Some(UInt32Value { value: BUCKETS_PER_LIMIT }),
        enable_retry_after_header: true,
        ..LocalRateLimit::default()
    }
}

/// What a limit counts, without how many it allows. What an application's subscriptions share has no plan in its name.
fn id(plan: &Name, limit: &Limit) -> String {
    if limit.shared { format!("application/{}", limit.id) } else { format!("{plan}/{}", limit.id) }
}

/// The name of a bucket: plans that share one have to agree on its size.
fn bucket(plan: &Name, limit: &Limit) -> String {
    if limit.shared { format!("{}/{}", id(plan, limit), limit.requests) } else { id(plan, limit) }
}

fn descriptor(id: String, limit: &Limit, times: u32) -> common::LocalRateLimitDescriptor {
    let requests = u32::try_from(limit.requests).unwrap_or(u32::MAX).saturating_mul(times);
    common::LocalRateLimitDescriptor {
        entries: vec![
            common::rate_limit_descriptor::Entry { key: key::LIMIT.to_owned(), value: id },
            // No value: a bucket for each value that is seen.
            common::rate_limit_descriptor::Entry { key: key::APPLICATION.to_owned(), value: String::new() },
        ],
        token_bucket: Some(TokenBucket {
            max_tokens: requests,
            tokens_per_fill: Some(UInt32Value { value: requests }),
            fill_interval: Some(wire::seconds(period(limit.per))),
        }),
        ..common::LocalRateLimitDescriptor::default()
    }
}

fn period(period: Period) -> u64 {
    match period {
        Period::Second => 1,
        Period::Minute => 60,
        Period::Hour => 60 * 60,
        Period::Day => 24 * 60 * 60,
        // In more than the shortest month there could be parts of three.
        Period::Month => 28 * 24 * 60 * 60,
    }
}

/// Counts a request against a limit of a plan.
pub(super) fn counted(plan: &Name, limit: &Limit) -> Vec<RateLimit> {
    let bucket = |stage| RateLimit {
        stage: Some(UInt32Value { value: stage }).filter(|stage| stage.value != BUCKETS),
        actions: vec![said(key::LIMIT, bucket(plan, limit)), application()],
        ..RateLimit::default()
    };
    if !is_long(limit) {
        return vec![bucket(BUCKETS)];
    }
    let counter = RateLimit {
        stage: Some(UInt32Value { value: COUNTERS }),
        actions: vec![
            said(key::LIMIT, id(plan, limit)),
            said(key::REQUESTS, limit.requests.to_string()),
            said(key::PER, format!("{:?}", limit.per)),
            application(),
        ],
        ..RateLimit::default()
    };
    vec![counter, bucket(WITHOUT_PORTICO)]
}

fn said(key: &str, value: String) -> rate_limit::Action {
    rate_limit::Action {
        action_specifier: Some(rate_limit::action::ActionSpecifier::GenericKey(rate_limit::action::GenericKey {
            descriptor_key: key.to_owned(),
            descriptor_value: value,
            ..rate_limit::action::GenericKey::default()
        })),
    }
}

fn application() -> rate_limit::Action {
    rate_limit::Action {
        action_specifier: Some(rate_limit::action::ActionSpecifier::Metadata(rate_limit::action::MetaData {
            descriptor_key: key::APPLICATION.to_owned(),
            metadata_key: Some(MetadataKey {
                key: METADATA.to_owned(),
                path: vec![metadata_key::PathSegment {
                    segment: Some(metadata_key::path_segment::Segment::Key(APPLICATION_KEY.to_owned())),
                }],
            }),
            source: rate_limit::action::meta_data::Source::Dynamic.into(),
            ..rate_limit::action::MetaData::default()
        })),
    }
}
