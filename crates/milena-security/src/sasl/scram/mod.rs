//! SCRAM (RFC 5802, RFC 7677): a proof of the password that does not reveal it.

mod cache;
mod client;
mod credential;
mod hash;
mod message;
mod nonce;
mod server;

pub(crate) use cache::SaltedCache;
pub use client::ScramClient;
pub use credential::ScramCredential;
pub use hash::ScramHash;
pub use server::ScramServer;

#[cfg(test)]
mod tests;
