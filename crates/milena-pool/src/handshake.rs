//! The handshake: a list of steps that prepare a new stream for requests.

use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use milena_core::{Address, Error, ErrorKind, Result};
use milena_protocol::{ApiKey, BrokerVersions, Request, api_versions, frame, request, response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::connect::{BoxFuture, BoxStream};

/// A step on a new stream before the first request, such as TLS, ApiVersions or SASL.
///
/// Steps run in order, one at a time. The connect timeout limits all of them together.
pub trait HandshakeStep: Send + Sync + 'static {
    /// Runs the step.
    ///
    /// # Errors
    /// The reason why the connection cannot be used. It is then closed.
    fn run<'a>(&'a self, link: &'a mut Link) -> BoxFuture<'a, Result<()>>;
}

/// A connection during its handshake. It sends one request at a time and reads nothing beyond its
/// answer.
pub struct Link {
    /// The stream. A step may replace it, for example with a TLS stream.
    stream: BoxStream,
    /// The address that was dialed.
    address: Address,
    /// `client.id`. `None` sends none.
    client_id: Option<Arc<str>>,
    /// The API versions that the broker offers. Empty before the ApiVersions step.
    versions: BrokerVersions,
    /// The correlation id of the next request. Never negative.
    correlation: i32,
}

impl Link {
    pub(crate) fn new(stream: BoxStream, address: Address, client_id: Option<Arc<str>>) -> Self {
        Self {
            stream,
            address,
            client_id,
            versions: BrokerVersions::default(),
            correlation: 0,
        }
    }

    /// Returns the address that was dialed. TLS compares the peer's name with its host.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Returns the API versions that the broker offers. Empty before the step that asks for them.
    #[must_use]
    pub fn versions(&self) -> &BrokerVersions {
        &self.versions
    }

    /// Sets the API versions that the broker offers.
    pub fn set_versions(&mut self, versions: BrokerVersions) {
        self.versions = versions;
    }

    /// Replaces the stream by one that `wrap` makes from it, for example a TLS stream.
    ///
    /// # Errors
    /// [`ErrorKind::Security`] with the cause if `wrap` fails.
    pub async fn upgrade<F, Fut>(&mut self, wrap: F) -> Result<()>
    where
        F: FnOnce(BoxStream) -> Fut,
        Fut: Future<Output = io::Result<BoxStream>>,
    {
        let plain = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        self.stream = wrap(plain).await.map_err(|error| {
            let what = format!("the secure channel could not be set up: {error}");
            Error::new(ErrorKind::Security, what).with_source(error)
        })?;
        Ok(())
    }

    /// Sends a request in the highest version that both sides support, and reads its answer.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] without a common version, and the errors of
    /// [`exchange`](Self::exchange).
    pub async fn call<R: Request>(&mut self, body: &R) -> Result<R::Response> {
        let version = self.versions.negotiate(R::KEY)?;
        let answer = self
            .exchange(R::KEY, version, |correlation, client_id| {
                request::encode(body, version, correlation, client_id)
            })
            .await?;
        response::decode::<R>(answer, version)
    }

    /// Sends one frame and returns the body of its answer. `encode` makes the frame from a
    /// correlation id and the client id.
    ///
    /// # Errors
    /// - [`ErrorKind::Transport`] if the stream fails or ends.
    /// - [`ErrorKind::Decode`] if the bytes that arrive are no answer to this request. The text
    ///   names the protocol if it is a known other one.
    pub async fn exchange(
        &mut self,
        api: ApiKey,
        version: i16,
        encode: impl FnOnce(i32, Option<&str>) -> Result<Bytes>,
    ) -> Result<Bytes> {
        let correlation = self.correlation;
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        let bytes = encode(correlation, self.client_id.as_deref())?;
        self.stream
            .write_all(&bytes)
            .await
            .map_err(|e| broken(&e, api))?;
        self.stream.flush().await.map_err(|e| broken(&e, api))?;
        let mut prefix = [0; 4];
        self.stream
            .read_exact(&mut prefix)
            .await
            .map_err(|e| broken(&e, api))?;
        let len = frame::length(prefix, FIRST_CONTACT_MAX).map_err(|e| e.api(api.name()))?;
        let answer = self.read_frame(len).await.map_err(|e| broken(&e, api))?;
        let echoed = response::correlation_id(&answer)?;
        if echoed != correlation {
            let what = format!(
                "the answer has correlation id {echoed}, but {correlation} was expected: not a Kafka peer"
            );
            return Err(Error::new(ErrorKind::Decode, what).api(api.name()));
        }
        response::body(api, version, &answer)
    }

