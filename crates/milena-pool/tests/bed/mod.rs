//! A scripted peer. It reads requests and answers with the bytes that a test wants.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part of it, and fails where it fails"
)]

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use milena_core::Address;
use milena_pool::{BoxFuture, BoxStream, Connect};
use milena_protocol::kafka::protocol::Encodable;
use milena_protocol::messages::api_versions_response::ApiVersion;
use milena_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use milena_protocol::request::RequestHeader;
use milena_protocol::{ApiKey, Request, response};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

pub(crate) struct Peer {
    pub(crate) stream: DuplexStream,
}

impl Peer {
    /// Reads the next request. `None` once the client is gone.
    pub(crate) async fn read(&mut self) -> Option<(RequestHeader, Bytes)> {
        let len = self.stream.read_u32().await.ok()?;
        let mut frame = vec![0; len as usize];
        self.stream.read_exact(&mut frame).await.ok()?;
        Some(RequestHeader::split(&Bytes::from(frame)).unwrap())
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        // The client may have closed the connection. The test decides if that is right.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Answers with `body`, behind a valid header.
    pub(crate) async fn answer_raw(&mut self, to: &RequestHeader, body: &[u8]) {
        let mut frame = to.correlation_id.to_be_bytes().to_vec();
        if to.api().unwrap().has_flexible_answer_header(to.version) {
            frame.push(0);
        }
        frame.extend_from_slice(body);
        self.write(&framed(&frame)).await;
    }

    pub(crate) async fn answer<R: Request>(&mut self, to: &RequestHeader, with: &R::Response) {
        let frame = response::encode::<R>(with, to.version, to.correlation_id).unwrap();
        self.write(&frame).await;
    }

    /// Answers ApiVersions with everything that milena supports.
    pub(crate) async fn greet(&mut self) {
        let (header, _) = self.read().await.unwrap();
        assert_eq!(header.api(), Some(ApiKey::ApiVersions));
        self.answer::<ApiVersionsRequest>(&header, &everything())
            .await;
    }

    /// Answers every request with its default response until the client is gone.
    pub(crate) async fn serve_empty<R: Request>(&mut self)
    where
        R::Response: Default + Encodable,
    {
        while let Some((header, _)) = self.read().await {
            self.answer::<R>(&header, &R::Response::default()).await;
        }
    }
}

pub(crate) fn framed(frame: &[u8]) -> Vec<u8> {
    let mut out = (frame.len() as u32).to_be_bytes().to_vec();
    out.extend_from_slice(frame);
    out
}

pub(crate) fn everything() -> ApiVersionsResponse {
    let keys = ApiKey::ALL.iter().map(|key| {
        let range = key.supported();
        ApiVersion::default()
            .with_api_key(key.to_wire())
            .with_min_version(range.min)
            .with_max_version(range.max)
    });
    ApiVersionsResponse::default().with_api_keys(keys.collect())
}

/// Runs `script` for every dial, and counts the dials.
pub(crate) struct Scripted<F> {
    /// Plays the peer's side of each connection.
    script: F,
    /// Number of dials.
    pub(crate) dials: Arc<AtomicUsize>,
}

pub(crate) fn scripted<F, Fut>(script: F) -> Scripted<F>
where
    F: Fn(Peer, usize) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    Scripted {
        script,
        dials: Arc::default(),
    }
}

impl<F, Fut> Connect for Scripted<F>
where
    F: Fn(Peer, usize) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn dial<'a>(&'a self, _: &'a Address) -> BoxFuture<'a, io::Result<BoxStream>> {
        let (near, far) = tokio::io::duplex(1 << 16);
        let number = self.dials.fetch_add(1, Ordering::Relaxed);
        tokio::spawn((self.script)(Peer { stream: far }, number));
        Box::pin(async move { Ok(Box::new(near) as BoxStream) })
    }
}

pub(crate) fn address() -> Address {
    Address::new("broker-1", 9_092)
}
