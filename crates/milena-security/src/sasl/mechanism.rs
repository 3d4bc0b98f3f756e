//! The names of the SASL mechanisms that milena knows.

use std::fmt;
use std::str::FromStr;

use milena_core::{Error, ErrorKind, Result};

use super::scram::ScramHash;

/// A SASL mechanism, as `sasl.mechanism` names it.
///
/// ```
/// use milena_security::sasl::Mechanism;
///
/// let mechanism: Mechanism = "SCRAM-SHA-512".parse()?;
/// assert_eq!(mechanism, Mechanism::ScramSha512);
/// # Ok::<(), milena_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// User and password in clear (RFC 4616). Only for TLS.
    Plain,
    /// A proof of the password by SHA-256 (RFC 7677).
    ScramSha256,
    /// A proof of the password by SHA-512.
    ScramSha512,
    /// A bearer token (RFC 7628, KIP-255). Only for TLS.
    OAuthBearer,
    /// A signed request of an AWS identity.
    AwsMskIam,
}

impl Mechanism {
    /// All mechanisms, in the order in which texts list them.
    pub const ALL: [Self; 5] = [
        Self::Plain,
        Self::ScramSha256,
        Self::ScramSha512,
        Self::OAuthBearer,
        Self::AwsMskIam,
    ];

    /// Returns the name of the mechanism in SaslHandshake.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::AwsMskIam => "AWS_MSK_IAM",
        }
    }

    /// Returns the hash of a SCRAM mechanism. `None` for the others.
    #[must_use]
    pub const fn scram(self) -> Option<ScramHash> {
        match self {
            Self::ScramSha256 => Some(ScramHash::Sha256),
            Self::ScramSha512 => Some(ScramHash::Sha512),
            Self::Plain | Self::OAuthBearer | Self::AwsMskIam => None,
        }
    }
}

impl From<ScramHash> for Mechanism {
    fn from(hash: ScramHash) -> Self {
        match hash {
            ScramHash::Sha256 => Self::ScramSha256,
            ScramHash::Sha512 => Self::ScramSha512,
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Mechanism {
    type Err = Error;

    /// Reads a name.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with all names for any other text.
    fn from_str(text: &str) -> Result<Self> {
        let known = Self::ALL
            .into_iter()
            .find(|mechanism| mechanism.name() == text);
        known.ok_or_else(|| {
            let text = format!(
                "{text:?} is no SASL mechanism that milena knows: use {}",
                Self::ALL.map(Self::name).join(", ")
            );
            Error::new(ErrorKind::Config, text).setting("sasl.mechanism")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for mechanism in Mechanism::ALL {
            assert_eq!(
                mechanism.to_string().parse::<Mechanism>().unwrap(),
                mechanism
            );
        }
        let error = "GSSAPI".parse::<Mechanism>().unwrap_err().to_string();
        assert!(
            error.contains("GSSAPI") && error.contains("OAUTHBEARER"),
            "{error}"
        );
    }
}
