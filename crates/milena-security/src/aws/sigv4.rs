//! The signature of AWS requests, version 4, in the form of query parameters.

use std::time::Duration;

use milena_core::{Error, ErrorKind, Result, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::credentials::AwsCredentials;
use crate::digest::{hex, hmac_sha256, sha256};

/// A GET request that is signed in its query.
pub(crate) struct Presign<'a> {
    /// The host, as the signed header names it.
    pub(crate) host: &'a str,
    /// The path. Not encoded again.
    pub(crate) path: &'a str,
    /// Parameters beside those of the signature.
    pub(crate) parameters: &'a [(&'a str, &'a str)],
    /// The region that signs.
    pub(crate) region: &'a str,
    /// The service that signs.
    pub(crate) service: &'a str,
    /// The time of the signature.
    pub(crate) at: Timestamp,
    /// The time for which the signature is valid.
    pub(crate) expires: Duration,
    /// The hash of the body, in hexadecimal digits.
    pub(crate) body_hash: &'a str,
}

/// A signed request.
pub(crate) struct Signed {
    /// The scope behind the access key's id, such as
    /// `AKID/20260801/eu-west-1/service/aws4_request`.
    pub(crate) credential: String,
    /// The time, such as `20260801T101112Z`.
    pub(crate) date: String,
    /// The query with all signed parameters, in their order.
    pub(crate) query: String,
    /// The signature, in hexadecimal digits.
    pub(crate) signature: String,
}

impl Presign<'_> {
    /// Signs the request.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a time that no calendar has, or a session token that is no text.
    pub(crate) fn sign(&self, credentials: &AwsCredentials) -> Result<Signed> {
        let date = date(self.at)?;
        let day = date.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let credential = format!("{}/{scope}", credentials.access_key_id);
        let seconds = self.expires.as_secs().to_string();
        let mut parameters = self.parameters.to_vec();
        parameters.extend([
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &date),
            ("X-Amz-Expires", &seconds),
            ("X-Amz-SignedHeaders", "host"),
        ]);
        if let Some(token) = &credentials.session_token {
            parameters.push(("X-Amz-Security-Token", token.text()?));
        }
        let query = query(&parameters);
        let canonical = format!(
            "GET\n{}\n{query}\nhost:{}\n\nhost\n{}",
            self.path, self.host, self.body_hash
        );
        let hash = hex(&sha256(canonical.as_bytes()));
        let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{hash}");
        let mut key = Zeroizing::new(b"AWS4".to_vec());
        key.extend_from_slice(credentials.secret_access_key.expose());
        let mut key = Zeroizing::new(hmac_sha256(&key, day.as_bytes()));
        for part in [self.region, self.service, "aws4_request"] {
            key = Zeroizing::new(hmac_sha256(&key[..], part.as_bytes()));
        }
        let signature = hex(&hmac_sha256(&key[..], to_sign.as_bytes()));
        Ok(Signed {
            credential,
            date,
            query,
            signature,
        })
    }
}

/// Returns parameters sorted and encoded as a query.
fn query(parameters: &[(&str, &str)]) -> String {
    let encoded = parameters
        .iter()
        .map(|(name, value)| (encoded(name), encoded(value)));
    let mut encoded: Vec<_> = encoded.collect();
    encoded.sort();
    let pairs = encoded
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("&")
}

/// Encodes all bytes but the unreserved ones of RFC 3986.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Returns a time as `20260801T101112Z`.
pub(crate) fn date(at: Timestamp) -> Result<String> {
    let time = jiff::Timestamp::from_millisecond(at.to_millis()).map_err(|error| {
        Error::new(
            ErrorKind::Config,
            "the clock shows a time that no calendar has",
        )
        .with_source(error)
    })?;
    Ok(time.strftime("%Y%m%dT%H%M%SZ").to_string())
}

/// The name of the algorithm.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The hash of an empty body.
pub(crate) const EMPTY_HASH: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// The bytes that are encoded in a query.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of AWS's page "Authenticating Requests: Using Query Parameters".
    #[test]
    fn the_example_of_aws_has_its_signature() {
        let credentials = AwsCredentials::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        );
        let request = Presign {
            host: "examplebucket.s3.amazonaws.com",
            path: "/test.txt",
            parameters: &[],
            region: "us-east-1",
            service: "s3",
            // 2013-05-24, midnight.
            at: Timestamp::from_millis(1_369_353_600_000),
            expires: Duration::from_secs(86_400),
            body_hash: "UNSIGNED-PAYLOAD",
        };
        let signed = request.sign(&credentials).unwrap();
        assert_eq!(signed.date, "20130524T000000Z");
        assert_eq!(
            signed.signature,
            "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
        assert_eq!(
            signed.query,
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        );
    }

    #[test]
    fn only_unreserved_bytes_stay_as_they_are() {
        assert_eq!(encoded("aZ09-._~"), "aZ09-._~");
        assert_eq!(encoded("a b/c:é+="), "a%20b%2Fc%3A%C3%A9%2B%3D");
        assert_eq!(hex(&sha256(b"")), EMPTY_HASH);
    }
}
