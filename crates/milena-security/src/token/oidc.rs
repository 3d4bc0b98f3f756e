//! Tokens from the token endpoint of an identity provider, by three grants.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_core::future::BoxFuture;
use milena_core::{Backoff, Error, ErrorKind, Result, Timestamp, WallClock};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use zeroize::Zeroizing;

use super::assertion::Assertion;
use super::bearer::BearerToken;
use super::claims::TokenClaims;
use super::provider::TokenProvider;
use crate::http::{HttpAnswer, HttpClient, HttpRequest, HttpUrl};
use crate::sasl::SaslExtensions;
use crate::secret::{Secret, SecretSource};

/// The proof that a client shows to a token endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Grant {
    /// A client id with a secret (KIP-768, `client_credentials`).
    ClientSecret {
        /// The client id.
        id: String,
        /// The place of the secret, read for each token.
        secret: SecretSource,
    },
    /// A signed token for the access that is asked for (KIP-1139, `jwt-bearer`).
    JwtBearer(Assertion),
    /// A signed token in place of the client's secret (KIP-1258, `client_credentials`).
    ClientAssertion {
        /// The client id. `None` leaves it to the assertion.
        id: Option<String>,
        /// The signed token.
        assertion: Assertion,
    },
}

/// A provider that asks the token endpoint of an identity provider for each token. Wrap it in a
/// [`Refresher`](super::Refresher).
///
/// ```no_run
/// # fn example() -> milena_core::Result<()> {
/// use milena_security::SecretSource;
/// use milena_security::http::HttpClient;
/// use milena_security::sasl::Sasl;
/// use milena_security::tls::TlsConfig;
/// use milena_security::token::{Grant, OidcProvider, Refresher};
///
/// let http = HttpClient::builder(TlsConfig::builder().build()?).build();
/// let secret = SecretSource::file("/run/secrets/oidc");
/// let grant = Grant::ClientSecret { id: "billing".into(), secret };
/// let provider = OidcProvider::new(http, "https://login.example.com/token".parse()?, grant)
///     .scope("kafka");
/// let sasl = Sasl::oauth_bearer(Refresher::new(provider));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct OidcProvider {
    /// The client that asks.
    http: HttpClient,
    /// The token endpoint.
    endpoint: HttpUrl,
    /// The proof.
    grant: Grant,
    /// The scope. `None` leaves it to the provider.
    scope: Option<String>,
    /// True if id and secret are encoded before they are joined, as RFC 6749 says.
    encodes_secret: bool,
    /// The extensions that travel beside each token.
    extensions: SaslExtensions,
    /// The clock that lifetimes are counted by.
    clock: WallClock,
    /// The waits between attempts.
    backoff: Backoff,
}

impl OidcProvider {
    /// Creates a provider that shows `grant` to `endpoint`.
    #[must_use]
    pub fn new(http: HttpClient, endpoint: HttpUrl, grant: Grant) -> Self {
        Self {
            http,
            endpoint,
            grant,
            scope: None,
            encodes_secret: false,
            extensions: SaslExtensions::new(),
            clock: WallClock::default(),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
        }
    }

    /// Sets the scope (`sasl.oauthbearer.scope`).
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Encodes client id and secret before they are joined, as RFC 6749 says
    /// (`sasl.oauthbearer.header.urlencode`). Off by default, as in Java.
    #[must_use]
    pub fn encode_secret(mut self) -> Self {
        self.encodes_secret = true;
        self
    }

    /// Sets the extensions that travel beside each token.
    #[must_use]
    pub fn extensions(mut self, extensions: SaslExtensions) -> Self {
        self.extensions = extensions;
        self
    }

