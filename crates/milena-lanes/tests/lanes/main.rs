//! Behaviour of lanes over records in memory, in a paused clock.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod bed;
mod endings;
mod order;
mod pauses;
mod verdicts;
