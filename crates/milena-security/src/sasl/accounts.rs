//! The users and tokens of a broker, as the server halves ask for them.

use milena_core::Timestamp;

use super::extensions::SaslExtensions;
use super::scram::{ScramCredential, ScramHash};
use crate::secret::Secret;

/// The users and tokens of a broker. Each method has a default that knows none.
///
/// Calls block the connection, so answers come from memory.
pub trait Accounts: Send + Sync {
    /// Returns the password of `user` for PLAIN. `None` if there is no such user.
    fn password(&self, user: &str) -> Option<Secret> {
        let _ = user;
        None
    }

    /// Returns the SCRAM credential of `user`. `None` if there is none with `hash`.
    ///
    /// With `by_token`, `user` is the id of a delegation token (KIP-48).
    fn scram(&self, user: &str, hash: ScramHash, by_token: bool) -> Option<ScramAccount> {
        let _ = (user, hash, by_token);
        None
    }

    /// Checks a bearer token with the extensions that came with it.
    ///
    /// # Errors
    /// The reason for the client.
    fn bearer(
        &self,
        token: &Secret,
        extensions: &SaslExtensions,
    ) -> Result<BearerAccount, BearerRefusal> {
        let _ = (token, extensions);
        Err(BearerRefusal::default())
    }

    /// Returns the secret of an AWS access key. `None` if there is no such key.
    fn aws(&self, access_key_id: &str) -> Option<AwsAccount> {
        let _ = access_key_id;
        None
    }
}

/// A SCRAM user or a delegation token.
#[derive(Clone, Debug)]
pub struct ScramAccount {
    /// The keys that check the proof.
    pub credential: ScramCredential,
    /// The principal. The owner, if the account is a delegation token.
    pub principal: String,
    /// The time at which the account expires. `None` for users.
    pub expires: Option<Timestamp>,
}

/// The owner of a bearer token.
#[derive(Clone, Debug)]
pub struct BearerAccount {
    /// The principal.
    pub principal: String,
    /// The time at which the token expires. `None` if it does not.
    pub expires: Option<Timestamp>,
}

/// The reason why a bearer token is refused, which the client receives as JSON (RFC 7628).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BearerRefusal {
    /// The status, such as `invalid_token`.
    pub status: String,
    /// The scope that a token needs. `None` leaves it out.
    pub scope: Option<String>,
    /// The address of the provider's discovery document. `None` leaves it out.
    pub openid_configuration: Option<String>,
}

impl Default for BearerRefusal {
    fn default() -> Self {
        Self {
            status: "invalid_token".to_owned(),
            scope: None,
            openid_configuration: None,
        }
    }
}

/// The owner of an AWS access key.
#[derive(Clone, Debug)]
pub struct AwsAccount {
    /// The secret access key.
    pub secret: Secret,
    /// The session token that a request must name. `None` for long-term keys.
    pub session_token: Option<Secret>,
    /// The principal, such as an ARN.
    pub principal: String,
    /// The time at which the session ends. `None` if the broker sets no limit.
    pub expires: Option<Timestamp>,
}
