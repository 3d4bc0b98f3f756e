//! A user and a password, read at each authentication.

use futures_core::future::BoxFuture;
use milena_core::Result;

use crate::secret::{CredentialId, Secret, SecretSource};

/// A user with a password.
#[derive(Clone, Debug)]
pub struct UserPassword {
    /// The user name. The id, for a delegation token.
    pub user: String,
    /// The password. The base64 text of the HMAC, for a delegation token.
    pub password: Secret,
}

impl UserPassword {
    /// Returns the identity of the pair.
    #[must_use]
    pub fn id(&self) -> CredentialId {
        CredentialId::of(&[self.user.as_bytes(), self.password.expose()])
    }
}

/// A source of users with passwords, such as a vault. It is asked at each authentication, so a
/// rotated password needs no restart.
///
/// ```
/// use futures_core::future::BoxFuture;
/// use milena_core::Result;
/// use milena_security::sasl::{LoginProvider, Sasl, UserPassword};
///
/// struct Vault;
/// impl LoginProvider for Vault {
///     fn login(&self) -> BoxFuture<'_, Result<UserPassword>> {
///         Box::pin(async {
///             Ok(UserPassword { user: "alice".into(), password: "from the vault".into() })
///         })
///     }
/// }
/// let sasl = Sasl::plain(Vault);
/// ```
pub trait LoginProvider: Send + Sync + 'static {
    /// Returns the user and the password for one authentication.
    fn login(&self) -> BoxFuture<'_, Result<UserPassword>>;
}

/// A fixed user whose password comes from a [`SecretSource`].
#[derive(Clone, Debug)]
pub struct Login {
    /// The user name.
    user: String,
    /// The place of the password.
    password: SecretSource,
}

impl Login {
    /// Creates a login. The password is a text, a [`Secret`] or a [`SecretSource`].
    pub fn new(user: impl Into<String>, password: impl Into<SecretSource>) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
        }
    }
}

impl LoginProvider for Login {
    fn login(&self) -> BoxFuture<'_, Result<UserPassword>> {
        Box::pin(async {
            let password = self.password.read().await?;
            Ok(UserPassword {
                user: self.user.clone(),
                password,
            })
        })
    }
}
