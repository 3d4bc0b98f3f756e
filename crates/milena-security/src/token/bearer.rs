//! A bearer token with its lifetime.

use std::fmt;

use milena_core::{Result, Timestamp};

use super::claims::TokenClaims;
use crate::sasl::SaslExtensions;
use crate::secret::Secret;

/// A bearer token, the time at which it expires, and the extensions that travel beside it.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken {
    /// The token as it is sent.
    value: Secret,
    /// The time at which the broker stops accepting it.
    expires: Timestamp,
    /// The extensions of the SASL message.
    extensions: SaslExtensions,
}

impl BearerToken {
    /// Creates a token without extensions.
    #[must_use]
    pub fn new(value: impl Into<Secret>, expires: Timestamp) -> Self {
        Self {
            value: value.into(),
            expires,
            extensions: SaslExtensions::default(),
        }
    }

    /// Creates a token whose lifetime stands in its own claim `exp`. The signature is not checked,
    /// since only the broker can.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) if it is no JSON web token or has no
    /// `exp`.
    pub fn from_jwt(value: impl Into<Secret>) -> Result<Self> {
        let value = value.into();
        let expires = TokenClaims::read(value.text()?)?.expires()?;
        Ok(Self::new(value, expires))
    }

    /// Sets the extensions.
    #[must_use]
    pub fn with_extensions(mut self, extensions: SaslExtensions) -> Self {
        self.extensions = extensions;
        self
    }

    /// Returns the token as it is sent.
    #[must_use]
    pub fn value(&self) -> &Secret {
        &self.value
    }

    /// Returns the time at which the broker stops accepting the token.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Returns the extensions of the SASL message.
    #[must_use]
    pub fn extensions(&self) -> &SaslExtensions {
        &self.extensions
    }
}

/// Writes the lifetime and never the token.
impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "BearerToken(***, expires at {} ms)",
            self.expires.to_millis()
        )
    }
}
