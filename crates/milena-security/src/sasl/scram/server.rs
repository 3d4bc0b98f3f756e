//! The server's half of SCRAM.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use milena_core::Result;

use super::hash::{ScramHash, same, xor};
use super::message::{ClientFinal, ClientFirst, ServerFirst};
use super::nonce;
use crate::sasl::accounts::{Accounts, ScramAccount};
use crate::sasl::exchange::{AuthenticatedUser, Refusal, ServerStep};
use crate::sasl::mechanism::Mechanism;

/// The server's half of SCRAM. It compares the final nonce whole (CVE-2024-56128).
pub struct ScramServer {
    /// The hash of all keys.
    hash: ScramHash,
    /// The users and delegation tokens.
    accounts: Arc<dyn Accounts>,
    /// The server's part of the nonce, for test vectors. `None` draws one.
    nonce: Option<String>,
    /// The state of the exchange.
    state: ServerState,
}

enum ServerState {
    /// Nothing was received yet.
    First,
    /// The salt was sent, and the proof is awaited.
    Final(Box<Pending>),
    /// The peer was accepted or refused.
    Over,
}

/// An exchange that waits for the proof.
struct Pending {
    /// The account that the proof must fit.
    account: ScramAccount,
    /// The header of the first message, which the last one repeats.
    header: Vec<u8>,
    /// The nonce of both sides.
    nonce: String,
    /// The first messages of both sides, as they were sent, with a comma between.
    messages: String,
    /// True if a delegation token is used.
    by_token: bool,
}

impl ScramServer {
    /// Creates the half for one authentication.
    #[must_use]
    pub fn new(hash: ScramHash, accounts: Arc<dyn Accounts>) -> Self {
        Self {
            hash,
            accounts,
            nonce: None,
            state: ServerState::First,
        }
    }

    /// Sets the server's part of the nonce, for test vectors and simulations.
    #[must_use]
    pub fn nonce(mut self, nonce: impl Into<String>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }

    /// Takes the next message of the client.
    pub fn step(&mut self, message: &[u8]) -> ServerStep {
        let state = std::mem::replace(&mut self.state, ServerState::Over);
        let text = std::str::from_utf8(message).ok();
        let next = match (state, text) {
            (ServerState::First, Some(text)) => self.challenge(text),
            (ServerState::Final(pending), Some(text)) => self.check(&pending, text),
            (ServerState::Over, _) | (_, None) => None,
        };
        next.unwrap_or_else(|| {
            // Kafka's text, which names neither the user nor the reason.
            ServerStep::Refused(Refusal::new(format!(
                "Authentication failed during authentication due to invalid credentials with SASL mechanism {}",
                Mechanism::from(self.hash)
            )))
        })
    }

    /// Answers the first message with salt and iterations. `None` refuses.
    fn challenge(&mut self, text: &str) -> Option<ServerStep> {
        let (header, bare, first) = ClientFirst::read(text)?;
        let account = self
            .accounts
            .scram(&first.user, self.hash, first.by_token)?;
        if account.credential.hash() != self.hash {
            return None;
        }
        let own: Result<String> = self.nonce.clone().map_or_else(nonce::draw, Ok);
        let answer = ServerFirst {
            nonce: format!("{}{}", first.nonce, own.ok()?),
            salt: account.credential.salt().to_vec(),
            iterations: account.credential.iterations(),
        };
        let answer_text = answer.text();
        self.state = ServerState::Final(Box::new(Pending {
            account,
            header: header.as_bytes().to_vec(),
            nonce: answer.nonce,
            messages: format!("{bare},{answer_text}"),
            by_token: first.by_token,
        }));
        Some(ServerStep::Challenge(answer_text.into_bytes()))
    }

    /// Checks the proof. `None` refuses.
    fn check(&self, pending: &Pending, text: &str) -> Option<ServerStep> {
        let last = ClientFinal::read(text)?;
        let credential = &pending.account.credential;
        if last.binding != pending.header
            || !same(last.nonce.as_bytes(), pending.nonce.as_bytes())
            || last.proof.len() != self.hash.key_len()
        {
            return None;
        }
        let auth = format!("{},{}", pending.messages, last.without_proof);
        let signature = self.hash.hmac(credential.stored_key(), auth.as_bytes());
        let client_key = xor(&last.proof, &signature);
        if !same(&self.hash.digest(&client_key), credential.stored_key()) {
            return None;
        }
        let signed = self.hash.hmac(credential.server_key(), auth.as_bytes());
        let mut user = AuthenticatedUser::new(pending.account.principal.clone());
        user.expires = pending.account.expires;
        user.by_token = pending.by_token;
        Some(ServerStep::Accepted {
            answer: format!("v={}", STANDARD.encode(&*signed)).into_bytes(),
            user,
        })
    }
}
