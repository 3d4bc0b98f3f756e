//! Tests of the layers around handlers, with a paused clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

mod batch;
mod bed;
mod breaker;
mod dead_letters;
mod delayed;
mod emit;
mod ledger;
mod limits;
mod logged;
mod passing_over;
mod recovery;
mod retry;
mod router;
mod stack;
mod timeout;
mod whole;
