//! Traces by OTLP. Spans hold names of objects, and no secrets.

use anyhow::Context;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;

/// Sends the spans of this program to a collector from now on, until what this returns is shut down.
pub fn start(endpoint: &str, instance: &str) -> anyhow::Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .with_context(|| format!("cannot send traces to {endpoint}"))?;
    let resource = Resource::builder()
        .with_service_name("portico")
        .with_attribute(opentelemetry::KeyValue::new("service.instance.id", instance.to_owned()))
        .build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}
