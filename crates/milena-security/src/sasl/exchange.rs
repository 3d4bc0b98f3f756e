//! The steps of one authentication, as a client and as a broker take them.

use std::fmt;

use milena_core::{Error, ErrorKind, Result, Timestamp};

use crate::secret::{CredentialId, Secret};

/// The client's half of one authentication: a state machine without any IO.
///
/// The caller sends what [`start`](Self::start) returns by SaslAuthenticate, gives each answer's
/// bytes to [`step`](Self::step), and stops at [`Step::Done`]. An answer with an error code never
/// reaches the exchange. The code and its message are the result then.
pub trait ClientExchange: Send {
    /// Returns the first message.
    fn start(&mut self) -> Secret;

    /// Takes the bytes of the broker's answer, and returns the next step. Never panics.
    ///
    /// # Errors
    /// [`ErrorKind::Security`] if the broker refuses the credential, does not prove that it knows
    /// it, or breaks the protocol. The connection cannot be used then.
    fn step(&mut self, answer: &[u8]) -> Result<Step>;

    /// Returns true if [`step`](Self::step) would compute for milliseconds with this answer. Call
    /// it on a thread for blocking work then.
    fn is_slow(&self, answer: &[u8]) -> bool {
        let _ = answer;
        false
    }

    /// Returns the identity of the credential that this exchange uses. After a refusal, another
    /// identity from the next exchange means that a retry makes sense at once.
    fn credential(&self) -> CredentialId;

    /// Returns the time at which the credential expires, as far as this side knows.
    fn expires(&self) -> Option<Timestamp> {
        None
    }
}

/// The next step of a client.
pub enum Step {
    /// Send these bytes and give the answer to the exchange.
    Send(Secret),
    /// The broker accepted the credential.
    Done,
}

/// Writes the kind of step and never the bytes.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Send(_) => "Send(***)",
            Self::Done => "Done",
        })
    }
}

/// The next step of a broker.
pub enum ServerStep {
    /// Answer with these bytes and error code 0, and wait for the next message.
    Challenge(Vec<u8>),
    /// Answer with these bytes and error code 0. The peer is authenticated.
    Accepted {
        /// The bytes of the last answer. Empty for most mechanisms.
        answer: Vec<u8>,
        /// The peer.
        user: AuthenticatedUser,
    },
    /// Answer with error code 58 and this text, and close the connection.
    Refused(Refusal),
}

/// Writes the kind of step and never the bytes.
impl fmt::Debug for ServerStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Challenge(_) => f.write_str("Challenge(***)"),
            Self::Accepted { user, .. } => write!(f, "Accepted({user:?})"),
            Self::Refused(refusal) => write!(f, "Refused({refusal})"),
        }
    }
}

/// A peer that proved its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthenticatedUser {
    /// The name of the principal, without `User:`.
    pub principal: String,
    /// The time at which the credential expires. `None` if it does not. A broker limits the session
    /// lifetime by it (KIP-368).
    pub expires: Option<Timestamp>,
    /// True if a delegation token was used (KIP-48).
    pub by_token: bool,
}

impl AuthenticatedUser {
    /// Creates a user whose credential does not expire.
    pub fn new(principal: impl Into<String>) -> Self {
        Self {
            principal: principal.into(),
            expires: None,
            by_token: false,
        }
    }
}

/// The text with which a broker refuses an authentication. It never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(String);

impl Refusal {
    /// Creates a refusal with the text that the client sees.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Creates the error for a broker that breaks the protocol or refuses the credential.
pub(crate) fn broken(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Security, text)
}

/// Returns text from a peer with its control characters replaced, cut to a length for one line.
pub(crate) fn shown(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(MOST_SHOWN).collect()
}

/// The most characters of a peer's text that an error repeats.
const MOST_SHOWN: usize = 256;
