//! The server's half of any mechanism.

use std::sync::Arc;

use milena_core::WallClock;

use super::accounts::Accounts;
use super::exchange::ServerStep;
use super::mechanism::Mechanism;
use super::msk_iam::MskIamServer;
use super::oauth::OAuthServer;
use super::plain::PlainServer;
use super::scram::{ScramHash, ScramServer};

/// The server's half of one authentication, of any mechanism: a state machine without any IO.
///
/// A broker makes one when SaslHandshake names a mechanism, and gives it the bytes of each
/// SaslAuthenticate.
pub struct ServerExchange {
    /// The mechanism.
    mechanism: Mechanism,
    /// The half of this mechanism.
    half: Half,
}

enum Half {
    Plain(PlainServer),
    Scram(ScramServer),
    OAuth(OAuthServer),
    MskIam(MskIamServer),
}

impl ServerExchange {
    /// Creates the half of `mechanism` for one authentication.
    #[must_use]
    pub fn new(mechanism: Mechanism, accounts: Arc<dyn Accounts>) -> Self {
        Self::at(mechanism, accounts, Vec::new(), WallClock::default())
    }

    /// Creates the half of `mechanism` with the advertised names of the broker and a clock, both of
    /// which only AWS_MSK_IAM reads. Without names it accepts each.
    #[must_use]
    pub fn at(
        mechanism: Mechanism,
        accounts: Arc<dyn Accounts>,
        hosts: Vec<String>,
        clock: WallClock,
    ) -> Self {
        let half = match mechanism {
            Mechanism::Plain => Half::Plain(PlainServer::new(accounts)),
            Mechanism::ScramSha256 => Half::Scram(ScramServer::new(ScramHash::Sha256, accounts)),
            Mechanism::ScramSha512 => Half::Scram(ScramServer::new(ScramHash::Sha512, accounts)),
            Mechanism::OAuthBearer => Half::OAuth(OAuthServer::new(accounts)),
            Mechanism::AwsMskIam => Half::MskIam(MskIamServer::new(accounts, hosts, clock)),
        };
        Self { mechanism, half }
    }

    /// Returns the mechanism.
    #[must_use]
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Takes the next message of the client. Never panics.
    pub fn step(&mut self, message: &[u8]) -> ServerStep {
        match &mut self.half {
            Half::Plain(half) => half.step(message),
            Half::Scram(half) => half.step(message),
            Half::OAuth(half) => half.step(message),
            Half::MskIam(half) => half.step(message),
        }
    }
}
