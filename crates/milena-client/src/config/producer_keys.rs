//! The settings of producers.

use std::sync::Arc;

use milena_core::{Backoff, ErrorKind};
use milena_producer::partitioner::{NAMES, by_name};
use milena_producer::{Acks, Compression, ProducerBuilder};

use super::change::Change;
use super::key::Key;
use super::section::Section;
use super::value::{BOOL, COUNT, DURATION, Form, RANGE, SIZE, SMALL_COUNT, unsaid};

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
        |builder, value| match by_name(value) {
            Some(partitioner) => builder.partitioner(partitioner),
            None => builder,
        };
    "adaptive_partitioning", "partitioner.adaptive.partitioning.enable", BOOL, "true", "whether records without key and partition prefer partitions with less waiting data":
        |builder, value| builder.adaptive_partitioning(value);
    "partitioner_availability_timeout", "partitioner.availability.timeout.ms", DURATION, "", "the time without a send after which records without key and partition avoid a partition":
        |builder, value| builder.partitioner_availability_timeout(value);
}

const ACKS: Form<Acks> = Form {
    allowed: "all, 1 or 0",
    why: unsaid,
    read: |raw| match raw.text()? {
        "all" | "-1" => Some(Acks::All),
        "1" => Some(Acks::Leader),
        "0" => Some(Acks::None),
        _ => None,
    },
};

const COMPRESSION: Form<Compression> = Form {
    allowed: "none, gzip, snappy, lz4 or zstd; with a level as zstd:3",
    why: unsaid,
    read: |raw| {
        let text = raw.text()?;
        let (codec, level) = match text.split_once(':') {
            None => (text, None),
            Some((codec, level)) => (codec, Some(level.parse::<i32>().ok()?)),
        };
        let unsigned = |level: Option<i32>| level.map(u32::try_from).transpose().ok();
        let compression = match (codec, level) {
            ("none", None) => Compression::None,
            ("snappy", None) => Compression::Snappy,
            ("gzip", level) => unsigned(level)?.map_or(Compression::GZIP, Compression::Gzip),
            ("lz4", level) => unsigned(level)?.map_or(Compression::LZ4, Compression::Lz4),
            ("zstd", level) => level.map_or(Compression::ZSTD, Compression::Zstd),
            _ => return None,
        };
        // A codec that the build leaves out is accepted here. The producer then refuses it with the
        // reason.
        let refused = compression
            .check()
            .is_err_and(|error| error.kind() == ErrorKind::Config);
        (!refused).then_some(compression)
    },
};

const PARTITIONER: Form<&'static str> = Form {
    allowed: "java, a name of librdkafka's such as consistent_random, or another client's such as sarama-hash",
    why: unsaid,
    read: |raw| {
        let given = raw.text()?;
        NAMES.into_iter().find(|name| *name == given)
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Raw;

    #[test]
    fn compression_is_read_with_its_level_and_bounds() {
        let read = |text: &str| (COMPRESSION.read)(&Raw::Text(text.to_owned()));
        assert_eq!(read("lz4"), Some(Compression::LZ4));
        assert_eq!(read("gzip:9"), Some(Compression::Gzip(9)));
        assert_eq!(read("zstd:-5"), Some(Compression::Zstd(-5)));
        for bad in [
            "gzip:10", "gzip:-1", "snappy:1", "brotli", "zstd:", "none:1",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
