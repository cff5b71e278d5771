//! Traces over OTLP: sent to a collector by HTTP, off unless an address is configured.
//!
//! What is sampled is decided by whoever began the trace; of those that begin here, by `OTEL_TRACES_SAMPLER`, else all.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::problem::Problem;

/// A collector that does not answer within this gets the spans never.
const LIMIT: Duration = Duration::from_secs(5);
/// Where OTLP over HTTP takes traces.
const PATH: &str = "/v1/traces";

/// Speaks plain HTTP, and would otherwise not start where nobody has chosen the cryptography of the process or the system has no
/// certificates: it shares its library with those who need both.
fn client() -> Result<reqwest::blocking::Client, String> {
    // Where somebody has, that is it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let build = || reqwest::blocking::Client::builder().timeout(LIMIT).tls_certs_only([]).build();
    // It has a runtime of its own, which may not begin within another one.
    let built = std::thread::spawn(build).join().map_err(|_| "its client cannot be made".to_owned())?;
    built.map_err(|error| error.to_string())
}

/// Sends spans while it lives. Dropping it sends the last ones, for a few seconds at most.
#[derive(Debug)]
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts to send to `endpoint`: the address of a collector, `http://127.0.0.1:4318`, with or without the path.
    ///
    /// # Errors
    /// It is no address.
    pub(crate) fn start(endpoint: &str) -> Result<Self, Problem> {
        let refused = |error: String| {
            Problem::usage(format!("otlp_endpoint: `{endpoint}` cannot be used: {error}"))
                .remedy("give the address of an OpenTelemetry collector that takes OTLP over HTTP, for example http://127.0.0.1:4318")
        };
        let mut address = url::Url::parse(endpoint).map_err(|error| refused(error.to_string()))?;
        if address.scheme() != "http" || address.host().is_none() {
            return Err(refused(
                "it needs http:// and a host; TLS is the business of a collector beside it".to_owned(),
            ));
        }
        if address.path().trim_matches('/').is_empty() {
            address.set_path(PATH);
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client().map_err(refused)?)
            .with_endpoint(address.as_str())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(LIMIT)
            .build()
            .map_err(|error| refused(error.to_string()))?;
        let resource = Resource::builder()
            .with_service_name("ackord")
            .with_attributes([
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("service.instance.id", uuid_of_this_process()),
            ])
            .build();
        Ok(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
    }

    /// The layer that turns spans into these: all of the information level, ours and those of handlers, save what the exporter
    /// itself would make.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let filter = ["sqlx", "hyper", "hyper_util", "h2", "reqwest", "rustls", "opentelemetry", "lapin"]
            .into_iter()
            .fold(Targets::new().with_default(LevelFilter::INFO), |filter, target| {
                filter.with_target(target, LevelFilter::OFF)
            });
        tracing_opentelemetry::layer().with_tracer(self.0.tracer("ackord")).with_filter(filter)
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // Whoever would read why it failed is gone; the spans are not what the program is for.
        let _ = self.0.shutdown_with_timeout(LIMIT);
    }
}

/// The environment's sampler is honoured by the SDK; the instance tells two processes on one machine apart.
fn uuid_of_this_process() -> String {
    ackord_entities::ids::JobId::new().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_is_no_address_is_refused_with_what_to_give() {
        for wrong in ["tea", "127.0.0.1:4318", "amqp://127.0.0.1", "https://127.0.0.1:4318", "http://"] {
            let problem = Traces::start(wrong).unwrap_err();
            assert!(problem.message.starts_with("otlp_endpoint: "), "{}", problem.message);
            assert!(problem.remedy.unwrap().contains("http://127.0.0.1:4318"));
        }
    }
}
