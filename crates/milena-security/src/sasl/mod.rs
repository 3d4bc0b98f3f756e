//! SASL mechanisms as pure state machines, with the client's and the server's half of each.
//!
//! A client holds a [`Sasl`], which begins one [`ClientExchange`] per authentication. A broker
//! makes one [`ServerExchange`] per authentication. Both take the bytes of SaslAuthenticate
//! messages and return the next ones.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> milena_core::Result<()> {
//! use std::sync::Arc;
//! use milena_security::sasl::{
//!     Accounts, AuthPeer, Login, Mechanism, Sasl, ServerExchange, ServerStep, Step,
//! };
//! use milena_security::Secret;
//!
//! struct Users;
//! impl Accounts for Users {
//!     fn password(&self, user: &str) -> Option<Secret> {
//!         (user == "alice").then(|| "alice-secret".into())
//!     }
//! }
//!
//! let sasl = Sasl::plain(Login::new("alice", "alice-secret"));
//! let mut client = sasl.begin(&AuthPeer::new("broker-1")).await?;
//! let mut server = ServerExchange::new(Mechanism::Plain, Arc::new(Users));
//!
//! let mut message = client.start();
//! let user = loop {
//!     match server.step(message.expose()) {
//!         ServerStep::Challenge(answer) => match client.step(&answer)? {
//!             Step::Send(next) => message = next,
//!             Step::Done => unreachable!("the server has not finished"),
//!         },
//!         ServerStep::Accepted { answer, user } => {
//!             assert!(matches!(client.step(&answer)?, Step::Done));
//!             break user;
//!         }
//!         ServerStep::Refused(refusal) => panic!("{refusal}"),
//!     }
//! };
//! assert_eq!(user.principal, "alice");
//! # Ok(())
//! # }
//! ```

mod accounts;
mod attributes;
mod client;
mod exchange;
mod extensions;
mod login;
mod mechanism;
mod msk_iam;
mod oauth;
mod plain;
mod scram;
mod server;

pub use accounts::{Accounts, AwsAccount, BearerAccount, BearerRefusal, ScramAccount};
pub use client::{AuthPeer, Sasl, SaslMechanism};
pub use exchange::{AuthenticatedUser, ClientExchange, Refusal, ServerStep, Step};
pub use extensions::SaslExtensions;
pub use login::{Login, LoginProvider, UserPassword};
pub use mechanism::Mechanism;
pub use scram::{ScramCredential, ScramHash};
pub use server::ServerExchange;

/// The client halves by their own types, for programs that start without a [`Sasl`].
pub mod halves {
    pub use super::msk_iam::{MskIamClient, MskIamServer};
    pub use super::oauth::{OAuthClient, OAuthServer};
    pub use super::plain::{PlainClient, PlainServer};
    pub use super::scram::{ScramClient, ScramServer};
}
