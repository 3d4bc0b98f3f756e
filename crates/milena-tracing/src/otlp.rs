//! Export of spans by OTLP, OpenTelemetry's own protocol, over plain HTTP to a nearby collector.
//!
//! - `http/protobuf` is the protocol of the export, usually to port 4318.
//! - gzip and headers are used as `OTEL_EXPORTER_OTLP_COMPRESSION` and
//!   `OTEL_EXPORTER_OTLP_HEADERS` say.
//! - `http/json` is not supported. Every collector accepts `http/protobuf` at the same port.
//! - gRPC (port 4317) is not supported. An endpoint that the environment names for it is refused at
//!   the start.
//! - TLS (`https://`) and client certificates are not supported, and refused at the start. A
//!   collector on this machine can forward spans over TLS.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use milena_core::{Error, ErrorKind, Result};
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// Settings of an export of spans. [`exporter`] makes it, and [`start`](Self::start) begins the
/// export.
#[derive(Clone, Debug)]
#[must_use = "nothing is exported before `start`"]
pub struct OtlpBuilder {
    /// The service name, exported as `service.name`.
    service: String,
    /// The collector's base address. `None` takes the environment's address, or else the default.
    endpoint: Option<String>,
    /// The time that one batch of spans may take. `None` takes the environment's value, or else 10
    /// s.
    timeout: Option<Duration>,
}

/// Prepares an export of the spans of `service`, which the collector shows as `service.name`.
///
/// ```no_run
/// use milena_tracing::otlp;
/// use tracing_subscriber::prelude::*;
///
/// # async fn run() -> milena_core::Result<()> {
/// let export = otlp::exporter("order-system").start()?;
/// tracing_subscriber::registry().with(export.layer()).init();
/// // … and after the work:
/// export.shutdown().await
/// # }
/// ```
pub fn exporter(service: impl Into<String>) -> OtlpBuilder {
    OtlpBuilder {
        service: service.into(),
        endpoint: None,
        timeout: None,
    }
}

