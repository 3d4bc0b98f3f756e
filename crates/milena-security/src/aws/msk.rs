//! The signed request by which a client of Amazon MSK proves its AWS identity, in both forms.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_core::future::BoxFuture;
use milena_core::{Error, ErrorKind, Result, Timestamp, WallClock};
use percent_encoding::percent_decode_str;

use super::credentials::{AwsCredentialProvider, AwsCredentials};
use super::region::Region;
use super::sigv4::{ALGORITHM, EMPTY_HASH, Presign, Signed, encoded};
use crate::secret::Secret;
use crate::token::{BearerToken, TokenProvider};

/// The request `kafka-cluster:Connect`, as both forms sign it.
///
/// A client fills it in and signs it. A broker reads it from a message, looks up the secret of
/// [`access_key_id`](Self::access_key_id), and compares signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MskRequest {
    /// The host in the signature. The advertised name of the broker, or the service's own host for
    /// a token.
    pub host: String,
    /// The region in the signature.
    pub region: String,
    /// The access key's id.
    pub access_key_id: String,
    /// The time of the signature.
    pub at: Timestamp,
    /// The time for which the signature is valid.
    pub expires: Duration,
}

impl MskRequest {
    /// The longest time for which a signature is valid.
    pub const LONGEST: Duration = Duration::from_secs(900);

    /// Creates the request of `credentials`. It is valid for 900 s, or until the credentials expire
    /// if that is earlier.
    ///
    /// # Errors
    /// [`ErrorKind::Security`] if the credentials are expired.
    pub fn new(
        host: impl Into<String>,
        region: &Region,
        credentials: &AwsCredentials,
        at: Timestamp,
    ) -> Result<Self> {
        // A signature outlives its credentials otherwise, and the broker refuses it with "Session
        // too short".
        let left = credentials
            .expires
            .map_or(Self::LONGEST, |expires| expires.since(at));
        let expires = Duration::from_secs(left.min(Self::LONGEST).as_secs());
        if expires.is_zero() {
            let text = "the AWS credentials are expired: check the clock, and the source of the credentials";
            return Err(Error::new(ErrorKind::Security, text));
        }
        Ok(Self {
            host: host.into(),
            region: region.name().to_owned(),
            access_key_id: credentials.access_key_id.clone(),
            at,
            expires,
        })
    }

    /// Signs the request with `credentials`.
    pub(crate) fn sign(&self, credentials: &AwsCredentials) -> Result<Signed> {
        let request = Presign {
            host: &self.host,
            path: "/",
            parameters: &[("Action", ACTION)],
            region: &self.region,
            service: SERVICE,
            at: self.at,
            expires: self.expires,
            body_hash: EMPTY_HASH,
        };
        request.sign(credentials)
    }

    /// Returns the time at which the signature expires.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.at.plus(self.expires)
    }

    /// Returns true if `signature` is the one of `credentials`, and the request is valid at `now`.
    /// A clock of the client may be ahead by 5 min.
    #[must_use]
    pub fn is_signed_by(
        &self,
        credentials: &AwsCredentials,
        signature: &str,
        now: Timestamp,
    ) -> bool {
        let in_time = now < self.expires_at()
            && self.at.since(now) <= AHEAD
            && !self.expires.is_zero()
            && self.expires <= Self::LONGEST;
        let known = self.sign(credentials);
        let same =
            known.is_ok_and(|known| Secret::from(known.signature) == Secret::from(signature));
        in_time && same && credentials.access_key_id == self.access_key_id
    }

    /// Reads a request from the parameters of either form, by their names in lower case. `None` if
    /// one is missing or wrong.
    pub(crate) fn read(host: &str, named: &BTreeMap<String, String>) -> Option<Self> {
        let value = |name: &str| named.get(name).map(String::as_str);
        let fixed = [
            ("action", ACTION),
            ("x-amz-algorithm", ALGORITHM),
            ("x-amz-signedheaders", "host"),
        ];
        if fixed
            .iter()
            .any(|(name, wanted)| value(name) != Some(wanted))
        {
            return None;
        }
        let mut scope = value("x-amz-credential")?.rsplitn(5, '/');
        let (end, service, region) = (scope.next()?, scope.next()?, scope.next()?);
        let (day, access_key_id) = (scope.next()?, scope.next()?);
        let date = value("x-amz-date")?;
        let time = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", date).ok()?;
        let time = jiff::tz::Offset::UTC
            .to_timestamp(time.to_datetime().ok()?)
            .ok()?;
        let fits = end == "aws4_request" && service == SERVICE && date.get(..8) == Some(day);
        fits.then(|| {
            Some(Self {
                host: host.to_owned(),
                region: region.to_owned(),
                access_key_id: access_key_id.to_owned(),
                at: Timestamp::from_millis(time.as_millisecond()),
                expires: Duration::from_secs(value("x-amz-expires")?.parse().ok()?),
            })
        })?
    }
}

