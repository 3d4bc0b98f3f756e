//! The client's half of SCRAM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use milena_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use super::cache::SaltedCache;
use super::credential::{CLIENT_KEY, SERVER_KEY, ScramCredential};
use super::hash::{ScramHash, ScramKey, same, xor};
use super::message::{ClientFinal, ClientFirst, GS2_HEADER, ServerFirst, read_server_final};
use super::nonce;
use crate::sasl::exchange::{ClientExchange, Step, broken, shown};
use crate::sasl::login::UserPassword;
use crate::secret::{CredentialId, Secret};

/// The client's half of SCRAM.
///
/// It checks that the broker's nonce extends its own, that the iteration count is within
/// [`ScramCredential::ITERATIONS`], and that the broker knows the password too. User name and
/// password go out as they are, since Kafka does not normalise them (no SASLprep).
pub struct ScramClient {
    /// The hash of all keys.
    hash: ScramHash,
    /// The first message. It holds user name and nonce.
    first: ClientFirst,
    /// The password, and the identity of user and password together.
    password: Secret,
    credential: CredentialId,
    /// Salted passwords of earlier exchanges.
    cache: SaltedCache,
    /// The state of the exchange.
    state: ClientState,
}

enum ClientState {
    /// Nothing was received yet.
    First,
    /// The proof was sent. The broker's signature must be this one.
    Final { signature: ScramKey },
    /// The broker proved itself, or the exchange failed. Nothing more may come.
    Over,
}

impl ScramClient {
    /// Creates the half for one authentication of `login`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an empty user name, and [`ErrorKind::Security`] if the system
    /// gives no random bytes.
    pub fn new(hash: ScramHash, login: &UserPassword) -> Result<Self> {
        Self::with_nonce(hash, login, nonce::draw()?)
    }

    /// Creates the half for one authentication with a delegation token (KIP-48). The user is the
    /// token's id, and the password the base64 text of its HMAC.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn by_token(hash: ScramHash, token: &UserPassword) -> Result<Self> {
        let mut client = Self::new(hash, token)?;
        client.first.by_token = true;
        Ok(client)
    }

    /// Creates the half with a given nonce, for test vectors and simulations.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an empty user name, or a nonce with other characters than
    /// printable ASCII without a comma.
    pub fn with_nonce(hash: ScramHash, login: &UserPassword, nonce: String) -> Result<Self> {
        if login.user.is_empty() || !nonce::is_nonce(&nonce) {
            let text = "SCRAM needs a user name and a printable nonce";
            return Err(Error::new(ErrorKind::Config, text).setting("sasl.username"));
        }
        Ok(Self {
            hash,
            first: ClientFirst {
                user: login.user.clone(),
                nonce,
                by_token: false,
            },
            password: login.password.clone(),
            credential: login.id(),
            cache: SaltedCache::default(),
            state: ClientState::First,
        })
    }

    /// Shares salted passwords with other exchanges.
    pub(crate) fn cache(mut self, cache: SaltedCache) -> Self {
        self.cache = cache;
        self
    }

    /// Answers the first message of the broker with the proof.
    fn prove(&mut self, text: &str) -> Result<Secret> {
        let server = ServerFirst::read(text).map_err(|why| {
            broken(format!(
                "the broker's first SCRAM message cannot be used: {}",
                shown(&why)
            ))
        })?;
        // A nonce that is not ours, or that adds nothing to it, lets somebody replay an old
        // exchange (librdkafka before 2.6.1 checked neither).
        if !server.nonce.starts_with(&self.first.nonce) || server.nonce == self.first.nonce {
            return Err(broken(
                "the broker's SCRAM nonce does not extend the one of this client: somebody may \
                 replay an old exchange",
            ));
        }
        if !ScramCredential::ITERATIONS.contains(&server.iterations) {
            let range = ScramCredential::ITERATIONS;
            return Err(broken(format!(
                "the broker asks for {} SCRAM iterations, and milena accepts {} to {}: create the \
                 user again with a count in this range",
                server.iterations,
                range.start(),
                range.end()
            )));
        }
        let hash = self.hash;
        let password = self.password.expose();
        let salted = self
            .cache
            .salted(hash, password, &server.salt, server.iterations);
        let client_key = hash.hmac(&salted, CLIENT_KEY);
        let stored_key = hash.digest(&client_key);
        let without_proof = ClientFinal::without_proof(&server.nonce);
        let auth = format!("{},{text},{without_proof}", self.first.bare());
        let proof = xor(&client_key, &hash.hmac(&stored_key, auth.as_bytes()));
        let server_key = hash.hmac(&salted, SERVER_KEY);
        self.state = ClientState::Final {
            signature: hash.hmac(&server_key, auth.as_bytes()),
        };
        let proof = Zeroizing::new(STANDARD.encode(&*proof));
        Ok(Secret::from(format!("{without_proof},p={}", &*proof)))
    }
}

impl ClientExchange for ScramClient {
    fn start(&mut self) -> Secret {
        Secret::from(format!("{GS2_HEADER}{}", self.first.bare()))
    }

    fn step(&mut self, answer: &[u8]) -> Result<Step> {
        let state = std::mem::replace(&mut self.state, ClientState::Over);
        let text = std::str::from_utf8(answer)
            .map_err(|_| broken("the broker's SCRAM message is not text"))?;
        match state {
            ClientState::First => self.prove(text).map(Step::Send),
            ClientState::Final { signature } => {
                let found = read_server_final(text).map_err(|why| {
                    broken(format!(
                        "the broker's last SCRAM message is refused: {}",
                        shown(&why)
                    ))
                })?;
                if same(&found, &signature) {
                    Ok(Step::Done)
                } else {
                    Err(broken(
                        "the broker does not know the password: its SCRAM signature is wrong. \
                         Check that the address leads to your cluster",
                    ))
                }
            }
            ClientState::Over => Err(broken("the broker sent a SCRAM message after the last one")),
        }
    }

    fn is_slow(&self, answer: &[u8]) -> bool {
        let ClientState::First = self.state else {
            return false;
        };
        let server = std::str::from_utf8(answer)
            .ok()
            .and_then(|text| ServerFirst::read(text).ok());
        server.is_some_and(|server| {
            server.iterations > QUICK_ITERATIONS
                && !self
                    .cache
                    .holds(self.password.expose(), &server.salt, server.iterations)
        })
    }

    fn credential(&self) -> CredentialId {
        self.credential
    }
}

/// The iterations that may run on the task of a connection. They are the most that Kafka creates.
const QUICK_ITERATIONS: u32 = 16_384;
