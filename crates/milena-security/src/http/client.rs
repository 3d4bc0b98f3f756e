//! The HTTP client: its settings, and requests from the first address to the last redirect.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::Method;
use milena_core::{Error, ErrorKind, Result};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer::HttpAnswer;
use super::plain::PlainAddresses;
use super::request::HttpRequest;
use super::url::HttpUrl;
use super::wire::exchange;
use crate::tls::TlsConfig;

/// A client for short requests, one connection each. A clone shares its TLS configuration.
///
/// It asks https addresses only, follows a redirect of a GET request to the same host only, and
/// caps the answer and the time.
#[derive(Clone, Debug)]
pub struct HttpClient {
    /// The configuration for https.
    tls: TlsConfig,
    /// The addresses that may be asked by http.
    plain: PlainAddresses,
    /// The longest body of an answer, in bytes.
    most: usize,
    /// The time of a request with its redirects.
    time: Duration,
}

/// The settings of an [`HttpClient`].
#[derive(Clone, Debug)]
pub struct HttpClientBuilder(HttpClient);

impl HttpClientBuilder {
    /// Allows http to this machine (`127.0.0.0/8` and `::1`). Off by default.
    #[must_use]
    pub fn allow_http_to_loopback(mut self) -> Self {
        self.0.plain.loopback = true;
        self
    }

    /// Allows http to the fixed link-local addresses at which AWS serves credentials. Off by
    /// default.
    #[must_use]
    pub fn allow_http_to_aws_link_local(mut self) -> Self {
        self.0.plain.aws = true;
        self
    }

    /// Sets the longest body of an answer, in bytes. Default 1 MiB.
    #[must_use]
    pub fn max_answer(mut self, bytes: usize) -> Self {
        self.0.most = bytes;
        self
    }

    /// Sets the time of a request with its redirects. Default 10 s.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.0.time = time;
        self
    }

    /// Makes the client.
    #[must_use]
    pub fn build(self) -> HttpClient {
        self.0
    }
}

impl HttpClient {
    /// Starts the settings of a client that checks servers by `tls`.
    #[must_use]
    pub fn builder(tls: TlsConfig) -> HttpClientBuilder {
        HttpClientBuilder(Self {
            tls,
            plain: PlainAddresses::default(),
            most: 1 << 20,
            time: Duration::from_secs(10),
        })
    }

    /// Returns the settings of this client, to change some of them.
    #[must_use]
    pub fn settings(&self) -> HttpClientBuilder {
        HttpClientBuilder(self.clone())
    }

    /// Sends `request` and reads the answer, whatever its status.
    ///
    /// # Errors
    /// - [`ErrorKind::Security`] for http to an address that is not allowed, for a redirect to
    ///   another host, and for a server that TLS refuses.
    /// - [`ErrorKind::Timeout`] and [`ErrorKind::Transport`] if there is no whole answer.
    /// - [`ErrorKind::Decode`] for an answer that is too long.
    ///
    /// # Cancel safety
    /// If the future is dropped, the connection is closed.
    pub async fn send(&self, request: &HttpRequest) -> Result<HttpAnswer> {
        match timeout(self.time, self.follow(request)).await {
            Ok(answer) => answer,
            Err(_) => {
                let text = format!("{} did not answer within {:?}", request.url(), self.time);
                Err(Error::new(ErrorKind::Timeout, text))
            }
        }
    }

    /// Sends the request, and again where a redirect leads.
    async fn follow(&self, request: &HttpRequest) -> Result<HttpAnswer> {
        let mut url = request.url().clone();
        for _ in 0..=REDIRECTS {
            let answer = self.once(request, &url).await?;
            let redirects = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
            let Some(location) = answer.location.as_deref().filter(|_| redirects) else {
                return Ok(answer);
            };
            // A body may hold a secret, which goes to no other place than the one in the settings.
            let next = url
                .redirected(location)
                .filter(|_| request.method == Method::GET);
            url = next.ok_or_else(|| {
                let text = format!(
                    "{url} redirects the request, which milena does not follow: set the final address"
                );
                Error::new(ErrorKind::Security, text)
            })?;
        }
        let text = format!("{} redirects more than {REDIRECTS} times", request.url());
        Err(Error::new(ErrorKind::Security, text))
    }

    async fn once(&self, request: &HttpRequest, url: &HttpUrl) -> Result<HttpAnswer> {
        let found = tokio::net::lookup_host((url.host(), url.port())).await;
        let found: Vec<SocketAddr> = match found {
            Ok(found) => found.collect(),
            Err(error) => {
                let text = format!("the name of {url} leads to no address");
                return Err(Error::new(ErrorKind::Transport, text).with_source(error));
            }
        };
        let stream = dial(url, &self.plain.allowed(url, found)?).await?;
        if url.is_secure() {
            let stream = self.tls.connect(url.host(), stream).await?;
            exchange(request, url, stream, self.most).await
        } else {
            exchange(request, url, stream, self.most).await
        }
    }
}

/// Connects to the first of `addresses` that answers.
async fn dial(url: &HttpUrl, addresses: &[SocketAddr]) -> Result<TcpStream> {
    let mut last = None;
    for address in addresses {
        match timeout(DIAL_TIME, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = Some(error),
            Err(_) => last = Some(std::io::ErrorKind::TimedOut.into()),
        }
    }
    let error = Error::new(ErrorKind::Transport, format!("{url} cannot be reached"));
    Err(match last {
        Some(last) => error.with_source(last),
        None => error,
    })
}

/// The most redirects of one request.
const REDIRECTS: usize = 3;
/// The time of one attempt to connect.
const DIAL_TIME: Duration = Duration::from_secs(5);