    /// Sets the clock that lifetimes are counted by.
    #[must_use]
    pub fn clock(mut self, clock: WallClock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the waits between attempts (`sasl.login.retry.backoff.ms`). Default: 100 ms up to 10 s.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Asks until there is an answer that another attempt would not change.
    async fn fetch(&self) -> Result<BearerToken> {
        let mut attempt = 0;
        loop {
            let asked = self.clock.now();
            let request = self.request(asked).await?;
            let failure = match self.http.send(&request).await {
                Ok(answer) if answer.status() < 500 && answer.status() != 429 => {
                    return self.read(&answer, asked);
                }
                Ok(answer) => {
                    let text =
                        format!("{} answered with status {}", self.endpoint, answer.status());
                    Error::new(ErrorKind::Transport, text)
                }
                Err(error) if error.is_retriable() => error,
                Err(error) => return Err(error),
            };
            if attempt >= RETRIES {
                return Err(failure);
            }
            tokio::time::sleep(self.backoff.delay(attempt)).await;
            attempt += 1;
        }
    }

    /// Makes the request. An assertion is made anew, since it is valid for a short time only.
    async fn request(&self, now: Timestamp) -> Result<HttpRequest> {
        let mut form = Form::default();
        let mut basic = None;
        match &self.grant {
            Grant::ClientSecret { id, secret } => {
                form.add("grant_type", "client_credentials");
                basic = Some(self.basic(id, &secret.read().await?)?);
            }
            Grant::JwtBearer(assertion) => {
                form.add("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
                form.add("assertion", assertion.token(now).await?.text()?);
            }
            Grant::ClientAssertion { id, assertion } => {
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                form.add("client_assertion_type", kind);
                form.add("client_assertion", assertion.token(now).await?.text()?);
                form.add("grant_type", "client_credentials");
                if let Some(id) = id {
                    form.add("client_id", id);
                }
            }
        }
        if let Some(scope) = &self.scope {
            form.add("scope", scope);
        }
        let kind = "application/x-www-form-urlencoded";
        let request = HttpRequest::post(self.endpoint.clone(), kind, form.finish())
            .header("accept", "application/json")
            .header("cache-control", "no-cache");
        Ok(match basic {
            Some(basic) => request.header("authorization", basic),
            None => request,
        })
    }

    /// Returns the value of the header `Authorization`.
    fn basic(&self, id: &str, secret: &Secret) -> Result<Secret> {
        let part = |text: &str| {
            Zeroizing::new(if self.encodes_secret {
                encoded(text)
            } else {
                text.to_owned()
            })
        };
        let pair = Zeroizing::new(format!("{}:{}", *part(id), *part(secret.text()?)));
        let text = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
        Ok(Secret::from(format!("Basic {}", *text)))
    }

    fn read(&self, answer: &HttpAnswer, asked: Timestamp) -> Result<BearerToken> {
        let endpoint = &self.endpoint;
        if !answer.is_success() {
            let text = format!(
                "{endpoint} refused to give a token: status {}{}. Check client id, secret and scope",
                answer.status(),
                code(answer)
            );
            return Err(Error::new(ErrorKind::Security, text));
        }
        let unusable = |why: &str| {
            let text = format!("the answer of {endpoint} has no token that can be used: {why}");
            Error::new(ErrorKind::Security, text)
        };
        let answer = answer.json().map_err(|_| unusable("it is no JSON"))?;
        let field = |name: &str| answer.get(name);
        let bearer = field("token_type").and_then(Value::as_str);
        if bearer.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(unusable("it is no bearer token"));
        }
        let token = field("access_token")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if token.is_empty() {
            return Err(unusable("access_token is missing"));
        }
        let told = field("expires_in")
            .and_then(seconds)
            .map(|life| asked.plus(life));
        let own = TokenClaims::read(token)
            .ok()
            .and_then(|claims| claims.expires().ok());
        let expires = match (told, own) {
            (Some(told), Some(own)) => told.min(own),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => {
                return Err(unusable(
                    "neither expires_in nor a claim exp tells its life",
                ));
            }
        };
        Ok(BearerToken::new(token, expires).with_extensions(self.extensions.clone()))
    }
}

impl TokenProvider for OidcProvider {
    fn token(&self) -> BoxFuture<'_, Result<BearerToken>> {
        Box::pin(self.fetch())
    }
}

/// Returns the code of a refusal (RFC 6749), if it is one. The rest of a body is never shown.
fn code(answer: &HttpAnswer) -> String {
    let json = answer.json().unwrap_or_default();
    let code = json
        .get("error")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let plain = code
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if plain && (1..40).contains(&code.len()) {
        format!(" ({code})")
    } else {
        String::new()
    }
}

/// Reads a number of seconds, which some providers write as text.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    Some(Duration::from_secs(seconds.min(LONGEST_LIFE)))
}

/// A form that is built pair by pair. Its text is wiped when it is dropped.
#[derive(Default)]
struct Form(Zeroizing<String>);

impl Form {
    fn add(&mut self, name: &str, value: &str) {
        let pair = Zeroizing::new(format!("{name}={}", encoded(value)));
        let separator = if self.0.is_empty() { "" } else { "&" };
        self.0 = Zeroizing::new(format!("{}{separator}{}", *self.0, *pair));
    }

    fn finish(self) -> Secret {
        Secret::from(self.0.as_str())
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, FORM).to_string()
}

/// The bytes that are encoded in a form.
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The attempts after the first one.
const RETRIES: u32 = 4;
/// The longest life that is believed, in seconds. It is ten years.
const LONGEST_LIFE: u64 = 315_360_000;
