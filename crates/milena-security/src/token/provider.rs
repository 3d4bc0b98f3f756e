//! Providers of bearer tokens: a trait, and the simple ones.

use std::future::Future;

use futures_core::future::BoxFuture;
use milena_core::Result;

use super::bearer::BearerToken;
use crate::sasl::SaslExtensions;
use crate::secret::{CredentialId, SecretSource};

/// A source of bearer tokens. It is asked at each authentication.
///
/// Wrap one that asks a server in a [`Refresher`](super::Refresher), so that all connections share
/// one token.
pub trait TokenProvider: Send + Sync + 'static {
    /// Returns a token with its lifetime.
    ///
    /// The future may be dropped at each wait.
    fn token(&self) -> BoxFuture<'_, Result<BearerToken>>;

    /// Hears that a broker refused the token whose value has this identity. A provider that keeps
    /// tokens may drop it. Does nothing by default.
    fn refused(&self, token: CredentialId) {
        let _ = token;
    }
}

/// A provider that always returns the same token.
#[derive(Clone, Debug)]
pub struct StaticProvider(BearerToken);

impl StaticProvider {
    /// Creates a provider of `token`.
    #[must_use]
    pub fn new(token: BearerToken) -> Self {
        Self(token)
    }
}

impl TokenProvider for StaticProvider {
    fn token(&self) -> BoxFuture<'_, Result<BearerToken>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

/// A provider that calls an asynchronous function.
pub struct CallbackProvider<F>(F);

impl<F, Fut> CallbackProvider<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<BearerToken>> + Send + 'static,
{
    /// Creates a provider that calls `callback` for each token.
    pub fn new(callback: F) -> Self {
        Self(callback)
    }
}

impl<F, Fut> TokenProvider for CallbackProvider<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<BearerToken>> + Send + 'static,
{
    fn token(&self) -> BoxFuture<'_, Result<BearerToken>> {
        Box::pin((self.0)())
    }
}

/// A provider that reads a JSON web token from a file at each need, such as the projected token of
/// a Kubernetes service account.
#[derive(Clone, Debug)]
pub struct FileProvider {
    /// The place of the token.
    source: SecretSource,
    /// The extensions that travel beside it.
    extensions: SaslExtensions,
}

impl FileProvider {
    /// Creates a provider that reads `source`.
    #[must_use]
    pub fn new(source: SecretSource) -> Self {
        Self {
            source,
            extensions: SaslExtensions::new(),
        }
    }

    /// Sets the extensions that travel beside the token.
    #[must_use]
    pub fn extensions(mut self, extensions: SaslExtensions) -> Self {
        self.extensions = extensions;
        self
    }
}

impl TokenProvider for FileProvider {
    fn token(&self) -> BoxFuture<'_, Result<BearerToken>> {
        Box::pin(async {
            let token = BearerToken::from_jwt(self.source.read().await?)?;
            Ok(token.with_extensions(self.extensions.clone()))
        })
    }
}
