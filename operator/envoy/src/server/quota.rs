//! The rate limit service: counts requests that have a limit of an hour or more, for all Envoys of an environment together.
//!
//! All that it needs comes with the question (see `translate::limits`), so it can answer as soon as Portico runs.

use envoy_types::pb::envoy::config::core::v3::HeaderValue;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::rate_limit::Unit;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::{Code, DescriptorStatus, RateLimit};
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitService;
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use envoy_types::pb::google::protobuf::Duration;
use jiff::Timestamp;
use portico_core::quota::{Answer, Ask, Record};
use portico_crds::Period;
use tonic::{Request, Response, Status};

use super::{Server, environment_of, lock};
use crate::translate::limits::key;

impl Server {
    /// What was counted since this was last called. It has to be kept where it survives a restart.
    pub fn take_counts(&self, now: Timestamp) -> Vec<Record> {
        lock(&self.shared.counters).take_changed(now)
    }

    /// It could not be kept, and is taken again.
    pub fn counts_not_kept(&self, records: Vec<Record>) {
        lock(&self.shared.counters).not_kept(records);
    }

    /// All counters, in order.
    pub fn counts(&self) -> Vec<Record> {
        lock(&self.shared.counters).all()
    }

    /// Goes on from what was kept. What was counted meanwhile comes on top, so this is for once.
    pub fn restore_counts(&self, records: Vec<Record>) {
        lock(&self.shared.counters).restore(records);
    }

    /// Forgets what was counted: another one counts now.
    pub fn clear_counts(&self) {
        lock(&self.shared.counters).clear();
    }

    fn count(&self, request: &RateLimitRequest, now: Timestamp) -> Result<RateLimitResponse, Status> {
        let environment = environment_of(&request.domain)
            .ok_or_else(|| Status::invalid_argument("the domain must name an environment, as namespace/name"))?;
        let asks: Option<Vec<Ask>> = request.descriptors.iter().map(ask).collect();
        let asks = asks.ok_or_else(|| {
            Status::invalid_argument("a descriptor must have a limit, how many requests, per what, and an application")
        })?;
        let hits = u64::from(request.hits_addend.max(1));
        let answers = lock(&self.shared.counters).count(&environment, &asks, hits, now);
        Ok(response(&asks, &answers, now))
    }
}

#[tonic::async_trait]
impl RateLimitService for Server {
    async fn should_rate_limit(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        self.count(request.get_ref(), Timestamp::now()).map(Response::new)
    }
}

fn ask(descriptor: &RateLimitDescriptor) -> Option<Ask> {
    let value = |key: &str| {
        let entry = descriptor.entries.iter().find(|entry| entry.key == key);
        entry.map(|entry| entry.value.as_str())
    };
    Some(Ask {
        limit: value(key::LIMIT)?.into(),
        application: value(key::APPLICATION)?.into(),
        requests: value(key::REQUESTS)?.parse().ok()?,
        per: period(value(key::PER)?)?,
    })
}

fn period(text: &str) -> Option<Period> {
    let all = [Period::Second, Period::Minute, Period::Hour, Period::Day, Period::Month];
    all.into_iter().find(|period| format!("{period:?}") == text)
}

fn response(asks: &[Ask], answers: &[Answer], now: Timestamp) -> RateLimitResponse {
    let wait = |answer: &Answer| seconds(answer, now);
    let code = |is_over: bool| if is_over { Code::OverLimit } else { Code::Ok };
    let statuses = asks.iter().zip(answers).map(|(ask, answer)| DescriptorStatus {
        code: code(answer.is_over).into(),
        current_limit: Some(RateLimit {
            requests_per_unit: u32::try_from(ask.requests).unwrap_or(u32::MAX),
            unit: unit(ask.per).into(),
            ..RateLimit::default()
        }),
        limit_remaining: u32::try_from(answer.remaining).unwrap_or(u32::MAX),
        duration_until_reset: Some(Duration { seconds: wait(answer), nanos: 0 }),
        ..DescriptorStatus::default()
    });
    let mut headers = Vec::new();
    // Before the longest of them is over, it makes no sense to try again.
    let over = answers.iter().filter(|answer| answer.is_over).map(wait).max();
    headers.extend(over.map(|seconds| header("retry-after", seconds.to_string())));
    if !asks.is_empty() {
        let policy = asks.iter().map(|ask| format!("\"{}\";q={}", name(ask), ask.requests));
        headers.push(header("ratelimit-policy", policy.collect::<Vec<_>>().join(", ")));
        let state = asks.iter().zip(answers);
        let state = state.map(|(ask, answer)| format!("\"{}\";r={};t={}", name(ask), answer.remaining, wait(answer)));
        headers.push(header("ratelimit", state.collect::<Vec<_>>().join(", ")));
    }
    RateLimitResponse {
        overall_code: code(over.is_some()).into(),
        statuses: statuses.collect(),
        response_headers_to_add: headers,
        ..RateLimitResponse::default()
    }
}

