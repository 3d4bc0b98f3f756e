//! The command, run as a user runs it, on an embedded broker or on the Kafka that
//! `MILENA_TEST_BOOTSTRAP` names.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first thing that goes wrong"
)]

mod bad_input;
mod codes;
mod config;
mod console;
mod dlq;
mod documents;
mod forms;
mod groups;
mod kcat;
mod lag;
mod member;
mod records;
mod sarama;
mod signals;
mod speed;
mod topics;
mod transactions;
mod world;
