//! `build` refuses settings that contradict each other, with the names and values of all of them.

use std::time::Duration;

use milena_core::ErrorKind;
use milena_producer::{Acks, Batching, Compression, ProducerBuilder, TopicSettings};

use crate::bed::{bed, record};

const SECOND: Duration = Duration::from_secs(1);

type Change = fn(ProducerBuilder) -> ProducerBuilder;

/// The settings, and the words that the refusal must contain.
fn impossible() -> Vec<(Change, &'static [&'static str])> {
    vec![
        (
            |b| b.acks(Acks::Leader).enable_idempotence(true),
            &["enable.idempotence", "true", "acks=1"],
        ),
        (
            |b| b.acks(Acks::None).enable_idempotence(true),
            &["enable.idempotence", "true", "acks=0"],
        ),
        (
            |b| b.max_in_flight(6),
            &[
                "max.in.flight.requests.per.connection",
                "6",
                "enable.idempotence=true",
            ],
        ),
        (
            |b| b.max_in_flight(0),
            &["max.in.flight.requests.per.connection", "0"],
        ),
        (
            |b| b.enable_idempotence(false).max_in_flight(0),
            &["max.in.flight.requests.per.connection", "0"],
        ),
        (
            |b| b.max_connections_per_broker(0),
            &["max.connections.per.broker", "0"],
        ),
        (
            |b| b.retries(0),
            &["retries", "0", "enable.idempotence=true"],
        ),
        (
            |b| b.delivery_timeout(5 * SECOND),
            &[
                "delivery.timeout.ms",
                "5s",
                "linger.ms",
                "0ns",
                "request.timeout.ms",
                "30s",
            ],
        ),
        (
            |b| b.delivery_timeout(35 * SECOND).linger(6 * SECOND),
            &[
                "delivery.timeout.ms",
                "35s",
                "linger.ms",
                "6s",
                "request.timeout.ms",
                "30s",
            ],
        ),
        (
            |b| b.request_timeout(Duration::ZERO),
            &["request.timeout.ms", "0"],
        ),
        (
            |b| b.batch_size(9 << 20),
            &["batch.size", "9437184", "max.request.size", "8388608"],
        ),
        (
            |b| b.batch_size(4096).buffer_memory(2048),
            &["batch.size", "4096", "buffer.memory", "2048"],
        ),
        (
            |b| {
                b.batching(Batching::new().bytes(4096))
                    .max_request_size(2048)
            },
            &["batch.size", "4096", "max.request.size", "2048"],
        ),
        (
            |b| b.max_request_size(100),
            &["max.request.size", "100", "1 KiB"],
        ),
        (
            |b| b.max_request_size(usize::MAX),
            &["max.request.size", "2 GiB"],
        ),
        (|b| b.buffer_memory(0), &["buffer.memory", "0", "1 KiB"]),
        (|b| b.batch_records(0), &["batch.records", "0"]),
        (
            |b| b.compression(Compression::Gzip(10)),
            &["compression.type", "gzip", "10", "9"],
        ),
        (
            |b| b.compression(Compression::Zstd(40)),
            &["compression.type", "zstd", "40", "22"],
        ),
        (
            |b| b.compression(Compression::Lz4(0)),
            &["compression.type", "lz4", "0", "17"],
        ),
        (
            |b| b.topic_settings("clicks", TopicSettings::new().batch_size(9 << 20)),
            &[
                "clicks",
                "batch.size",
                "9437184",
                "max.request.size",
                "8388608",
            ],
        ),
        (
            |b| b.topic_settings("clicks", TopicSettings::new().delivery_timeout(SECOND)),
            &[
                "clicks",
                "delivery.timeout.ms",
                "1s",
                "request.timeout.ms",
                "30s",
            ],
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn each_impossible_combination_is_refused_with_all_keys_and_values() {
    let bed = bed(1).await;
    for (change, names) in impossible() {
        let error = change(bed.builder()).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        let text = error.to_string();
        for name in names {
            assert!(text.contains(name), "{name} is not in: {text}");
        }
        assert!(!text.contains('\n'), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_odd_but_possible_is_taken_and_works() {
    let possible: [Change; 8] = [
        |b| b.acks(Acks::All).enable_idempotence(true).max_in_flight(1),
        |b| b.acks(Acks::Leader).max_in_flight(100),
        |b| b.enable_idempotence(false).retries(0),
        |b| b.batch_size(0),
        |b| b.batch_records(1).linger(10 * SECOND),
        |b| b.max_block(Duration::ZERO),
        // For ever.
        |b| b.delivery_timeout(Duration::MAX).max_block(Duration::MAX),
        |b| b.request_timeout(Duration::MAX),
    ];
    for change in possible {
        let bed = bed(1).await;
        bed.cluster.topic("orders").await.unwrap();
        let producer = change(bed.builder()).build().unwrap();
        // With a `max.block.ms` of zero nothing waits, neither for metadata nor for memory.
        let sent = producer.send(record("a")).await;
        sent.unwrap_or_else(|error| panic!("{producer:?}: {error}"));
        producer.close(Duration::MAX).await.unwrap();
        assert_eq!(bed.values(0), ["a"]);
    }
}

#[test]
fn outside_of_a_runtime_build_says_what_is_missing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bed = runtime.block_on(bed(1));
    let error = bed.builder().build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("tokio"), "{error}");
}
