//! The producer against a real cluster: the one that `MILENA_TEST_BOOTSTRAP` names; `scripts/test-real-kafka` starts one.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that goes wrong"
)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use milena_core::ErrorKind;
use milena_pool::{Cluster, Target};
use milena_producer::{Acks, Compression, Producer};
use milena_protocol::messages::CreateTopicsRequest;
use milena_protocol::messages::create_topics_request::CreatableTopic;

const RECORDS: usize = 1_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn a_million_records_have_a_million_offsets_of_their_own() {
    let (cluster, topic) = cluster("million", 4).await;
    let producer = Producer::builder(cluster).build().unwrap();
    let handle = producer.topic(topic);
    let start = std::time::Instant::now();
    let mut deliveries = Vec::with_capacity(RECORDS);
    for number in 0..RECORDS {
        let value = format!("{number:0100}");
        deliveries.push(handle.enqueue(None, Some(value.as_bytes())).await.unwrap());
    }
    let mut next = [0; 4];
    for delivery in deliveries {
        let metadata = delivery.await.unwrap();
        let offset = metadata.offset.unwrap().to_wire();
        let expected = &mut next[metadata.partition.index()];
        assert_eq!(offset, *expected, "partition {}", metadata.partition);
        *expected += 1;
    }
    assert_eq!(next.iter().sum::<i64>(), RECORDS as i64);
    println!(
        "{:.2} M records/s",
        RECORDS as f64 / start.elapsed().as_secs_f64() / 1e6
    );
    producer.close(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn every_codec_and_acknowledgement_is_taken() {
    let (cluster, topic) = cluster("codecs", 1).await;
    let value = "abc".repeat(10_000);
    let mut expected = 0;
    for acks in [Acks::All, Acks::Leader] {
        for compression in [
            Compression::None,
            Compression::GZIP,
            Compression::Snappy,
            Compression::LZ4,
            Compression::ZSTD,
        ] {
            let builder = Producer::builder(cluster.clone()).acks(acks);
            let producer = builder.compression(compression).build().unwrap();
            let handle = producer.topic(topic.clone());
            for _ in 0..20 {
                let sent = handle.send(None, Some(value.as_bytes())).await.unwrap();
                assert_eq!(sent.offset.unwrap().to_wire(), expected);
                expected += 1;
            }
            producer.close(Duration::from_secs(10)).await.unwrap();
        }
    }
}

#[tokio::test]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn a_record_over_the_broker_s_limit_is_refused_and_the_next_is_taken() {
    let (cluster, topic) = cluster("large", 1).await;
    let producer = Producer::builder(cluster).build().unwrap();
    let handle = producer.topic(topic);
    handle.send(None, Some(b"before")).await.unwrap();
    let large = vec![7; 3 << 20];
    let error = handle.send(None, Some(&large)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RecordTooLarge, "{error}");
    let after = handle.send(None, Some(b"after")).await.unwrap();
    assert_eq!(after.offset.unwrap().to_wire(), 1);
}

async fn cluster(name: &str, partitions: i32) -> (Cluster, String) {
    let bootstrap = std::env::var("MILENA_TEST_BOOTSTRAP").unwrap();
    let cluster = Cluster::builder([bootstrap]).connect().await.unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let topic = format!("produce-{name}-{}", now.as_nanos());
    let creatable = CreatableTopic::default()
        .with_name(milena_protocol::kafka::protocol::StrBytes::from(topic.clone()).into())
        .with_num_partitions(partitions)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![creatable])
        .with_timeout_ms(10_000);
    cluster.send(&Target::Controller, &request).await.unwrap();
    (cluster, topic)
}
