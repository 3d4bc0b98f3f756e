//! The export, against a collector that keeps the requests it receives.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first thing that goes wrong"
)]

use std::time::Duration;

use milena_core::ErrorKind;
use milena_tracing::otlp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tracing_subscriber::prelude::*;

#[tokio::test]
async fn spans_reach_a_collector_before_the_export_ends() {
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = collector.local_addr().unwrap();
    let collecting = tokio::spawn(async move {
        let (mut stream, _) = collector.accept().await.unwrap();
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        // The span's name is in the body as plain bytes.
        while !contains(&request, b"send orders") {
            let read = stream.read(&mut chunk).await.unwrap();
            assert!(read > 0, "it ended early");
            request.extend_from_slice(chunk.get(..read).unwrap());
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
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
    let request = collecting.await.unwrap();
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
