//! The settings of producers.

use std::sync::Arc;

use milena_core::{Acks, Backoff, Compression, PartitionerName};
use milena_producer::ProducerBuilder;
use milena_producer::partitioner::named;

use super::change::Change;
use super::key::Key;
use super::section::Section;
use super::value::{BOOL, COUNT, DURATION, Form, RANGE, SIZE, SMALL_COUNT};

macro_rules! keys {
    ($($name:literal, $kafka:literal, $form:expr, $default:literal, $about:literal: |$builder:ident, $value:ident| $set:expr;)*) => {
        /// The settings of producers.
        pub(super) const KEYS: &[Key] = &[$(Key {
            section: Section::Producer,
            name: $name,
            kafka: $kafka,
            allowed: $form.allowed,
            why: $form.why,
            default: $default,
            about: $about,
            read: |raw| {
                let $value = ($form.read)(raw)?;
                Some(Change::Producer(Arc::new(move |$builder: ProducerBuilder| $set)))
            },
        },)*];
    };
}

keys! {
    "acks", "acks", ACKS, "all", "the replicas that must have a batch before it counts as delivered; less than all turns idempotence off":
        |builder, value| builder.acks(value);
    "enable_idempotence", "enable.idempotence", BOOL, "", "whether brokers recognize a repeated batch, so that none is written twice; on with acks all":
        |builder, value| builder.enable_idempotence(value);
    "linger", "linger.ms", DURATION, "0ms", "the time that a batch waits for more records; 0ms adapts to the load":
        |builder, value| builder.linger(value);
    "batch_size", "batch.size", SIZE, "512KiB", "the most bytes of a batch before compression":
        |builder, value| builder.batch_size(value);
    "batch_records", "", SMALL_COUNT, "", "the most records of a batch":
        |builder, value| builder.batch_records(value);
    "max_request_size", "max.request.size", SIZE, "8MiB", "the most bytes of a request, and of a record":
        |builder, value| builder.max_request_size(value);
    "buffer_memory", "buffer.memory", SIZE, "64MiB", "the most bytes of records without an outcome; callers wait when it is reached":
        |builder, value| builder.buffer_memory(value);
    "compression", "compression.type", COMPRESSION, "none", "the compression of batches":
        |builder, value| builder.compression(value);
    "delivery_timeout", "delivery.timeout.ms", DURATION, "120s", "the time from the opening of a record's batch to the outcome, retries included":
        |builder, value| builder.delivery_timeout(value);
    "missing_topic_timeout", "", DURATION, "15s", "the time that a topic may be missing before its records fail":
        |builder, value| builder.missing_topic_timeout(value);
    "request_timeout", "request.timeout.ms", DURATION, "30s", "the longest wait for an answer":
        |builder, value| builder.request_timeout(value);
    "max_block", "max.block.ms", DURATION, "60s", "the longest wait of enqueueing for memory and metadata":
        |builder, value| builder.max_block(value);
    "max_in_flight", "max.in.flight.requests.per.connection", COUNT, "5", "the most unanswered requests of a connection; a broker may have several connections":
        |builder, value| builder.max_in_flight(value);
    "retries", "retries", SMALL_COUNT, "4294967295", "the most retries of a batch; the delivery timeout ends them anyway":
        |builder, value| builder.retries(value);
    "backoff", "retry.backoff.ms", RANGE, "100ms..1s", "the shortest and the longest wait before a batch is sent again":
        |builder, value| builder.backoff(Backoff::new(value.0, value.1));
    "partitioner", "partitioner.class", PARTITIONER, "java", "the partitioner, which chooses partitions for records":
        |builder, value| builder.partitioner(named(value));
    "adaptive_partitioning", "partitioner.adaptive.partitioning.enable", BOOL, "true", "whether records without key and partition prefer partitions with less waiting data":
        |builder, value| builder.adaptive_partitioning(value);
    "partitioner_availability_timeout", "partitioner.availability.timeout.ms", DURATION, "", "the time without a send after which records without key and partition avoid a partition":
        |builder, value| builder.partitioner_availability_timeout(value);
}

const ACKS: Form<Acks> = Form::of_word(Acks::ALLOWED);

// A codec that the build leaves out is accepted here. The producer then refuses it with the reason.
const COMPRESSION: Form<Compression> = Form::of_word(Compression::ALLOWED);

const PARTITIONER: Form<PartitionerName> = Form {
    why: |raw| {
        let read = raw.text()?.parse::<PartitionerName>();
        read.err().map(|error| error.message().to_owned())
    },
    ..Form::of_word(
        "java, a name of librdkafka's such as consistent_random, or another client's such as sarama-hash",
    )
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Raw;

    #[test]
    fn an_unknown_partitioner_is_told_all_known_ones() {
        let why = (PARTITIONER.why)(&Raw::Text("murmur3".to_owned())).unwrap();
        for name in PartitionerName::NAMES {
            assert!(why.contains(name), "{why}");
        }
    }
}
