//! The keys of an AWS identity, and the trait of their providers.

use std::fmt;

use futures_core::future::BoxFuture;
use milena_core::{Result, Timestamp};

use crate::secret::{CredentialId, Secret};

/// The keys of an AWS identity.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AwsCredentials {
    /// The access key id. It is no secret.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
    /// The session token of temporary keys. `None` for long-term keys.
    pub session_token: Option<Secret>,
    /// The time at which temporary keys expire. `None` for long-term keys.
    pub expires: Option<Timestamp>,
}

impl AwsCredentials {
    /// Creates long-term keys.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<Secret>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: secret_access_key.into(),
            session_token: None,
            expires: None,
        }
    }

    /// Sets the session token of temporary keys.
    #[must_use]
    pub fn with_session(mut self, token: impl Into<Secret>) -> Self {
        self.session_token = Some(token.into());
        self
    }

    /// Sets the time at which temporary keys expire.
    #[must_use]
    pub fn expires_at(mut self, expires: Timestamp) -> Self {
        self.expires = Some(expires);
        self
    }

    /// Returns the identity of the keys.
    #[must_use]
    pub fn id(&self) -> CredentialId {
        let session = self.session_token.as_ref().map_or(&[][..], Secret::expose);
        let secret = self.secret_access_key.expose();
        CredentialId::of(&[self.access_key_id.as_bytes(), secret, session])
    }
}

/// Writes the id and never a secret.
impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AwsCredentials({})", self.access_key_id)
    }
}

/// A source of AWS credentials. It is asked at each authentication.
pub trait AwsCredentialProvider: Send + Sync + 'static {
    /// Returns credentials that are valid now.
    fn credentials(&self) -> BoxFuture<'_, Result<AwsCredentials>>;
}

/// Keys that never change.
impl AwsCredentialProvider for AwsCredentials {
    fn credentials(&self) -> BoxFuture<'_, Result<AwsCredentials>> {
        Box::pin(async { Ok(self.clone()) })
    }
}
