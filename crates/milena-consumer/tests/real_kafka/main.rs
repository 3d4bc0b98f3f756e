//! Consumers of a real Kafka. `MILENA_TEST_BOOTSTRAP` names it, and `scripts/test-real-kafka`
//! starts one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

#[path = "../bed/mod.rs"]
mod bed;
mod churn;
mod groups;
mod reading;
