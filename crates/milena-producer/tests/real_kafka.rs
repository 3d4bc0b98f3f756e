//! The producer against the real cluster that `MILENA_TEST_BOOTSTRAP` names.
//! `scripts/test-real-kafka` starts one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use milena_core::{ErrorCode, ErrorKind, Persistence, ProducerRecord};
use milena_pool::{Cluster, Target};
use milena_producer::{Acks, Compression, Producer};
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use milena_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use milena_protocol::messages::delete_topics_request::DeleteTopicState;
use milena_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
};

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

#[tokio::test]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn of_a_batch_only_the_records_that_the_broker_rejects_fail() {
    for compression in [Compression::None, Compression::LZ4] {
        let (cluster, topic) = cluster("rejects", 1).await;
        // A new name. A broker that still deletes a topic of the same name may answer first with an
        // error that leaves the batch in doubt, and then none of its records is sent again.
        let topic = format!("{topic}-compacted");
        create(&cluster, &topic, 1, &[("cleanup.policy", "compact")]).await;
        let builder = Producer::builder(cluster.clone()).compression(compression);
        let producer = builder.build().unwrap();
        let keyless = [1, 4, 5, 299];
        let records = (0..300).map(|number| {
            let record = ProducerRecord::new(topic.clone()).value(format!("{number:0100}"));
            match keyless.contains(&number) {
                true => record,
                false => record.key(number.to_string()),
            }
        });
        let results = producer.send_all(records.collect::<Vec<_>>()).await;
        let mut written = 0;
        for (number, result) in results.into_iter().enumerate() {
            if !keyless.contains(&number) {
                assert!(result.is_ok(), "{number}: {result:?}");
                written += 1;
                continue;
            }
            let error = result.unwrap_err();
            assert_eq!(error.code(), Some(ErrorCode::INVALID_RECORD), "{error}");
            assert_eq!(error.persistence(), Some(Persistence::NotWritten));
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.contains("message without key"), "{cause}");
        }
        let next = ProducerRecord::new(topic.clone()).key("k").value("next");
        let next = producer.send(next).await.unwrap();
        assert_eq!(next.offset.unwrap().to_wire(), written);
    }
}

#[tokio::test]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn a_topic_deleted_and_made_again_while_producing_is_written_to_in_order() {
    let (cluster, topic) = cluster("again", 1).await;
    let producer = Producer::builder(cluster.clone()).build().unwrap();
    let handle = producer.topic(topic.clone());
    for round in 0..3 {
        let mut sent = Vec::new();
        for number in 0..200u32 {
            if number == 50 {
                delete(&cluster, &topic).await;
            }
            if number == 100 {
                create(&cluster, &topic, 1, &[]).await;
            }
            let value = number.to_string();
            sent.push(handle.enqueue(None, Some(value.as_bytes())).await.unwrap());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let mut offsets = Vec::new();
        for delivery in sent {
            let ended = tokio::time::timeout(Duration::from_secs(60), delivery).await;
            let metadata = ended.expect("it does not hang").unwrap();
            offsets.push(metadata.offset.unwrap().to_wire());
        }
        // The offsets of the old topic come first, then those of the new one from zero. Each part
        // is in order and has none twice.
        let cut = offsets.iter().rposition(|offset| *offset == 0).unwrap();
        let (old, new) = offsets.split_at(cut);
        assert!(cut > 0 && old.is_sorted(), "round {round}: {old:?}");
        let expected: Vec<i64> = (0..new.len() as i64).collect();
        assert_eq!(new, expected, "round {round}");
    }
}

#[tokio::test]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn a_batch_over_the_topic_s_limit_goes_in_parts_and_keeps_its_order() {
    let (cluster, topic) = cluster("parts", 1).await;
    delete(&cluster, &topic).await;
    create(&cluster, &topic, 1, &[("max.message.bytes", "2000")]).await;
    for compression in [Compression::None, Compression::LZ4] {
        let builder = Producer::builder(cluster.clone()).compression(compression);
        let producer = builder.build().unwrap();
        let records: Vec<_> = (0..2000u32)
            .map(|number| {
                let noise: String = (0..40).map(|_| fastrand::alphanumeric()).collect();
                ProducerRecord::new(topic.clone()).value(format!("{number}{noise}"))
            })
            .collect();
        let results = producer.send_all(records).await;
        let offsets = results
            .into_iter()
            .map(|sent| sent.unwrap().offset.unwrap().to_wire());
        let offsets: Vec<_> = offsets.collect();
        let first = offsets[0];
        assert_eq!(
            offsets,
            (first..first + 2000).collect::<Vec<_>>(),
            "{compression:?}"
        );
    }
}

