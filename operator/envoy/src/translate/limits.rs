//! All rate limits of an environment, as one filter configuration that Envoy asks for by name.
//!
//! A limit has a bucket for each application. Which limits count for a request is said by its route; how many requests
//! they allow is said here. Whatever changes here empties all buckets, so keys and routes are kept out of it.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::route::v3::{RateLimit, rate_limit};
use envoy_types::pb::envoy::extensions::common::ratelimit::v3 as common;
use envoy_types::pb::envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit;
use envoy_types::pb::envoy::r#type::metadata::v3::{MetadataKey, metadata_key};
use envoy_types::pb::envoy::r#type::v3::TokenBucket;
use envoy_types::pb::google::protobuf::{BoolValue, UInt32Value};
use portico_core::gateway::{Api, Limit};
use portico_core::key::Name;
use portico_crds::Period;
use prost::Name as _;

use super::{APPLICATION_KEY, METADATA, wire};

/// The name under which Envoy asks for the limits.
pub(super) const RESOURCE: &str = "limits";

/// For how many applications a limit keeps buckets; beyond it those that were idle longest start afresh.
const BUCKETS_PER_LIMIT: u32 = 100_000;

/// Of what type the resource is.
pub(super) fn type_url() -> String {
    LocalRateLimit::type_url()
}

/// The limits of all plans.
pub(super) fn resource<'a>(apis: impl Iterator<Item = &'a Api>) -> TypedExtensionConfig {
    // A plan that covers several products is listed by each of them; its limits are counted together.
    let mut limits: BTreeMap<String, &Limit> = BTreeMap::new();
    for api in apis {
        for plan in &api.plans {
            for limit in plan.limits.iter().filter(|limit| limit.requests > 0) {
                limits.entry(id(&plan.plan, limit)).or_insert(limit);
            }
        }
    }
    let filter = LocalRateLimit {
        stat_prefix: "portico".to_owned(),
        filter_enabled: Some(wire::every_request()),
        filter_enforced: Some(wire::every_request()),
        descriptors: limits.into_iter().map(|(id, limit)| descriptor(id, limit)).collect(),
        always_consume_default_token_bucket: Some(BoolValue { value: false }),
        max_dynamic_descriptors: Some(UInt32Value { value: BUCKETS_PER_LIMIT }),
        enable_x_ratelimit_headers: common::XRateLimitHeadersRfcVersion::DraftVersion03.into(),
        enable_retry_after_header: true,
        ..LocalRateLimit::default()
    };
    wire::extension(RESOURCE, &filter)
}

fn id(plan: &Name, limit: &Limit) -> String {
    format!("{plan}/{}", limit.id)
}

fn descriptor(id: String, limit: &Limit) -> common::LocalRateLimitDescriptor {
    let requests = u32::try_from(limit.requests).unwrap_or(u32::MAX);
    common::LocalRateLimitDescriptor {
        entries: vec![
            common::rate_limit_descriptor::Entry { key: "limit".to_owned(), value: id },
            // No value: a bucket for each value that is seen.
            common::rate_limit_descriptor::Entry { key: "application".to_owned(), value: String::new() },
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
        Period::Month => 30 * 24 * 60 * 60,
    }
}

/// Counts a request against a limit of a plan.
pub(super) fn counted(plan: &Name, limit: &Limit) -> RateLimit {
    let limit = rate_limit::Action {
        action_specifier: Some(rate_limit::action::ActionSpecifier::GenericKey(rate_limit::action::GenericKey {
            descriptor_key: "limit".to_owned(),
            descriptor_value: id(plan, limit),
            ..rate_limit::action::GenericKey::default()
        })),
    };
    let application = rate_limit::Action {
        action_specifier: Some(rate_limit::action::ActionSpecifier::Metadata(rate_limit::action::MetaData {
            descriptor_key: "application".to_owned(),
            metadata_key: Some(MetadataKey {
                key: METADATA.to_owned(),
                path: vec![metadata_key::PathSegment {
                    segment: Some(metadata_key::path_segment::Segment::Key(APPLICATION_KEY.to_owned())),
                }],
            }),
            source: rate_limit::action::meta_data::Source::Dynamic.into(),
            ..rate_limit::action::MetaData::default()
        })),
    };
    RateLimit { actions: vec![limit, application], ..RateLimit::default() }
}
