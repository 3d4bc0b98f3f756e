//! Secrets, TLS configuration, SASL mechanisms, token providers and request signing.
//!
//! - [`Secret`] holds a password, a token or a key, and [`SecretSource`] is the place it is read
//!   from.
//! - [`sasl`] has the mechanisms, with the client's and the server's half of each.
//! - [`token`] has the providers of bearer tokens.
//! - [`aws`] has AWS credentials and the signature of requests.
//!
//! Nothing here knows a Kafka message.

pub mod aws;
mod digest;
pub mod sasl;
mod secret;
pub mod token;

pub use secret::{CredentialId, Secret, SecretReader, SecretSource};
