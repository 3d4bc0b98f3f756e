//! The certificate by which a client or a broker is known, with its key.

use std::fmt;
use std::sync::Arc;

use milena_core::{Error, ErrorKind, Result, Timestamp};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use super::certificate::{Validity, certificates};
use super::pem_source::PemSource;
use super::private_key::private_key;
use crate::secret::{Secret, SecretSource};

/// The place of a certificate, the certificates of its issuers, and its key.
///
/// All certificates of the chain are sent, so that a peer needs only the root.
#[derive(Clone, Debug)]
pub struct IdentitySource {
    /// The certificate, with those of its issuers behind it.
    chain: PemSource,
    /// The key of the first certificate.
    key: PemSource,
    /// The password of the key. `None` if it is not encrypted.
    password: Option<SecretSource>,
}

impl IdentitySource {
    /// Creates a source of a chain and its key, which may be the same place.
    #[must_use]
    pub fn new(chain: PemSource, key: PemSource) -> Self {
        Self {
            chain,
            key,
            password: None,
        }
    }

    /// Sets the password of the key.
    #[must_use]
    pub fn password(mut self, password: impl Into<SecretSource>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Reads chain, key and password. Blocks.
    pub(crate) fn read(&self) -> Result<IdentityBytes> {
        Ok(IdentityBytes {
            chain: self.chain.read()?,
            key: self.key.read()?,
            password: self
                .password
                .as_ref()
                .map(SecretSource::read_blocking)
                .transpose()?,
        })
    }

    /// Makes the identity of what was read, and checks that the parts fit and are valid at `now`.
    pub(crate) fn identity(
        &self,
        bytes: &IdentityBytes,
        provider: &CryptoProvider,
        now: Timestamp,
    ) -> Result<Identity> {
        let identity = self.unjudged(bytes, provider)?;
        identity.validity.check(now, &self.chain)?;
        Ok(identity)
    }

    /// Makes the identity of what was read, and checks that the parts fit.
    pub(crate) fn unjudged(
        &self,
        bytes: &IdentityBytes,
        provider: &CryptoProvider,
    ) -> Result<Identity> {
        let chain = certificates(&bytes.chain, &self.chain)?;
        let Some(first) = chain.first() else {
            return Err(self.chain.refused("it has no certificate"));
        };
        let validity = Validity::read(first, &self.chain)?;
        let key = private_key(&bytes.key, bytes.password.as_ref(), &self.key)?;
        let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
            if let rustls::Error::InconsistentKeys(_) = error {
                let text = format!(
                    "the key in {} does not fit the certificate {} in {}: name the key that the \
                     certificate was made for, and put that certificate first",
                    self.key,
                    validity.subject(),
                    self.chain
                );
                return Error::new(ErrorKind::Config, text);
            }
            self.key.refused(&format!(
                "its key is of a kind that TLS does not use ({error})"
            ))
        })?;
        Ok(Identity {
            certified: Arc::new(certified),
            validity,
        })
    }
}

/// The content of an [`IdentitySource`].
pub(crate) struct IdentityBytes {
    pub(crate) chain: Secret,
    pub(crate) key: Secret,
    pub(crate) password: Option<Secret>,
}

/// A certificate with its issuers and its key.
#[derive(Clone)]
pub struct Identity {
    /// Chain and key, which fit each other.
    certified: Arc<CertifiedKey>,
    /// The dates of the first certificate.
    validity: Validity,
}

impl Identity {
    /// Returns subject and dates of the certificate.
    #[must_use]
    pub fn validity(&self) -> &Validity {
        &self.validity
    }

    /// Returns the certificate, with those of its issuers behind it.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

/// Writes subject and dates, never the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?})", self.validity)
    }
}
