//! Bytes and messages, each way.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may"
)]

mod batch;
#[cfg(all(feature = "client", feature = "broker"))]
mod fetch;
#[cfg(all(feature = "client", feature = "broker"))]
mod fetch_check;
mod golden;
#[cfg(all(feature = "client", feature = "broker"))]
mod messages;
#[cfg(all(feature = "client", feature = "broker"))]
mod produce;
mod properties;