/// How long until the next window, and never nothing.
fn seconds(answer: &Answer, now: Timestamp) -> i64 {
    let left = answer.resets_at.duration_since(now);
    (left.as_secs() + i64::from(left.subsec_nanos() > 0)).max(1)
}

/// A limit as its subscribers see it: what it is for and per what, without the plan; as a string of structured fields
/// (RFC 9651).
fn name(ask: &Ask) -> String {
    let name = ask.limit.splitn(3, '/').last().unwrap_or_default();
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            ' '..='~' => text.push(character),
            _ => text.push('?'),
        }
    }
    text
}

fn unit(per: Period) -> Unit {
    match per {
        Period::Second => Unit::Second,
        Period::Minute => Unit::Minute,
        Period::Hour => Unit::Hour,
        Period::Day => Unit::Day,
        Period::Month => Unit::Month,
    }
}

fn header(key: &str, value: String) -> HeaderValue {
    HeaderValue { key: key.to_owned(), value, ..HeaderValue::default() }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;

    use super::*;

    fn descriptor(limit: &str, requests: &str, per: &str) -> RateLimitDescriptor {
        let entries = [(key::LIMIT, limit), (key::REQUESTS, requests), (key::PER, per), (key::APPLICATION, "team/app")];
        let entries = entries.map(|(key, value)| Entry { key: key.to_owned(), value: value.to_owned() });
        RateLimitDescriptor { entries: entries.into(), ..RateLimitDescriptor::default() }
    }

    fn ask_for(limit: &str, requests: u64, per: Period) -> Ask {
        Ask { limit: limit.into(), application: "team/app".into(), requests, per }
    }

    #[test]
    fn a_descriptor_says_it_all() {
        for (per, name) in [(Period::Hour, "Hour"), (Period::Day, "Day"), (Period::Month, "Month")] {
            let found = ask(&descriptor("owner/gold/all:hour", "7", name));
            assert_eq!(found, Some(ask_for("owner/gold/all:hour", 7, per)));
        }
        assert_eq!(ask(&descriptor("a", "many", "Hour")), None);
        assert_eq!(ask(&descriptor("a", "7", "Year")), None);
        assert_eq!(ask(&RateLimitDescriptor::default()), None);
    }

    #[test]
    fn an_answer_says_how_long_to_wait() {
        let now: Timestamp = "2026-01-31T23:59:57.5Z".parse().unwrap();
        let resets_at: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
        let asks = [
            ask_for("owner/gold/all:hour", 10, Period::Hour),
            ask_for("owner/gold/GET /a\"\\é:month", 20, Period::Month),
            ask_for("application/all:day", 30, Period::Day),
        ];
        let answer = |is_over, remaining| Answer { is_over, remaining, resets_at };
        let headers = |answers: &[Answer]| {
            let response = response(&asks, answers, now);
            let headers = response.response_headers_to_add.into_iter().map(|header| (header.key, header.value));
            (response.overall_code, headers.collect::<Vec<_>>())
        };
        let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let policy = own(("ratelimit-policy", r#""all:hour";q=10, "GET /a\"\\?:month";q=20, "all:day";q=30"#));
        let state = own(("ratelimit", r#""all:hour";r=1;t=3, "GET /a\"\\?:month";r=2;t=3, "all:day";r=3;t=3"#));
        let found = headers(&[answer(false, 1), answer(false, 2), answer(false, 3)]);
        assert_eq!(found, (Code::Ok.into(), vec![policy.clone(), state]));
        let (code, found) = headers(&[answer(true, 0), answer(false, 2), answer(true, 0)]);
        assert_eq!(code, i32::from(Code::OverLimit));
        assert_eq!(found[0], own(("retry-after", "3")));
        assert_eq!(found[1], policy);
        let late = Answer { is_over: true, remaining: 0, resets_at: now };
        assert_eq!(seconds(&late, now), 1);
    }
}
