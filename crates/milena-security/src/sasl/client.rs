//! The identity of a client, which begins one exchange per authentication.

use std::fmt;
use std::sync::{Arc, Once};

use futures_core::future::BoxFuture;
use milena_core::{Result, WallClock};

use super::exchange::ClientExchange;
use super::login::{LoginProvider, UserPassword};
use super::mechanism::Mechanism;
use super::msk_iam::MskIamClient;
use super::oauth::OAuthClient;
use super::plain::PlainClient;
use super::scram::{SaltedCache, ScramClient, ScramHash};
use crate::aws::{AwsCredentialProvider, Region};
use crate::secret::CredentialId;
use crate::token::TokenProvider;

/// The broker that a client authenticates with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthPeer {
    /// The advertised host name, which AWS_MSK_IAM signs. Not the address that is dialed.
    pub host: String,
}

impl AuthPeer {
    /// Creates a peer by its advertised host name.
    pub fn new(host: impl Into<String>) -> Self {
        Self { host: host.into() }
    }
}

/// A mechanism with its credentials. Implement it for a mechanism that milena does not have, such
/// as GSSAPI.
pub trait SaslMechanism: Send + Sync + 'static {
    /// Returns the name in SaslHandshake.
    fn name(&self) -> &str;

    /// Asks for the credential and begins one authentication with `peer`.
    ///
    /// The caller limits the time. The future may be dropped at each wait.
    fn begin<'a>(&'a self, peer: &'a AuthPeer) -> BoxFuture<'a, Result<Box<dyn ClientExchange>>>;

    /// Hears that a broker refused the credential with this identity. Does nothing by default.
    fn refused(&self, credential: CredentialId) {
        let _ = credential;
    }
}

/// The identity of a client: a mechanism and the source of its credentials. A clone shares both.
///
/// Sources are asked at each authentication, so a rotated credential needs no restart. See the
/// [module](super) for an exchange from start to end.
///
/// ```
/// use milena_security::SecretSource;
/// use milena_security::sasl::{Login, Sasl, ScramHash};
///
/// let sasl = Sasl::scram(
///     ScramHash::Sha512,
///     Login::new("billing", SecretSource::file("/run/secrets/kafka")),
/// );
/// assert_eq!(sasl.name(), "SCRAM-SHA-512");
/// ```
#[derive(Clone)]
pub struct Sasl(Arc<dyn SaslMechanism>);

impl Sasl {
    /// Creates an identity for PLAIN.
    #[must_use]
    pub fn plain(login: impl LoginProvider) -> Self {
        Self::custom(Plain(login))
    }

    /// Creates an identity for SCRAM.
    #[must_use]
    pub fn scram(hash: ScramHash, login: impl LoginProvider) -> Self {
        Self::custom(Scram::new(hash, login, false))
    }

    /// Creates an identity for SCRAM with a delegation token (KIP-48). The login's user is the
    /// token's id, and its password the base64 text of the token's HMAC.
    #[must_use]
    pub fn delegation_token(hash: ScramHash, token: impl LoginProvider) -> Self {
        Self::custom(Scram::new(hash, token, true))
    }

    /// Creates an identity for OAUTHBEARER.
    #[must_use]
    pub fn oauth_bearer(provider: impl TokenProvider) -> Self {
        Self::custom(OAuth(provider))
    }

    /// Creates an identity for AWS_MSK_IAM. The region is that of the broker's name if `region` is
    /// `None`, and else that of the variables `AWS_REGION` and `AWS_DEFAULT_REGION`.
    #[must_use]
    pub fn aws_msk_iam(region: Option<Region>, credentials: impl AwsCredentialProvider) -> Self {
        Self::aws_msk_iam_at(region, credentials, WallClock::default())
    }

    /// Creates an identity for AWS_MSK_IAM that signs with the time of `clock`.
    #[must_use]
    pub fn aws_msk_iam_at(
        region: Option<Region>,
        credentials: impl AwsCredentialProvider,
        clock: WallClock,
    ) -> Self {
        Self::custom(MskIam {
            region,
            credentials,
            clock,
        })
    }

    /// Creates an identity for a mechanism of your own.
    #[must_use]
    pub fn custom(mechanism: impl SaslMechanism) -> Self {
        Self(Arc::new(mechanism))
    }

