//! The HTTP client, and what asks by it: token providers.

#![cfg(all(feature = "http", any(feature = "ring", feature = "aws-lc-rs")))]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

mod aws;
#[path = "../bed/mod.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod bed;
mod client;
mod oidc;
#[path = "../bed/web.rs"]
mod web;