/// A provider of bearer tokens for the mechanism OAUTHBEARER of Amazon MSK. A token is a signed
/// address.
///
/// It lives for 900 s at most, and never longer than its credentials. The broker reads the region
/// from the token, so it must be that of the cluster.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milena_core::Result<()> {
/// use milena_core::Timestamp;
/// use milena_security::aws::{AwsCredentials, MskTokenProvider, Region, verify_msk_token};
/// use milena_security::token::TokenProvider;
///
/// let keys = AwsCredentials::new("AKID", "secret");
/// let provider = MskTokenProvider::new(Region::new("eu-central-1")?, keys.clone());
/// let token = provider.token().await?;
/// let now = Timestamp::now();
/// let lookup = |id: &str| (id == "AKID").then(|| keys.clone());
/// let request = verify_msk_token(token.value().text()?, now, lookup)?;
/// assert_eq!(request.region, "eu-central-1");
/// # Ok(())
/// # }
/// ```
pub struct MskTokenProvider {
    /// The region of the cluster.
    region: Region,
    /// The source of the credentials.
    credentials: Box<dyn AwsCredentialProvider>,
    /// The clock of the signatures.
    clock: WallClock,
    /// The name of this program, added behind the signature.
    user_agent: String,
}

impl MskTokenProvider {
    /// Creates a provider for clusters in `region`.
    #[must_use]
    pub fn new(region: Region, credentials: impl AwsCredentialProvider) -> Self {
        Self {
            region,
            credentials: Box::new(credentials),
            clock: WallClock::default(),
            user_agent: USER_AGENT.to_owned(),
        }
    }

    /// Sets the clock of the signatures.
    #[must_use]
    pub fn clock(mut self, clock: WallClock) -> Self {
        self.clock = clock;
        self
    }

    async fn make(&self) -> Result<BearerToken> {
        let credentials = self.credentials.credentials().await?;
        let region = self.region.name();
        let host = format!("kafka.{region}.amazonaws.com");
        let request = MskRequest::new(host, &self.region, &credentials, self.clock.now())?;
        let signed = request.sign(&credentials)?;
        let address = format!(
            "https://{}/?{}&X-Amz-Signature={}&User-Agent={}",
            request.host,
            signed.query,
            signed.signature,
            encoded(&self.user_agent)
        );
        let token = URL_SAFE_NO_PAD.encode(address);
        Ok(BearerToken::new(token, request.expires_at()))
    }
}

impl TokenProvider for MskTokenProvider {
    fn token(&self) -> BoxFuture<'_, Result<BearerToken>> {
        Box::pin(self.make())
    }
}

/// Checks a token of an [`MskTokenProvider`], as a broker does: computes the signature again with
/// the credentials that `lookup` returns for an access key's id.
///
/// # Errors
/// [`ErrorKind::Security`] with a reason that holds no secret.
pub fn verify_msk_token(
    token: &str,
    now: Timestamp,
    lookup: impl FnOnce(&str) -> Option<AwsCredentials>,
) -> Result<MskRequest> {
    let refused = |why: &'static str| Error::new(ErrorKind::Security, why);
    let address = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).ok();
    let address = address.and_then(|bytes| String::from_utf8(bytes).ok());
    let read = address.as_deref().and_then(read_address);
    let (request, named) = read.ok_or_else(|| refused("the token is no signed MSK address"))?;
    if request.host != format!("kafka.{}.amazonaws.com", request.region) {
        return Err(refused("the token is signed for another host"));
    }
    let credentials = lookup(&request.access_key_id);
    let credentials = credentials.ok_or_else(|| refused("the access key is unknown"))?;
    let given = named
        .get("x-amz-security-token")
        .map(|token| Secret::from(token.as_str()));
    let signature = named.get("x-amz-signature").map_or("", String::as_str);
    if given != credentials.session_token || !request.is_signed_by(&credentials, signature, now) {
        return Err(refused("the signature of the token is wrong or expired"));
    }
    Ok(request)
}