#[tokio::test]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn a_compacted_topic_says_which_record_lacks_its_key() {
    let (cluster, topic) = cluster("compacted", 1).await;
    delete(&cluster, &topic).await;
    create(&cluster, &topic, 1, &[("cleanup.policy", "compact")]).await;
    let producer = Producer::builder(cluster).build().unwrap();
    let record = || ProducerRecord::new(topic.clone()).value("v");
    producer.send(record().key("warm")).await.unwrap();
    let results = producer
        .send_all([record().key("a"), record(), record().key("c")])
        .await;
    let [first, refused, last] = <[_; 3]>::try_from(results).unwrap();
    let error = refused.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_RECORD));
    assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.starts_with("Compacted topic"), "{cause}");
    assert!(cause.contains("without key"), "{cause}");
    // The other records of its batch were not written with it, and were sent again without it.
    assert_eq!(first.unwrap().offset.unwrap().to_wire(), 1);
    assert_eq!(last.unwrap().offset.unwrap().to_wire(), 2);
    let next = producer.send(record().key("next")).await.unwrap();
    assert_eq!(next.offset.unwrap().to_wire(), 3);
}

#[tokio::test]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn partitions_that_were_added_are_found_when_they_are_named() {
    let (cluster, topic) = cluster("grown", 1).await;
    let producer = Producer::builder(cluster.clone()).build().unwrap();
    let record = |partition: u32| {
        ProducerRecord::new(topic.clone())
            .partition(partition)
            .value("v")
    };
    producer.send(record(0)).await.unwrap();
    let error = producer.send(record(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let grown = CreatePartitionsTopic::default()
        .with_name(StrBytes::from(topic.clone()).into())
        .with_count(3)
        .with_assignments(None);
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![grown])
        .with_timeout_ms(10_000);
    let answer = cluster.send(&Target::Controller, &request).await.unwrap();
    assert_eq!(answer.results[0].error_code, 0);
    // The brokers learn of the new partitions a little later than the controller.
    let mut sent = producer.send(record(2)).await;
    for _ in 0..100 {
        if sent.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        sent = producer.send(record(2)).await;
    }
    assert_eq!(sent.unwrap().offset.unwrap().to_wire(), 0);
}

async fn cluster(name: &str, partitions: i32) -> (Cluster, String) {
    let bootstrap = std::env::var("MILENA_TEST_BOOTSTRAP").unwrap();
    let cluster = Cluster::builder([bootstrap]).connect().await.unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let topic = format!("produce-{name}-{}", now.as_nanos());
    create(&cluster, &topic, partitions, &[]).await;
    (cluster, topic)
}

/// Creates a topic. Tries again while the brokers still delete one of that name.
async fn create(cluster: &Cluster, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
    let text = |text: &str| StrBytes::from(text.to_owned());
    let configs = configs.iter().map(|(key, value)| {
        CreatableTopicConfig::default()
            .with_name(text(key))
            .with_value(Some(text(value)))
    });
    let creatable = CreatableTopic::default()
        .with_name(text(topic).into())
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(configs.collect());
    let request = CreateTopicsRequest::default()
        .with_topics(vec![creatable])
        .with_timeout_ms(10_000);
    for _ in 0..100 {
        let answer = cluster.send(&Target::Controller, &request).await.unwrap();
        match ErrorCode::from_wire(answer.topics[0].error_code) {
            Some(ErrorCode::TOPIC_ALREADY_EXISTS) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            error => return assert_eq!(error, None),
        }
    }
    panic!("{topic} is still there");
}

async fn delete(cluster: &Cluster, topic: &str) {
    let state =
        DeleteTopicState::default().with_name(Some(StrBytes::from(topic.to_owned()).into()));
    let request = DeleteTopicsRequest::default()
        .with_topics(vec![state])
        .with_timeout_ms(10_000);
    cluster.send(&Target::Controller, &request).await.unwrap();
}
