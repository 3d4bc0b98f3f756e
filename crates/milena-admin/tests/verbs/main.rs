//! Tests of the admin verbs, on the embedded broker or on the Kafka that `MILENA_TEST_BOOTSTRAP`
//! names.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first thing that goes wrong"
)]

mod cluster;
mod configs;
mod groups;
mod lag;
mod manager;
mod offsets;
mod partitions;
mod topics;
mod world;