    /// Reads `len` bytes. The buffer grows with the bytes that arrive, so that a false length
    /// cannot make the client reserve memory.
    async fn read_frame(&mut self, len: usize) -> io::Result<Bytes> {
        let mut bytes = BytesMut::with_capacity(len.min(4_096));
        while bytes.len() < len {
            let missing = len - bytes.len();
            let mut room = (&mut bytes).limit(missing);
            if self.stream.read_buf(&mut room).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(bytes.freeze())
    }

    /// Returns the stream, the broker's versions, and the next correlation id.
    pub(crate) fn finish(self) -> (BoxStream, BrokerVersions, i32) {
        (self.stream, self.versions, self.correlation)
    }
}

/// Asks for the API versions that the broker offers, and names the client's software. Repeats the
/// request in a lower version if the broker asks for it.
///
/// # References
/// ApiVersions (key 18), KIP-35, KIP-511.
#[derive(Clone, Debug)]
pub struct ApiVersionsStep {
    /// The name of the client's software, such as `milena`.
    software_name: String,
    /// The version of the client's software.
    software_version: String,
}

impl ApiVersionsStep {
    /// Creates a step that names the client's software. The broker shows the name in its metrics.
    #[must_use]
    pub fn new(software_name: impl Into<String>, software_version: impl Into<String>) -> Self {
        Self {
            software_name: software_name.into(),
            software_version: software_version.into(),
        }
    }

    /// Sends ApiVersions until the broker accepts a version.
    async fn ask(&self, link: &mut Link) -> Result<()> {
        let mut version = ApiKey::ApiVersions.supported().max;
        loop {
            let body = link
                .exchange(ApiKey::ApiVersions, version, |correlation, client_id| {
                    api_versions::encode_request(
                        version,
                        correlation,
                        client_id,
                        &self.software_name,
                        &self.software_version,
                    )
                })
                .await?;
            let answer = api_versions::decode_response(&body, version)
                .map_err(|e| e.api(ApiKey::ApiVersions.name()))?;
            // Each version is lower than the one before, so the loop ends.
            if let Some(lower) = answer.fallback(version) {
                version = lower;
                continue;
            }
            if let Some(code) = answer.error {
                return Err(Error::broker(code).api(ApiKey::ApiVersions.name()));
            }
            link.set_versions(answer.into_broker_versions());
            return Ok(());
        }
    }
}

impl Default for ApiVersionsStep {
    fn default() -> Self {
        Self::new("milena", env!("CARGO_PKG_VERSION"))
    }
}

impl HandshakeStep for ApiVersionsStep {
    fn run<'a>(&'a self, link: &'a mut Link) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.ask(link))
    }
}

/// Creates the error for a stream that failed during the handshake.
fn broken(error: &io::Error, api: ApiKey) -> Error {
    let what = if error.kind() == io::ErrorKind::UnexpectedEof {
        "the peer closed the connection during the handshake: a TLS listener, a broker at its connection limit, or not Kafka"
            .to_owned()
    } else {
        format!("the connection broke during the handshake: {error}")
    };
    Error::new(ErrorKind::Transport, what)
        .api(api.name())
        .with_source(io::Error::new(error.kind(), error.to_string()))
}

/// The largest answer during the handshake. ApiVersions and SASL need a few KiB.
const FIRST_CONTACT_MAX: usize = 1 << 20;
