//! Kafka's bytes and messages, which are record batches, compression, frames, versions and guards.
//!
//! This crate turns bytes into messages and back, and does nothing else. It has no sockets, no
//! runtime, and no state of a connection. Record batches, Produce requests, Fetch responses and
//! ApiVersions are written and read by hand. All other messages are `kafka-protocol`'s types,
//! re-exported as [`messages`], and pass through [`guard`] before they are decoded.
//!
//! No bytes from a peer make this crate panic, or reserve more memory than the bytes justify.

pub mod api;
pub mod api_versions;
pub mod batch;
pub mod compression;
pub mod fetch;
pub mod frame;
pub mod guard;
pub mod hints;
#[cfg(feature = "client")]
mod long_text;
pub mod produce;
mod reader;
pub mod request;
pub mod response;
pub mod versions;
mod writer;

#[cfg(feature = "broker")]
pub mod any;

pub use api::{ApiKey, Request};
#[doc(hidden)]
pub use kafka_protocol as kafka;
#[doc(hidden)]
pub use kafka_protocol::messages;
pub use versions::{BrokerVersions, VersionRange};
