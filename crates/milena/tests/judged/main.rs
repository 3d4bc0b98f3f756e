//! Health and metrics of whole clients: each state of a consumer is told as it is, and what fails is told within seconds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first thing that goes wrong"
)]

mod bed;
mod lives;
mod troubles;
mod waits;
