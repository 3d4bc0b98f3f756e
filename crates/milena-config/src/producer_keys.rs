//! The settings of producers.

use std::time::Duration;

use milena_core::{Acks, Backoff, Compression, PartitionerName};

use crate::setting::settings;
use crate::value::{BACKOFF, BOOL, COUNT, DURATION, Form, SIZE, SMALL_COUNT};

settings! {
    /// The settings of producers, as far as they were given. `None` leaves the default.
    ProducerDraft of Producer {
        acks: Acks = "acks", ACKS, "all", "the replicas that must have a batch before it counts as delivered; less than all turns idempotence off";
        enable_idempotence: bool = "enable.idempotence", BOOL, "", "whether brokers recognize a repeated batch, so that none is written twice; on with acks all";
        linger: Duration = "linger.ms", DURATION, "0ms", "the time that a batch waits for more records; 0ms adapts to the load";
        batch_size: usize = "batch.size", SIZE, "512KiB", "the most bytes of a batch before compression";
        batch_records: u32 = "", SMALL_COUNT, "", "the most records of a batch";
        max_request_size: usize = "max.request.size", SIZE, "8MiB", "the most bytes of a request, and of a record";
        buffer_memory: usize = "buffer.memory", SIZE, "64MiB", "the most bytes of records without an outcome; callers wait when it is reached";
        compression: Compression = "compression.type", COMPRESSION, "none", "the compression of batches";
        delivery_timeout: Duration = "delivery.timeout.ms", DURATION, "120s", "the time from the opening of a record's batch to the outcome, retries included";
        missing_topic_timeout: Duration = "", DURATION, "15s", "the time that a topic may be missing before its records fail";
        request_timeout: Duration = "request.timeout.ms", DURATION, "30s", "the longest wait for an answer";
        max_block: Duration = "max.block.ms", DURATION, "60s", "the longest wait of enqueueing for memory and metadata";
        max_in_flight: usize = "max.in.flight.requests.per.connection", COUNT, "5", "the most unanswered requests of a connection; a broker may have several connections";
        retries: u32 = "retries", SMALL_COUNT, "4294967295", "the most retries of a batch; the delivery timeout ends them anyway";
        backoff: Backoff = "retry.backoff.ms", BACKOFF, "100ms..1s", "the shortest and the longest wait before a batch is sent again";
        partitioner: PartitionerName = "partitioner.class", PARTITIONER, "java", "the partitioner, which chooses partitions for records";
        adaptive_partitioning: bool = "partitioner.adaptive.partitioning.enable", BOOL, "true", "whether records without key and partition prefer partitions with less waiting data";
        partitioner_availability_timeout: Duration = "partitioner.availability.timeout.ms", DURATION, "", "the time without a send after which records without key and partition avoid a partition";
    }
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
    use crate::value::Raw;

    #[test]
    fn an_unknown_partitioner_is_told_all_known_ones() {
        let why = (PARTITIONER.why)(&Raw::Text("murmur3".to_owned())).unwrap();
        for name in PartitionerName::NAMES {
            assert!(why.contains(name), "{why}");
        }
    }
}
