//! OpenTelemetry: spans of the target [`TRACE`] go to a collector as OTLP over HTTP, where the standard
//! variables name one. Without them nothing is made, said or sent.
//!
//! A thread of the SDK's own sends what a bounded queue holds; what finds it full is dropped, and so is what
//! a collector does not take. Nothing of a run waits for it but the end of the process, and that not for long.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lockstep_proto::settings::{TRACE, TRACEPARENT};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};

use crate::print;

/// Of the one subscriber of the process.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// How long the end of a process may wait for the collector.
const FLUSH: Duration = Duration::from_secs(2);

/// What takes spans, if they are wanted.
pub(super) fn layer() -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
    let get = |name: &str| std::env::var(name).ok().map(|value| value.trim().to_owned());
    let get = |name: &str| get(name).filter(|value| !value.is_empty());
    if !wanted(get) {
        return None;
    }
    let protocol = get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| get("OTEL_EXPORTER_OTLP_PROTOCOL"));
    if let Some(protocol) = protocol.filter(|protocol| protocol != "http/protobuf") {
        print::note(format!(
            "no traces: OTEL_EXPORTER_OTLP_TRACES_PROTOCOL or OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, and only \
             http/protobuf is spoken"
        ));
        return None;
    }
    let exporter = match opentelemetry_otlp::SpanExporter::builder().with_http().build() {
        Ok(exporter) => exporter,
        Err(error) => {
            print::note(format!("no traces: {error}"));
            return None;
        }
    };
    let mut resource = Resource::builder();
    if get("OTEL_SERVICE_NAME").is_none()
        && !get("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|all| all.contains("service.name="))
    {
        resource = resource.with_service_name("lockstep");
    }
    let exporter = Telling { exporter, told: AtomicBool::new(false) };
    let provider =
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
    let tracer = provider.tracer("lockstep");
    // A second subscriber in one process would be refused, and the first stays.
    let _ = PROVIDER.set(provider);
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_target(false)
        .with_threads(false)
        .with_tracked_inactivity(false);
    Some(spans.with_filter(filter_fn(|data| data.is_span() && data.target() == TRACE)).boxed())
}

/// Whether the variables ask for traces. Source: OpenTelemetry's "Environment Variable Specification" and
/// "OTLP Exporter Configuration".
fn wanted(get: impl Fn(&str) -> Option<String>) -> bool {
    let disabled = get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let otlp = get("OTEL_TRACES_EXPORTER").is_none_or(|exporter| exporter == "otlp");
    let endpoint = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    !disabled && otlp && endpoint.into_iter().any(|name| get(name).is_some())
}

/// Says once that spans are lost, until some are taken again.
#[derive(Debug)]
struct Telling<E> {
    exporter: E,
    told: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Telling<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.exporter.export(batch).await;
        match &sent {
            Ok(()) => self.told.store(false, Ordering::Relaxed),
            Err(error) if !self.told.swap(true, Ordering::Relaxed) => {
                tracing::warn!("traces cannot be sent, and are dropped: {error}");
            }
            Err(_) => {}
        }
        sent
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

/// `traceparent` of W3C's Trace Context, as it travels.
#[derive(Default)]
struct Header(Option<String>);

impl Injector for Header {
    fn set(&mut self, key: &str, value: String) {
        if key == TRACEPARENT {
            self.0 = Some(value);
        }
    }
}

impl Extractor for Header {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.as_deref().filter(|_| key == TRACEPARENT)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

/// By which other processes put their spans below this one; `None`: nobody takes it.
pub fn parent(span: &Span) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    let mut header = Header::default();
    TraceContextPropagator::new().inject_context(&span.context(), &mut header);
    header.0
}

/// Puts a span that was not entered yet below another process's. What makes no sense changes nothing.
pub fn follow(span: &Span, traceparent: &str) {
    let context = TraceContextPropagator::new().extract(&Header(Some(traceparent.to_owned())));
    if context.span().span_context().is_valid() {
        // Without a layer there is nothing to put below anything.
        let _ = span.set_parent(context);
    }
}

/// Sends what waits, in bounded time. The last of a process.
pub fn finish() {
    if let Some(provider) = PROVIDER.get() {
        // It was told by the exporter.
        let _ = provider.shutdown_with_timeout(FLUSH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_made_where_an_endpoint_is_named_and_nothing_says_no() {
        let wanted = |variables: &[(&str, &str)]| {
            wanted(|name| {
                variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://here:4318");
        assert!(!wanted(&[]) && !wanted(&[("OTEL_SERVICE_NAME", "x"), ("OTEL_TRACES_EXPORTER", "otlp")]));
        assert!(wanted(&[endpoint]));
        assert!(wanted(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://here/v1/traces")]));
        assert!(wanted(&[endpoint, ("OTEL_SDK_DISABLED", "false"), ("OTEL_TRACES_EXPORTER", "otlp")]));
        assert!(!wanted(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]));
        assert!(!wanted(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]));
    }

    #[test]
    fn what_makes_no_sense_is_no_parent() {
        let context = |text: &str| TraceContextPropagator::new().extract(&Header(Some(text.to_owned())));
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(context(good).span().span_context().is_valid());
        for bad in ["", "00-0-0-01", &good[..50], "00-00000000000000000000000000000000-b7ad6b7169203331-01"] {
            assert!(!context(bad).span().span_context().is_valid(), "{bad}");
        }
    }
}
