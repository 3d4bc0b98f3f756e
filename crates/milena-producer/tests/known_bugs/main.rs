//! Bugs that other Kafka clients had in producing, each as a test that would fail with it; the numbers stand for one list of them.
//!
//! Sent twice, lost or renumbered: `sequences.rs` (P4 to P12, P16 to P19). What a record's outcome says: `outcome.rs` (P1, P20, P22,
//! P27, P29, P30). Memory and fairness: `memory.rs` (P14, P15, P23, P24, P26, P28). Topics that come and go: `topics.rs` (P2, P21, P25).
//!
//! Not here:
//! - P3 (a sequence error within a transaction opens a new one): there are no transactions.
//! - P13 (a comparison of sequences that is wrong near the wrap): nothing compares sequences, a batch's place is a number of its own;
//!   that ranges follow each other around the whole ring is a property in `src/sequence.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

#[path = "../cluster/mod.rs"]
mod cluster;
mod memory;
mod outcome;
mod sequences;
mod stalling;
mod topics;
