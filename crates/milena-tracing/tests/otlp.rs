//! The export, against a collector that keeps the requests it receives.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use milena_core::ErrorKind;
use milena_tracing::otlp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tracing_subscriber::prelude::*;

/// Exports one span to a collector. Returns the request, read up to `end` at least.
async fn exported(end: &'static [u8]) -> Vec<u8> {
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = collector.local_addr().unwrap();
    let collecting = tokio::spawn(async move {
        let (mut stream, _) = collector.accept().await.unwrap();
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        while !contains(&request, end) {
            let read = stream.read(&mut chunk).await.unwrap();
            assert!(read > 0, "it ended early");
            request.extend_from_slice(&chunk[..read]);
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        request
    });
    let export = otlp::exporter("order-system").endpoint(format!("http://{address}"));
    let export = export.start().unwrap();
    {
        let _default = tracing_subscriber::registry()
            .with(export.layer())
            .set_default();
        drop(tracing::info_span!("send", otel.name = "send orders"));
    }
    let ended = tokio::time::timeout(Duration::from_secs(30), export.shutdown());
    ended.await.expect("in time").unwrap();
    collecting.await.unwrap()
}

#[tokio::test]
async fn spans_reach_a_collector_before_the_export_ends() {
    // The span's name is in the body as plain bytes.
    let request = exported(b"send orders").await;
    assert!(request.starts_with(b"POST /v1/traces HTTP/1.1\r\n"));
    assert!(contains(&request, b"order-system"), "the service is named");
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|part| part == wanted)
}

#[tokio::test]
async fn an_endpoint_that_is_none_is_refused() {
    for (endpoint, why) in [
        ("https://collector", "does not use TLS"),
        ("collector:4318", "begins with http://"),
        ("", "begins with http://"),
    ] {
        let refused = otlp::exporter("shop").endpoint(endpoint).start();
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{endpoint}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

/// The texts of events, as the level and the message.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        struct Message(String);
        impl tracing::field::Visit for Message {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        let line = format!("{} {}", event.metadata().level(), message.0);
        self.0.lock().unwrap().push(line);
    }
}

#[tokio::test]
async fn a_collector_that_takes_no_spans_is_told_of() {
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = collector.local_addr().unwrap();
    let answering = tokio::spawn(async move {
        loop {
            let (mut stream, _) = collector.accept().await.unwrap();
            let mut chunk = [0; 4096];
            let _ = stream.read(&mut chunk).await;
            let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(answer).await;
        }
    });
    let export = otlp::exporter("order-system").endpoint(format!("http://{address}"));
    let export = export.start().unwrap();
    let lines = Lines::default();
    // The lines come from a task of this runtime, whose only thread this is.
    let _default = tracing_subscriber::registry()
        .with(lines.clone())
        .with(export.layer())
        .set_default();
    drop(tracing::info_span!("send"));
    let ended = tokio::time::timeout(Duration::from_secs(30), export.shutdown());
    let _ = ended.await.expect("in time");
    let told = lines.0.lock().unwrap().clone();
    let told: Vec<_> = told.iter().filter(|line| line.contains("spans")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let address = format!("http://{address}/v1/traces");
    assert!(
        told[0].starts_with("WARN ") && told[0].contains(&address),
        "{told:?}"
    );
    assert!(told[0].contains("404"), "{told:?}");
    answering.abort();
}

/// Runs this test again in a process of its own, where the variables are set. A process cannot set
/// its own variables safely.
fn with_variables(test: &str, variables: &[(&str, &str)]) {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let ran = String::from_utf8_lossy(&output.stdout);
    assert!(ran.contains("1 passed"), "{ran}");
}

#[tokio::test]
async fn gzip_and_headers_are_as_the_environment_says() {
    if std::env::var_os("OTEL_EXPORTER_OTLP_HEADERS").is_none() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=shop"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ];
        return with_variables("gzip_and_headers_are_as_the_environment_says", &variables);
    }
    let request = exported(b"\r\n\r\n").await;
    let request = String::from_utf8_lossy(&request).to_lowercase();
    for header in ["content-encoding: gzip\r\n", "x-tenant: shop\r\n"] {
        assert!(request.contains(header), "{header}: {request}");
    }
}

#[tokio::test]
async fn an_endpoint_for_grpc_is_refused_at_the_start() {
    if std::env::var_os("OTEL_EXPORTER_OTLP_PROTOCOL").is_none() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"),
        ];
        return with_variables("an_endpoint_for_grpc_is_refused_at_the_start", &variables);
    }
    let error = otlp::exporter("shop").start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("4318"), "{error}");
    // An endpoint of the program's own goes before the environment's.
    let own = otlp::exporter("shop").endpoint("http://127.0.0.1:4318");
    own.start().unwrap();
}
