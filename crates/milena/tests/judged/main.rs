//! Health and metrics of whole clients. They report each state of a consumer correctly, and
//! failures within seconds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first thing that goes wrong"
)]

mod bed;
mod health;
mod lives;
mod metrics;
mod troubles;
mod waits;
