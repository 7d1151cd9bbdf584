//! Traces by OTLP. Spans hold names of objects, and no secrets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{SpanExporter as Otlp, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};

/// How long a stop waits for the last spans to be taken.
const LAST: Duration = Duration::from_secs(2);

/// Sends the spans of this program to a collector from now on, until [`stop`].
pub fn start(endpoint: &str, instance: &str) -> anyhow::Result<SdkTracerProvider> {
    // Without a scheme it would be taken for one with TLS.
    let has_scheme = ["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme));
    ensure!(has_scheme, "cannot send traces to `{endpoint}`, which is no URL such as `http://collector:4317`");
    let exporter = Otlp::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        // For `https` only: whom the system believes, or the file that SSL_CERT_FILE names.
        .with_tls_config(ClientTlsConfig::new().with_native_roots())
        .build()
        .with_context(|| format!("cannot send traces to `{endpoint}`"))?;
    let exporter = Telling { exporter, endpoint: endpoint.to_owned(), fails: AtomicBool::new(false) };
    let resource = Resource::builder()
        .with_service_name("portico")
        .with_attribute(opentelemetry::KeyValue::new("service.instance.id", instance.to_owned()))
        .build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// Sends what is left. A collector that does not take it holds up nothing for long.
pub fn stop(traces: &SdkTracerProvider) {
    if let Err(error) = traces.shutdown_with_timeout(LAST) {
        tracing::warn!(%error, "the last traces are lost");
    }
}

/// Says when spans cannot be sent, and when they can be again, each once. What could not be sent is lost.
#[derive(Debug)]
struct Telling {
    exporter: Otlp,
    endpoint: String,
    fails: AtomicBool,
}

impl SpanExporter for Telling {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        let failed = self.fails.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !failed => tracing::warn!(endpoint = self.endpoint, %error, "traces cannot be sent"),
            Ok(()) if failed => tracing::info!(endpoint = self.endpoint, "traces are sent again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
