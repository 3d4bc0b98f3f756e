//! Kafka's bytes and messages: record batches, compression, frames, versions and guards.