    /// Returns the name of the mechanism in SaslHandshake.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Asks for the credential and begins one authentication with `peer`.
    ///
    /// # Errors
    /// Those of the credential's source, and
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) for a credential that the mechanism
    /// cannot carry.
    ///
    /// # Cancel safety
    /// If the future is dropped, nothing was begun.
    pub async fn begin(&self, peer: &AuthPeer) -> Result<Box<dyn ClientExchange>> {
        self.0.begin(peer).await
    }

    /// Tells the source that a broker refused the credential that an exchange used, so that it does
    /// not keep it. Call it for each refusal, and compare the identity of the next exchange.
    pub fn refused(&self, credential: CredentialId) {
        self.0.refused(credential);
    }
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sasl({})", self.name())
    }
}

/// PLAIN with the source of its login.
struct Plain<L>(L);

impl<L: LoginProvider> SaslMechanism for Plain<L> {
    fn name(&self) -> &str {
        Mechanism::Plain.name()
    }

    fn begin<'a>(&'a self, _: &'a AuthPeer) -> BoxFuture<'a, Result<Box<dyn ClientExchange>>> {
        Box::pin(async {
            let exchange = PlainClient::new(self.0.login().await?)?;
            Ok(Box::new(exchange) as Box<dyn ClientExchange>)
        })
    }
}

/// SCRAM with the source of its login.
struct Scram<L> {
    /// The hash of the mechanism.
    hash: ScramHash,
    /// The source of the login.
    login: L,
    /// True if the login is a delegation token.
    by_token: bool,
    /// The salted password of the last exchange.
    cache: SaltedCache,
    /// Runs the warning about other characters than ASCII once.
    warning: Once,
}

impl<L> Scram<L> {
    fn new(hash: ScramHash, login: L, by_token: bool) -> Self {
        Self {
            hash,
            login,
            by_token,
            cache: SaltedCache::default(),
            warning: Once::new(),
        }
    }

    /// Warns once of characters that other clients may send in another form.
    fn warn(&self, login: &UserPassword) {
        if !login.user.is_ascii() || !login.password.expose().is_ascii() {
            self.warning.call_once(|| {
                tracing::warn!(
                    "SCRAM user name or password has other characters than ASCII. Kafka does not \
                     normalise them, so the broker must hold the same bytes"
                );
            });
        }
    }
}

impl<L: LoginProvider> SaslMechanism for Scram<L> {
    fn name(&self) -> &str {
        Mechanism::from(self.hash).name()
    }

    fn begin<'a>(&'a self, _: &'a AuthPeer) -> BoxFuture<'a, Result<Box<dyn ClientExchange>>> {
        Box::pin(async {
            let login = self.login.login().await?;
            self.warn(&login);
            let exchange = if self.by_token {
                ScramClient::by_token(self.hash, &login)?
            } else {
                ScramClient::new(self.hash, &login)?
            };
            let exchange = exchange.cache(self.cache.clone());
            Ok(Box::new(exchange) as Box<dyn ClientExchange>)
        })
    }
}

/// OAUTHBEARER with the provider of its tokens.
struct OAuth<P>(P);

impl<P: TokenProvider> SaslMechanism for OAuth<P> {
    fn name(&self) -> &str {
        Mechanism::OAuthBearer.name()
    }

    fn begin<'a>(&'a self, _: &'a AuthPeer) -> BoxFuture<'a, Result<Box<dyn ClientExchange>>> {
        Box::pin(async {
            let exchange = OAuthClient::new(self.0.token().await?)?;
            Ok(Box::new(exchange) as Box<dyn ClientExchange>)
        })
    }

    fn refused(&self, credential: CredentialId) {
        self.0.refused(credential);
    }
}

/// AWS_MSK_IAM with the source of its credentials.
struct MskIam<P> {
    /// The region. `None` takes that of the broker's name or of the environment.
    region: Option<Region>,
    /// The source of the credentials.
    credentials: P,
    /// The clock of the signatures.
    clock: WallClock,
}

impl<P: AwsCredentialProvider> SaslMechanism for MskIam<P> {
    fn name(&self) -> &str {
        Mechanism::AwsMskIam.name()
    }

    fn begin<'a>(&'a self, peer: &'a AuthPeer) -> BoxFuture<'a, Result<Box<dyn ClientExchange>>> {
        Box::pin(async {
            let region = Region::resolve(self.region.as_ref(), &peer.host)?;
            let credentials = self.credentials.credentials().await?;
            let host = peer.host.trim_end_matches('.');
            let exchange = MskIamClient::new(host, &region, &credentials, self.clock.now())?;
            Ok(Box::new(exchange) as Box<dyn ClientExchange>)
        })
    }
}
