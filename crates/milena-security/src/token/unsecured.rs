//! Tokens without a signature, which Kafka's brokers accept when nothing else is configured.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use milena_core::{Error, ErrorKind, Result, Timestamp};
use serde_json::json;

use super::bearer::BearerToken;
use super::claims::TokenClaims;

/// Creates a token without a signature for `subject`. Everybody can make one, so use it in tests
/// only.
///
/// ```
/// use std::time::Duration;
/// use milena_core::Timestamp;
/// use milena_security::token::{read_unsecured, unsecured};
///
/// let now = Timestamp::from_millis(1_000);
/// let token = unsecured("alice", now, Duration::from_secs(60));
/// let (subject, expires) = read_unsecured(token.value().text()?, now)?;
/// assert_eq!((subject.as_str(), expires), ("alice", Timestamp::from_millis(61_000)));
/// # Ok::<(), milena_core::Error>(())
/// ```
#[must_use]
pub fn unsecured(subject: &str, now: Timestamp, life: std::time::Duration) -> BearerToken {
    let seconds = |time: Timestamp| time.to_millis().div_euclid(1_000);
    let expires = now.plus(life);
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({ "alg": "none" }));
    let claims = part(json!({ "sub": subject, "iat": seconds(now), "exp": seconds(expires) }));
    let expires = Timestamp::from_millis(seconds(expires).saturating_mul(1_000));
    BearerToken::new(format!("{header}.{claims}."), expires)
}

/// Reads a token without a signature as Kafka's default validator does. Returns the subject and the
/// time at which the token expires.
///
/// # Errors
/// [`ErrorKind::Security`] if the token has a signature, is no token, lacks `sub` or `exp`, or is
/// expired at `now`.
pub fn read_unsecured(token: &str, now: Timestamp) -> Result<(String, Timestamp)> {
    let refused = |why: &'static str| Error::new(ErrorKind::Security, why);
    let claims = TokenClaims::read(token).map_err(|_| refused("the token cannot be read"))?;
    if claims.algorithm() != Some("none") || !token.ends_with('.') {
        return Err(refused(
            "the token has a signature, and only tokens without one are accepted",
        ));
    }
    let subject = claims.text("sub").filter(|subject| !subject.is_empty());
    let subject = subject.ok_or_else(|| refused("the token has no claim sub"))?;
    let expires = claims
        .expires()
        .map_err(|_| refused("the token has no claim exp"))?;
    if expires <= now {
        return Err(refused("the token is expired"));
    }
    Ok((subject.to_owned(), expires))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_expired_or_signed_token_is_refused() {
        let now = Timestamp::from_millis(5_000);
        let token = unsecured("alice", now, Duration::from_secs(2));
        let text = token.value().text().unwrap();
        assert!(read_unsecured(text, now).is_ok());
        assert!(read_unsecured(text, Timestamp::from_millis(7_000)).is_err());
        assert!(read_unsecured(&format!("{text}c2ln"), now).is_err());
        assert!(read_unsecured("", now).is_err());
    }
}
