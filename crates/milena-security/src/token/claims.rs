//! The claims of a JSON web token, read without a check of its signature.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use milena_core::{Error, ErrorKind, Result, Timestamp};
use serde_json::{Map, Value};

/// The claims of a JSON web token.
#[derive(Clone, PartialEq)]
pub struct TokenClaims {
    /// The part before the claims, which names the algorithm.
    header: Map<String, Value>,
    /// The claims themselves.
    claims: Map<String, Value>,
}

impl TokenClaims {
    /// Reads the claims of `token`. The signature is not checked.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if `token` is no JSON web token. The text does not show it.
    pub fn read(token: &str) -> Result<Self> {
        let mut parts = token.trim_end_matches('.').splitn(3, '.');
        let mut next = || {
            let bytes = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
            serde_json::from_slice(&bytes).ok()
        };
        match (next(), next()) {
            (Some(header), Some(claims)) => Ok(Self { header, claims }),
            _ => Err(Error::new(
                ErrorKind::Config,
                "the token is no JSON web token: it needs a header and claims as base64url, with dots between",
            )),
        }
    }

    /// Returns the text of a claim. `None` if it is missing or no text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// Returns the algorithm that the header names. `None` if it names none.
    #[must_use]
    pub fn algorithm(&self) -> Option<&str> {
        self.header.get("alg")?.as_str()
    }

    /// Returns the time of a claim in seconds, such as `exp`. `None` if it is missing or no time.
    #[must_use]
    pub fn time(&self, name: &str) -> Option<Timestamp> {
        let claim = self.claims.get(name)?;
        let millis = match claim.as_i64() {
            Some(seconds) => seconds.checked_mul(1_000)?,
            // Some providers write fractions. A cast of a float never panics.
            #[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
            None => (claim.as_f64()? * 1_000.0) as i64,
        };
        Timestamp::from_wire(millis)
    }

    /// Returns the time at which the token expires.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] without a claim `exp`.
    pub fn expires(&self) -> Result<Timestamp> {
        self.time("exp").ok_or_else(|| {
            let text = "the token has no claim exp: milena must know when it expires";
            Error::new(ErrorKind::Config, text)
        })
    }
}

/// Writes no claim, since claims name people.
impl std::fmt::Debug for TokenClaims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenClaims")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.sig", part(r#"{"alg":"RS256"}"#), part(claims))
    }

    #[test]
    fn exp_is_read_as_seconds_whole_or_broken() {
        for (claims, millis) in [(r#"{"exp":100}"#, 100_000), (r#"{"exp":1.5}"#, 1_500)] {
            let claims = TokenClaims::read(&token(claims)).unwrap();
            assert_eq!(claims.expires().unwrap(), Timestamp::from_millis(millis));
            assert_eq!(claims.algorithm(), Some("RS256"));
        }
        for claims in [
            "{}",
            r#"{"exp":"1"}"#,
            r#"{"exp":-1}"#,
            r#"{"exp":9223372036854775807}"#,
        ] {
            assert!(
                TokenClaims::read(&token(claims))
                    .unwrap()
                    .expires()
                    .is_err(),
                "{claims}"
            );
        }
        let huge = TokenClaims::read(&token(r#"{"exp":1e300}"#)).unwrap();
        assert_eq!(huge.expires().unwrap(), Timestamp::from_millis(i64::MAX));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*", claims in "\\PC*") {
            let _ = TokenClaims::read(&text);
            let _ = TokenClaims::read(&token(&claims));
        }
    }
}
