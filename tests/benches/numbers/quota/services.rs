//! Both services with the simplest counter there is, so that what is measured is the protocol.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use envoy_types::pb::envoy::service::rate_limit_quota::v3 as quota;
use envoy_types::pb::envoy::service::ratelimit::v3 as limit;
use envoy_types::pb::envoy::r#type::v3::{RateLimitStrategy, TokenBucket, rate_limit_strategy};
use envoy_types::pb::google::protobuf::{Duration, UInt32Value};
use limit::rate_limit_service_server::{RateLimitService, RateLimitServiceServer};
use quota::rate_limit_quota_service_server::{RateLimitQuotaService, RateLimitQuotaServiceServer};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// The services, until the process ends.
#[derive(Clone)]
pub(super) struct Services {
    pub(super) address: SocketAddr,
    counts: Arc<Mutex<HashMap<String, u64>>>,
    limit: Arc<AtomicU64>,
}

impl Services {
    /// From now on so many requests.
    pub(super) fn limit(&self, requests: u64) {
        self.limit.store(requests, Ordering::SeqCst);
    }

    /// Counts, and says how many are left.
    fn count(&self, what: String, requests: u64) -> Option<u64> {
        let mut counts = self.counts.lock().expect("nobody panics");
        let count = counts.entry(what).or_default();
        *count += requests;
        self.limit.load(Ordering::SeqCst).checked_sub(*count)
    }
}

pub(super) fn start() -> Services {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    listener.set_nonblocking(true).expect("a socket option");
    let address = listener.local_addr().expect("a bound socket has an address");
    let services = Services { address, counts: Arc::default(), limit: Arc::new(u64::from(u32::MAX).into()) };
    let serving = services.clone();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listening socket");
            tonic::transport::Server::builder()
                .add_service(RateLimitServiceServer::new(serving.clone()))
                .add_service(RateLimitQuotaServiceServer::new(serving))
                .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
                .await
                .expect("the services go on");
        });
    });
    services
}

#[tonic::async_trait]
impl RateLimitService for Services {
    async fn should_rate_limit(
        &self,
        request: Request<limit::RateLimitRequest>,
    ) -> Result<Response<limit::RateLimitResponse>, Status> {
        let asked = request.into_inner();
        let what = asked.descriptors.into_iter().flat_map(|one| one.entries).map(|entry| entry.value).collect();
        let left = self.count(what, 1);
        let code = if left.is_some() {
            limit::rate_limit_response::Code::Ok
        } else {
            limit::rate_limit_response::Code::OverLimit
        };
        let status = limit::rate_limit_response::DescriptorStatus {
            code: code.into(),
            current_limit: Some(limit::rate_limit_response::RateLimit {
                requests_per_unit: 100,
                unit: limit::rate_limit_response::rate_limit::Unit::Month.into(),
                ..Default::default()
            }),
            limit_remaining: left.map_or(0, |left| u32::try_from(left).unwrap_or(u32::MAX)),
            duration_until_reset: Some(Duration { seconds: 3600, nanos: 0 }),
            ..Default::default()
        };
        let answer =
            limit::RateLimitResponse { overall_code: code.into(), statuses: vec![status], ..Default::default() };
        Ok(Response::new(answer))
    }
}

#[tonic::async_trait]
impl RateLimitQuotaService for Services {
    type StreamRateLimitQuotasStream =
        Pin<Box<dyn Stream<Item = Result<quota::RateLimitQuotaResponse, Status>> + Send>>;

    async fn stream_rate_limit_quotas(
        &self,
        request: Request<Streaming<quota::RateLimitQuotaUsageReports>>,
    ) -> Result<Response<Self::StreamRateLimitQuotasStream>, Status> {
        let (sender, receiver) = tokio::sync::mpsc::channel(8);
        let services = self.clone();
        let mut reports = request.into_inner();
        tokio::spawn(async move {
            while let Some(Ok(report)) = reports.next().await {
                let bucket_action =
                    report.bucket_quota_usages.into_iter().map(|usage| services.assign(usage)).collect();
                if sender.send(Ok(quota::RateLimitQuotaResponse { bucket_action })).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

impl Services {
    /// All that is left, until the next report.
    fn assign(
        &self,
        usage: quota::rate_limit_quota_usage_reports::BucketQuotaUsage,
    ) -> quota::rate_limit_quota_response::BucketAction {
        use quota::rate_limit_quota_response::{BucketAction, bucket_action};
        let what = usage.bucket_id.iter().flat_map(|id| id.bucket.values()).cloned().collect();
        let left = self.count(what, usage.num_requests_allowed).filter(|left| *left > 0);
        let strategy = match left {
            None => rate_limit_strategy::Strategy::BlanketRule(rate_limit_strategy::BlanketRule::DenyAll.into()),
            Some(left) => {
                let tokens = u32::try_from(left).unwrap_or(u32::MAX);
                rate_limit_strategy::Strategy::TokenBucket(TokenBucket {
                    max_tokens: tokens,
                    tokens_per_fill: Some(UInt32Value { value: 1 }),
                    fill_interval: Some(Duration { seconds: 3600, nanos: 0 }),
                })
            }
        };
        let assignment = bucket_action::QuotaAssignmentAction {
            assignment_time_to_live: Some(Duration { seconds: 3600, nanos: 0 }),
            rate_limit_strategy: Some(RateLimitStrategy { strategy: Some(strategy) }),
        };
        BucketAction {
            bucket_id: usage.bucket_id,
            bucket_action: Some(bucket_action::BucketAction::QuotaAssignmentAction(assignment)),
        }
    }
}
