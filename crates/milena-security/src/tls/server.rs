//! A TLS configuration of a broker.

use std::fmt;
use std::sync::Arc;

use milena_core::{Error, ErrorKind, Result, WallClock};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};

use super::builder::unusable;
use super::clock::TlsClock;
use super::identity::{Identity, IdentitySource};
use super::provider::provider;
use super::roots::Roots;

/// The certificates that a broker wants of its clients (`ssl.client.auth`).
#[derive(Clone, Debug, Default)]
pub enum ClientCertificates {
    /// None.
    #[default]
    Ignored,
    /// One that these roots issued, if the client shows any.
    Requested(Roots),
    /// One that these roots issued.
    Required(Roots),
}

/// The settings of a [`TlsServerConfig`].
#[derive(Clone, Debug)]
pub struct TlsServerBuilder {
    /// The broker's certificate.
    identity: IdentitySource,
    /// The certificates of clients.
    clients: ClientCertificates,
    /// True if only TLS 1.2 is offered.
    only_tls12: bool,
    /// The clock that certificates of clients are judged by.
    clock: WallClock,
}

impl TlsServerBuilder {
    /// Sets the certificates that are wanted of clients. Default: none.
    #[must_use]
    pub fn clients(mut self, clients: ClientCertificates) -> Self {
        self.clients = clients;
        self
    }

    /// Offers TLS 1.2 alone, for tests of clients. Default: 1.2 and 1.3.
    #[must_use]
    pub fn only_tls12(mut self) -> Self {
        self.only_tls12 = true;
        self
    }

    /// Sets the clock that certificates of clients are judged by. Default: the system clock. The
    /// broker's own certificate is not judged, since tests need an expired one.
    #[must_use]
    pub fn clock(mut self, clock: WallClock) -> Self {
        self.clock = clock;
        self
    }

    /// Reads all files and makes the configuration. Blocks while it reads.
    ///
    /// # Errors
    /// Those of [`TlsBuilder::build`](super::TlsBuilder::build), but for expired certificates.
    pub fn build(&self) -> Result<TlsServerConfig> {
        let provider = provider()?;
        let bytes = self.identity.read()?;
        let identity = self.identity.unjudged(&bytes, &provider)?;
        let versions: &[_] = if self.only_tls12 {
            &[&TLS12]
        } else {
            &[&TLS13, &TLS12]
        };
        let clock = Arc::new(TlsClock(self.clock.clone()));
        let builder = ServerConfig::builder_with_details(Arc::clone(&provider), clock)
            .with_protocol_versions(versions)
            .map_err(|error| unusable(&error))?;
        let builder = match &self.clients {
            ClientCertificates::Ignored => builder.with_no_client_auth(),
            ClientCertificates::Requested(roots) => {
                builder.with_client_cert_verifier(verifier(roots, provider, false)?)
            }
            ClientCertificates::Required(roots) => {
                builder.with_client_cert_verifier(verifier(roots, provider, true)?)
            }
        };
        let resolver = SingleCertAndKey::from(identity.certified());
        Ok(TlsServerConfig {
            server: Arc::new(builder.with_cert_resolver(Arc::new(resolver))),
            identity: Arc::new(identity),
        })
    }
}

fn verifier(
    roots: &Roots,
    provider: Arc<CryptoProvider>,
    required: bool,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>> {
    let store = Arc::new(roots.store(&roots.read()?)?);
    let mut verifier = WebPkiClientVerifier::builder_with_provider(store, provider);
    if !required {
        verifier = verifier.allow_unauthenticated();
    }
    verifier.build().map_err(|error| {
        Error::new(
            ErrorKind::Config,
            "the roots of client certificates cannot be used",
        )
        .with_source(error)
    })
}

/// A TLS configuration of a broker. A clone shares it.
#[derive(Clone)]
pub struct TlsServerConfig {
    /// The configuration as rustls reads it.
    server: Arc<ServerConfig>,
    /// The broker's certificate.
    identity: Arc<Identity>,
}

impl TlsServerConfig {
    /// Starts the settings of a configuration with the broker's certificate.
    #[must_use]
    pub fn builder(identity: IdentitySource) -> TlsServerBuilder {
        TlsServerBuilder {
            identity,
            clients: ClientCertificates::default(),
            only_tls12: false,
            clock: WallClock::default(),
        }
    }

    /// Returns the configuration as rustls reads it.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// Returns the broker's certificate.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

impl fmt::Debug for TlsServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServerConfig")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
