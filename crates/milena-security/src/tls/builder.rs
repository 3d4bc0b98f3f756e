//! The settings of a TLS configuration.

use std::sync::Arc;

use milena_core::{Error, ErrorKind, Result, WallClock};
use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::sign::SingleCertAndKey;

use super::any_name::AnyName;
use super::certificate::revocation_lists;
use super::clock::TlsClock;
use super::config::TlsConfig;
use super::identity::IdentitySource;
use super::material::Material;
use super::pem_source::PemSource;
use super::provider::provider;
use super::roots::Roots;

/// The settings of a [`TlsConfig`]. Files are read by [`build`](Self::build), and again by a
/// [`TlsWatch`](super::TlsWatch).
#[derive(Clone, Debug)]
pub struct TlsBuilder {
    /// The authorities that may have issued the broker's certificate.
    roots: Roots,
    /// The client's own certificate. `None` shows none.
    identity: Option<IdentitySource>,
    /// Lists of revoked certificates. Empty checks none.
    revoked: Vec<PemSource>,
    /// True if the broker's certificate must be for the name that it is reached by.
    checks_names: bool,
    /// The clock that certificates are judged by.
    clock: WallClock,
    /// The cryptography. `None` takes the one of the features.
    provider: Option<Arc<CryptoProvider>>,
}

impl Default for TlsBuilder {
    fn default() -> Self {
        Self {
            roots: Roots::default(),
            identity: None,
            revoked: Vec::new(),
            checks_names: true,
            clock: WallClock::default(),
            provider: None,
        }
    }
}

impl TlsBuilder {
    /// Sets the authorities that may have issued the broker's certificate (`ssl.ca.location`,
    /// `ssl.truststore.location`). Default: those of the system.
    #[must_use]
    pub fn roots(mut self, roots: Roots) -> Self {
        self.roots = roots;
        self
    }

    /// Sets the client's own certificate (`ssl.certificate.location`, `ssl.keystore.location`).
    /// Default: none.
    #[must_use]
    pub fn identity(mut self, identity: IdentitySource) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Adds a list of revoked certificates (`ssl.crl.location`). With one, the list of the issuer
    /// of each broker's certificate must be there and be fresh.
    #[must_use]
    pub fn add_revocation_list(mut self, list: PemSource) -> Self {
        self.revoked.push(list);
        self
    }

    /// Accepts a broker's certificate for any name
    /// (`ssl.endpoint.identification.algorithm` empty). Everybody who has a certificate of one of
    /// the roots can then pose as the broker. Repair the certificate instead.
    #[must_use]
    pub fn dangerously_accept_any_name(mut self) -> Self {
        self.checks_names = false;
        self
    }

    /// Sets the clock that certificates are judged by. Default: the system clock.
    #[must_use]
    pub fn clock(mut self, clock: WallClock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the cryptography. Default: aws-lc-rs if that feature is on, and else ring. The default
    /// of the process is never used.
    #[must_use]
    pub fn provider(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Reads all files and makes the configuration. Blocks while it reads.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the file and with the thing to do: a missing or empty file, a
    /// keystore in another format, a key that does not fit its certificate, a missing or wrong
    /// password, an expired certificate.
    pub fn build(&self) -> Result<TlsConfig> {
        self.assemble(&self.read()?)
    }

    /// Reads all files. Blocks.
    pub(crate) fn read(&self) -> Result<Material> {
        Ok(Material {
            roots: self.roots.read()?,
            identity: self
                .identity
                .as_ref()
                .map(IdentitySource::read)
                .transpose()?,
            revoked: self
                .revoked
                .iter()
                .map(PemSource::read)
                .collect::<Result<_>>()?,
        })
    }

    /// Makes the configuration of what was read.
    pub(crate) fn assemble(&self, material: &Material) -> Result<TlsConfig> {
        let provider = self.provider.clone().map_or_else(provider, Ok)?;
        let clock = Arc::new(TlsClock(self.clock.clone()));
        let identity = match (&self.identity, &material.identity) {
            (Some(source), Some(bytes)) => {
                Some(source.identity(bytes, &provider, self.clock.now())?)
            }
            _ => None,
        };
        let versions = ClientConfig::builder_with_details(Arc::clone(&provider), clock)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?;
        let verifier = self.verifier(material, provider)?;
        let verified = if self.checks_names {
            versions.with_webpki_verifier(verifier)
        } else {
            versions
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyName(verifier)))
        };
        // ALPN stays empty, since Kafka negotiates no protocol. Each configuration has its own
        // store of sessions, so no ticket of an old identity is used again.
        let config = match &identity {
            Some(identity) => {
                let resolver = SingleCertAndKey::from(identity.certified());
                verified.with_client_cert_resolver(Arc::new(resolver))
            }
            None => verified.with_no_client_auth(),
        };
        Ok(TlsConfig::new(Arc::new(config), identity))
    }

    fn verifier(
        &self,
        material: &Material,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<WebPkiServerVerifier>> {
        let roots = Arc::new(self.roots.store(&material.roots)?);
        let mut verifier = WebPkiServerVerifier::builder_with_provider(roots, provider);
        let mut lists = Vec::new();
        for (pem, source) in material.revoked.iter().zip(&self.revoked) {
            lists.extend(revocation_lists(pem, source)?);
        }
        if !lists.is_empty() {
            verifier = verifier
                .with_crls(lists)
                .only_check_end_entity_revocation()
                .enforce_revocation_expiration();
        }
        verifier.build().map_err(|error| {
            let text = format!("roots or revocation lists cannot be used ({error})");
            Error::new(ErrorKind::Config, text)
        })
    }
}

/// Creates the error for cryptography that cannot serve TLS.
pub(crate) fn unusable(error: &rustls::Error) -> Error {
    let text = format!("the cryptography provider offers no TLS version ({error})");
    Error::new(ErrorKind::Config, text)
}