/// Reads a signed address. Returns the request and all parameters by their names in lower case.
fn read_address(address: &str) -> Option<(MskRequest, BTreeMap<String, String>)> {
    let rest = address.strip_prefix("https://")?;
    let (host, query) = rest.split_once("/?")?;
    let decoded = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .ok()
            .map(String::from)
    };
    let pairs = query.split('&').map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((decoded(name)?.to_ascii_lowercase(), decoded(value)?))
    });
    let named: BTreeMap<_, _> = pairs.collect::<Option<_>>()?;
    Some((MskRequest::read(host, &named)?, named))
}

/// The action that is signed.
pub(crate) const ACTION: &str = "kafka-cluster:Connect";
/// The service that is signed for.
const SERVICE: &str = "kafka-cluster";
/// The name of this program in messages.
pub(crate) const USER_AGENT: &str = concat!("milena/", env!("CARGO_PKG_VERSION"));
/// The time by which a client's clock may be ahead.
const AHEAD: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> AwsCredentials {
        AwsCredentials::new("AKID", "secret").with_session("session/token+=")
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + seconds * 1_000)
    }

    fn provider(keys: AwsCredentials) -> MskTokenProvider {
        MskTokenProvider::new(Region::new("us-west-2").unwrap(), keys)
            .clock(WallClock::new(|| at(0)))
    }

    fn check(token: &BearerToken, now: Timestamp, keys: &AwsCredentials) -> Result<MskRequest> {
        verify_msk_token(token.value().text()?, now, |_| Some(keys.clone()))
    }

    #[tokio::test]
    async fn a_token_is_checked_by_its_signature_and_its_time() {
        let token = provider(keys()).token().await.unwrap();
        assert_eq!(token.expires(), at(900));
        assert!(check(&token, at(0), &keys()).is_ok());
        assert!(check(&token, at(899), &keys()).is_ok());
        assert!(check(&token, at(900), &keys()).is_err());
        assert!(check(&token, at(-300), &keys()).is_ok());
        assert!(check(&token, at(-301), &keys()).is_err());
        let other = AwsCredentials::new("AKID", "other").with_session("session/token+=");
        assert!(check(&token, at(0), &other).is_err());
        assert!(check(&token, at(0), &AwsCredentials::new("AKID", "secret")).is_err());
        assert!(verify_msk_token(token.value().text().unwrap(), at(0), |_| None).is_err());
    }

    #[tokio::test]
    async fn the_token_has_the_documented_form() {
        let token = provider(keys()).token().await.unwrap();
        let address = URL_SAFE_NO_PAD.decode(token.value().expose()).unwrap();
        let address = String::from_utf8(address).unwrap();
        let start = "https://kafka.us-west-2.amazonaws.com/?Action=kafka-cluster%3AConnect&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20270115%2Fus-west-2%2Fkafka-cluster%2Faws4_request&X-Amz-Date=20270115T080000Z&X-Amz-Expires=900&X-Amz-Security-Token=session%2Ftoken%2B%3D&X-Amz-SignedHeaders=host&X-Amz-Signature=";
        assert!(address.starts_with(start), "{address}");
        assert!(address.contains("&User-Agent=milena%2F"), "{address}");
    }

    #[tokio::test]
    async fn a_token_never_outlives_its_credentials() {
        let token = provider(keys().expires_at(at(10))).token().await.unwrap();
        assert_eq!(token.expires(), at(10));
        let error = provider(keys().expires_at(at(0)))
            .token()
            .await
            .unwrap_err();
        assert!(error.to_string().contains("expired"), "{error}");
    }

    proptest! {
        #[test]
        fn no_token_panics(text in "\\PC*", address in "https://[a-z/?&=%X-]{0,60}") {
            let _ = verify_msk_token(&text, at(0), |_| Some(keys()));
            let _ = verify_msk_token(&URL_SAFE_NO_PAD.encode(address), at(0), |_| Some(keys()));
        }
    }
}