/// The settings that OpenTelemetry's environment variables hold for an export.
#[derive(Debug, Default, PartialEq, Eq)]
struct Environment {
    /// The address for spans, including its path. `None` if no variable gives one.
    address: Option<String>,
    /// The time that one batch may take. `None` if no variable gives a valid one.
    timeout: Option<Duration>,
    /// The variable that asks for gRPC. An address for gRPC accepts no HTTP. `None` if none does.
    grpc: Option<&'static str>,
    /// The variable that asks for an unsupported compression, and the compression's name.
    compression: Option<(&'static str, String)>,
    /// One text for each setting that milena cannot follow, for a warning.
    ignored: Vec<String>,
}

impl Environment {
    /// Reads the variables. A variable for spans goes before the one for all signals.
    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        // An empty variable counts as unset.
        let read = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let for_spans = |name: &str| {
            let own = read(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"));
            own.or_else(|| read(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let own = read("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let address =
            own.or_else(|| read("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| spans_of(&base)));
        let mut ignored = Vec::new();
        let timeout = for_spans("TIMEOUT").and_then(|text| {
            let millis = text.trim().parse().ok();
            if millis.is_none() {
                ignored.push(format!(
                    "the timeout `{text}` is not a number of milliseconds"
                ));
            }
            millis.map(Duration::from_millis)
        });
        let first = |names: [&'static str; 2]| {
            let mut names = names.into_iter();
            names.find_map(|name| Some((name, read(name)?)))
        };
        let compression = first([
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
            "OTEL_EXPORTER_OTLP_COMPRESSION",
        ]);
        let known = |asked: &str| ["gzip", "none"].contains(&&*asked.trim().to_ascii_lowercase());
        let compression = compression.filter(|(_, asked)| !known(asked));
        let mut grpc = None;
        match first([
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
        ]) {
            Some((name, protocol)) if protocol.trim() == "grpc" => grpc = Some(name),
            Some((_, protocol)) if protocol.trim() != "http/protobuf" => ignored.push(format!(
                "the protocol `{protocol}` is not supported, spans are sent by `http/protobuf`"
            )),
            _ => {}
        }
        for name in ["CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"] {
            if for_spans(name).is_some() {
                ignored.push(format!(
                    "`{name}` is not supported, because the export does not use TLS"
                ));
            }
        }
        Self {
            address,
            timeout,
            grpc,
            compression,
            ignored,
        }
    }

    /// Checks the variables that the exporter's crate reads by itself. The error of that crate
    /// would name one of its features.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a compression other than gzip.
    fn check(&self) -> Result<()> {
        match &self.compression {
            None => Ok(()),
            Some((name, asked)) => {
                let what = format!(
                    "spans cannot be exported: {name} asks for `{asked}`, and they go by `gzip` or as they are; set it to `gzip` or `none`"
                );
                Err(Error::new(ErrorKind::Config, what))
            }
        }
    }

    /// Returns the address for spans, if there is one.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the address is that of a collector's gRPC port. Spans that are sent
    /// there would be lost.
    fn address(&self) -> Result<Option<String>> {
        match (&self.address, self.grpc) {
            (Some(address), Some(name)) => {
                let what = format!(
                    "spans cannot be exported to `{address}`: {name} asks for `grpc`, and the export speaks `http/protobuf` alone; \
                     set it to `http/protobuf`, and the endpoint to the collector's port for HTTP, which is usually 4318"
                );
                Err(Error::new(ErrorKind::Config, what))
            }
            (address, _) => Ok(address.clone()),
        }
    }
}

/// Returns the address for spans below the base address for all signals.
fn spans_of(base: &str) -> String {
    format!("{}/v1/traces", base.trim_end_matches('/'))
}

impl OtlpBuilder {
    /// Sets the base address of the collector, to which `/v1/traces` is added.
    ///
    /// By default `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` (the whole address) or
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` gives it, else it is `http://127.0.0.1:4318`, OpenTelemetry's
    /// default port. The export does not use TLS. Put a collector on this machine and let it
    /// forward the spans.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Sets the time that the collector may take for a batch of spans. By default
    /// `OTEL_EXPORTER_OTLP_TIMEOUT` gives it in milliseconds, else it is 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Starts the export, in batches and on a thread of its own. Spans that the collector does not
    /// accept are lost. No other code waits for the export.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an endpoint that is not an `http://` address, and if the environment
    /// names an endpoint for gRPC or a compression other than gzip. [`ErrorKind::State`] outside of
    /// a tokio runtime.
    pub fn start(self) -> Result<Otlp> {
        let runtime = Handle::try_current().map_err(|cause| {
            let what =
                "the export of spans was started outside of a tokio runtime; start it within one";
            Error::new(ErrorKind::State, what).with_source(cause)
        })?;
        let told = Environment::read(|name| std::env::var(name).ok());
        for ignored in &told.ignored {
            tracing::warn!("an OTEL_EXPORTER_OTLP_… variable is ignored: {ignored}");
        }
        told.check()?;
        let address = match &self.endpoint {
            Some(endpoint) => Some(spans_of(endpoint)),
            None => told.address()?,
        };
        if let (true, Some(name)) = (told.address.is_none() || self.endpoint.is_some(), told.grpc) {
            tracing::warn!("{name} is not followed: spans go by `http/protobuf`");
        }
        let address = address.unwrap_or_else(|| spans_of("http://127.0.0.1:4318"));
        let timeout = self.timeout.or(told.timeout);
        let timeout = timeout.unwrap_or(Duration::from_secs(10));
        let endpoint = &address;
        if endpoint.starts_with("https://") {
            let what = format!(
                "spans cannot be exported to `{endpoint}`, because the export does not use TLS; set the http:// address of a collector on this machine, and let it forward them"
            );
            return Err(Error::new(ErrorKind::Config, what));
        }
        if !endpoint.starts_with("http://") {
            let what = format!(
                "`{endpoint}` is not the address of a collector; an address begins with http://"
            );
            return Err(Error::new(ErrorKind::Config, what));
        }
        let client = OnRuntime {
            client: HyperClient::with_default_connector(timeout, None),
            runtime,
            fails: Arc::default(),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(&address)
            .with_timeout(timeout)
            .build()
            .map_err(|cause| {
                let what = format!("spans cannot be exported to `{address}`");
                Error::new(ErrorKind::Config, what).with_source(cause)
            })?;
        let resource = Resource::builder().with_service_name(self.service).build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok(Otlp { provider })
    }
}

/// A running export of spans.
#[derive(Clone)]
pub struct Otlp {
    /// The provider, which owns the thread of the export.
    provider: SdkTracerProvider,
}

impl Otlp {
    /// Returns the layer for `tracing`'s subscriber.
    ///
    /// Source locations, threads, targets and busy times are left out of spans, because together
    /// they cost about as much as everything else. The layer's own methods (`with_location`,
    /// `with_threads`, `with_target`, `with_tracked_inactivity`) add them.
    pub fn layer<S>(&self) -> OpenTelemetryLayer<S, SdkTracer>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_tracer(self.provider.tracer("milena"))
    }

    /// Exports the remaining spans, and ends the export.
    ///
    /// # Errors
    /// [`ErrorKind::Transport`] if the collector did not accept the spans.
    pub async fn shutdown(self) -> Result<()> {
        let provider = self.provider;
        let ended = tokio::task::spawn_blocking(move || provider.shutdown()).await;
        let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
            let what = "the last spans were not exported";
            Error::new(ErrorKind::Transport, what).with_source(cause)
        };
        match ended {
            Ok(ended) => ended.map_err(|cause| failed(cause.into())),
            Err(cause) => Err(failed(cause.into())),
        }
    }
}

impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otlp").finish_non_exhaustive()
    }
}

/// An HTTP client that runs its requests on `runtime`. The exporter's own thread is outside of any
/// tokio runtime, and the client needs one.
#[derive(Clone, Debug)]
struct OnRuntime {
    /// The client that sends the requests.
    client: HyperClient,
    /// The runtime that the requests run on.
    runtime: Handle,
    /// True if the collector refused the last batch. Only the first of several failures is logged.
    fails: Arc<AtomicBool>,
}

impl OnRuntime {
    fn note(&self, address: &dyn fmt::Display, failed: Option<&dyn fmt::Display>) {
        let failed_before = self.fails.swap(failed.is_some(), Ordering::Relaxed);
        match failed {
            Some(why) if !failed_before => {
                tracing::warn!(
                    "spans are lost: the collector at {address} does not take them: {why}"
                );
            }
            None if failed_before => tracing::info!("the collector at {address} takes spans again"),
            _ => {}
        }
    }
}

impl HttpClient for OnRuntime {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> std::pin::Pin<
        Box<dyn Future<Output = std::result::Result<Response<Bytes>, HttpError>> + Send + 'b>,
    >
    where
        'a: 'b,
        Self: 'b,
    {
        let this = self.clone();
        let sending = self.runtime.spawn(async move {
            let address = request.uri().clone();
            let sent = this.client.send_bytes(request).await;
            match &sent {
                Ok(answer) if answer.status().is_success() => this.note(&address, None),
                Ok(answer) => this.note(&address, Some(&answer.status())),
                Err(why) => this.note(&address, Some(why)),
            }
            sent
        });
        Box::pin(async move { sending.await? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Environment {
        Environment::read(|name| {
            let known = variables.iter().find(|(known, _)| *known == name);
            known.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_address_for_spans_goes_before_the_one_for_all() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
        let own = (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://traces:4318/spans",
        );
        let address = |variables: &[_]| read(variables).address;
        assert_eq!(
            address(&[all]).as_deref(),
            Some("http://collector:4318/v1/traces")
        );
        assert_eq!(
            address(&[all, own]).as_deref(),
            Some("http://traces:4318/spans")
        );
        assert_eq!(address(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), None);
    }

    #[test]
    fn what_cannot_be_followed_is_told() {
        let told = read(&[
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/ca.pem"),
        ]);
        assert_eq!(told.timeout, Some(Duration::from_millis(2_500)));
        let told = told.ignored.join("; ");
        assert!(
            told.contains("`http/json`") && told.contains("CERTIFICATE"),
            "{told}"
        );
        assert_eq!(
            read(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]),
            Environment::default()
        );
    }

    #[test]
    fn an_address_for_grpc_is_refused_with_what_to_set_instead() {
        let address = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        for name in [
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        ] {
            let refused = read(&[address, (name, "grpc")]).address().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Config);
            let text = refused.to_string();
            for part in ["http://collector:4317", name, "`http/protobuf`", "4318"] {
                assert!(text.contains(part), "{part}: {text}");
            }
            // Without an address of its own, the default is that of HTTP.
            assert_eq!(read(&[(name, "grpc")]).address().unwrap(), None);
        }
        let own = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf");
        let all = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        assert!(read(&[address, all, own]).address().is_ok());
    }

    #[test]
    fn a_compression_that_is_none_of_ours_is_refused_with_those_that_are() {
        let name = "OTEL_EXPORTER_OTLP_COMPRESSION";
        for known in ["gzip", "none", "GZIP", ""] {
            assert!(read(&[(name, known)]).check().is_ok(), "{known}");
        }
        let refused = read(&[(name, "zstd")]).check().unwrap_err().to_string();
        for part in [name, "`zstd`", "`gzip`", "`none`"] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
    }
}
