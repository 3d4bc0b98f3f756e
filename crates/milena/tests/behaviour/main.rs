//! The behavior that a user sees, on the embedded broker or on the Kafka that
//! `MILENA_TEST_BOOTSTRAP` names.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first thing that goes wrong"
)]

mod admin;
mod bad_input;
mod cluster;
mod console;
mod consume;
mod groups;
mod handlers;
mod kill;
mod offsets;
mod processing;
mod produce;
mod typed;
mod volume;
