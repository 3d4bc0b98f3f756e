//! Secrets, TLS configuration, SASL mechanisms, token providers and request signing.
//!
//! - [`Secret`] holds a password, a token or a key, and [`SecretSource`] is the place it is read
//!   from.
//! - [`sasl`] has the mechanisms, with the client's and the server's half of each.
//! - [`token`] has the providers of bearer tokens.
//! - [`aws`] has AWS credentials and the signature of requests.
//! - `tls` has the configuration of TLS, for clients and brokers (feature `tls`).
//! - `http` has the one small HTTP client (feature `http`).
//!
//! Nothing here knows a Kafka message.

pub mod aws;
mod digest;
#[cfg(feature = "http")]
pub mod http;
pub mod sasl;
mod secret;
#[cfg(feature = "tls")]
pub mod tls;
pub mod token;

pub use secret::{CredentialId, Secret, SecretReader, SecretSource};
