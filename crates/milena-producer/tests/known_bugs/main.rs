//! Bugs that other Kafka clients had in producing, each as a test that would fail with the bug. The
//! numbers are those of one list of such bugs.
//!
//! - `sequences.rs`: records sent twice, lost or renumbered (P4 to P12, P16 to P19)
//! - `outcome.rs`: the outcome of a record (P1, P20, P22, P27, P29, P30)
//! - `memory.rs`: memory and fairness (P14, P15, P23, P24, P26, P28)
//! - `topics.rs`: topics that come and go (P2, P21, P25)
//!
//! Not here:
//! - P3 (a sequence error within a transaction opens a new one), since there are no transactions.
//! - P13 (a comparison of sequences that is wrong near the wrap), since no code compares sequences.
//!   The place of a batch is a number of its own. A property in `src/sequence.rs` checks that
//!   ranges follow each other around the whole ring.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

#[path = "../bed/mod.rs"]
mod bed;
mod memory;
mod outcome;
mod sequences;
mod stalling;
mod topics;
