//! Signed tokens that prove a client to a token endpoint.

use std::time::Duration;

use milena_core::{Error, ErrorKind, Result, Timestamp};
use serde_json::{Map, Value, json};

use crate::digest::hex;
use crate::secret::{Secret, SecretSource};
use crate::tls::TokenSigner;

/// A signed token that proves a client: read from a place, or made for each request.
#[derive(Clone, Debug)]
pub struct Assertion(Origin);

#[derive(Clone, Debug)]
enum Origin {
    Read(SecretSource),
    Made(Box<Made>),
}

/// The claims and the key of an assertion.
#[derive(Clone, Debug)]
struct Made {
    /// The key.
    signer: TokenSigner,
    /// The claims that stay the same.
    claims: Map<String, Value>,
    /// The name of the key in the header. `None` leaves it out.
    key_id: Option<String>,
    /// The file with more claims and more of the header. `None` if there is none.
    template: Option<SecretSource>,
    /// The time for which an assertion is valid.
    life: Duration,
    /// The time before now from which on it is valid, since clocks differ.
    back: Duration,
    /// True if each assertion has an id of its own.
    with_id: bool,
}

impl Assertion {
    /// Reads the token from `source` for each request (`sasl.oauthbearer.assertion.file`).
    #[must_use]
    pub fn read_from(source: SecretSource) -> Self {
        Self(Origin::Read(source))
    }

    /// Makes and signs a token for each request, with `audience`, `issuer` and `subject` as claims.
    /// It is valid for 300 s, from 60 s before now on.
    #[must_use]
    pub fn signed(signer: TokenSigner, audience: &str, issuer: &str, subject: &str) -> Self {
        let mut claims = Map::new();
        for (name, value) in [("aud", audience), ("iss", issuer), ("sub", subject)] {
            claims.insert(name.to_owned(), json!(value));
        }
        Self(Origin::Made(Box::new(Made {
            signer,
            claims,
            key_id: None,
            template: None,
            life: Duration::from_secs(300),
            back: Duration::from_secs(60),
            with_id: false,
        })))
    }

    /// Sets a claim that is a text. Does nothing for a token that is read.
    #[must_use]
    pub fn claim(self, name: impl Into<String>, value: &str) -> Self {
        self.with(|made| {
            made.claims.insert(name.into(), json!(value));
        })
    }

    /// Takes more of the token from a JSON object with the fields `header` and `payload`
    /// (`sasl.oauthbearer.assertion.template.file`). It is read for each token. What is set by a
    /// method counts more. Does nothing for a token that is read.
    #[must_use]
    pub fn template(self, source: SecretSource) -> Self {
        self.with(|made| made.template = Some(source))
    }

    /// Sets the name of the key in the header. Does nothing for a token that is read.
    #[must_use]
    pub fn key_id(self, id: impl Into<String>) -> Self {
        self.with(|made| made.key_id = Some(id.into()))
    }

    /// Sets the time for which the token is valid (`sasl.oauthbearer.assertion.claim.exp.seconds`,
    /// default 300 s). Does nothing for a token that is read.
    #[must_use]
    pub fn life(self, life: Duration) -> Self {
        self.with(|made| made.life = life)
    }

    /// Sets the time before now from which on the token is valid
    /// (`sasl.oauthbearer.assertion.claim.nbf.seconds`, default 60 s). Does nothing for a token
    /// that is read.
    #[must_use]
    pub fn not_before(self, back: Duration) -> Self {
        self.with(|made| made.back = back)
    }

    /// Gives each token an id of its own (`sasl.oauthbearer.assertion.claim.jti.include`, default
    /// off). Does nothing for a token that is read.
    #[must_use]
    pub fn with_id(self) -> Self {
        self.with(|made| made.with_id = true)
    }

    fn with(mut self, change: impl FnOnce(&mut Made)) -> Self {
        if let Origin::Made(made) = &mut self.0 {
            change(made);
        }
        self
    }

    /// Returns the token for a request at `now`.
    pub(crate) async fn token(&self, now: Timestamp) -> Result<Secret> {
        match &self.0 {
            Origin::Read(source) => source.read().await,
            Origin::Made(made) => made.token(now).await,
        }
    }
}

impl Made {
    async fn token(&self, now: Timestamp) -> Result<Secret> {
        let seconds = |time: Timestamp| json!(time.to_millis().div_euclid(1_000));
        let (mut header, mut claims) = self.read_template().await?;
        claims.extend(self.claims.clone());
        if let Some(id) = &self.key_id {
            header.insert("kid".to_owned(), json!(id));
        }
        let back = i64::try_from(self.back.as_millis()).unwrap_or(i64::MAX);
        let begins = Timestamp::from_millis(now.to_millis().saturating_sub(back));
        claims.insert("iat".to_owned(), seconds(now));
        claims.insert("nbf".to_owned(), seconds(begins));
        claims.insert("exp".to_owned(), seconds(now.plus(self.life)));
        if self.with_id {
            let mut id = [0; 16];
            getrandom::fill(&mut id).map_err(|error| {
                let text = "the system gives no random bytes for the id of an assertion";
                Error::new(ErrorKind::Security, text).with_source(error)
            })?;
            claims.insert("jti".to_owned(), json!(hex(&id)));
        }
        self.signer.token(claims, header)
    }

    /// Returns header and claims of the template, both empty without one.
    async fn read_template(&self) -> Result<(Map<String, Value>, Map<String, Value>)> {
        let Some(source) = &self.template else {
            return Ok((Map::new(), Map::new()));
        };
        let text = source.read().await?;
        let fields: Option<Map<String, Value>> = serde_json::from_slice(text.expose()).ok();
        let mut fields = fields.ok_or_else(|| {
            let text = format!(
                "{source} is no template of an assertion: it needs a JSON object with header and payload"
            );
            Error::new(ErrorKind::Config, text)
        })?;
        let mut part = |name: &str| match fields.remove(name) {
            Some(Value::Object(part)) => part,
            _ => Map::new(),
        };
        Ok((part("header"), part("payload")))
    }
}
