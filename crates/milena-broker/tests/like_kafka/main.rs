//! The error codes of a real broker, request by request. The embedded broker answers with the same
//! codes.
//!
//! The same requests go to the single real broker that `MILENA_TEST_BOOTSTRAP` names.
//! `scripts/test-real-kafka` starts one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../bed/mod.rs"]
mod bed;
mod groups;
mod records;
mod refusals;
mod settings;
mod topics;
