//! A batch that fails takes nobody along; one that is too large goes in parts.

use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_core::{ErrorKind, Persistence, ProducerRecord};
use milena_producer::Compression;

use crate::cluster::{Ledger, bed, bed_with, numbers, record, record_at, stamp};

#[tokio::test(start_paused = true)]
async fn of_a_request_for_many_partitions_only_the_refused_one_fails() {
    let bed = bed(4).await;
    let producer = bed.producer();
    for partition in 0..4 {
        producer.send(record_at(partition, "warm")).await.unwrap();
    }
    let denied = Fault::error(ErrorCode::TOPIC_AUTHORIZATION_FAILED).on(ApiKey::Produce);
    bed.broker.faults().add(denied.partition(2));
    let mut ledger = Ledger::default();
    for number in 0..40u32 {
        ledger
            .enqueue(&producer, record_at(number % 4, number.to_string()))
            .await;
    }
    let counts = ledger.hold(&bed).await;
    assert_eq!((counts.delivered, counts.not_written), (30, 10));
    producer.send(record_at(2, "granted")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_refuses_everything_holds_no_other_topic_up() {
    let bed = bed_with(1, |broker| broker.topic("denied", 1)).await;
    let producer = bed.builder().buffer_memory(64 << 10).build().unwrap();
    let denied = Fault::error(ErrorCode::TOPIC_AUTHORIZATION_FAILED).on(ApiKey::Produce);
    let denied = bed.broker.faults().add(denied.topic("denied").always());
    let mut ledger = Ledger::default();
    let mut refused = Vec::new();
    for number in numbers(300) {
        let record = ProducerRecord::new("denied").value("x".repeat(1000));
        refused.push(producer.enqueue(record).await.unwrap());
        ledger.enqueue(&producer, record_at(0, number)).await;
    }
    assert_eq!(ledger.hold(&bed).await.delivered, 300);
    for delivery in refused {
        let error = delivery.await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
        assert!(error.to_string().contains("denied"), "{error}");
        assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    }
    denied.remove();
    producer
        .send(ProducerRecord::new("denied").value("granted"))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_record_that_the_broker_rejects_is_told_why_and_those_with_it_what_happened() {
    let bed = bed(1).await;
    let producer = bed.producer();
    bed.broker
        .inspect()
        .set_topic_config("orders", "cleanup.policy", "compact")
        .unwrap();
    producer.send(record("warm").key("k")).await.unwrap();
    let records = [record("a").key("a"), record("b"), record("c").key("c")];
    let results = producer.send_all(records).await;
    let text = |at: usize| {
        let error = results[at].as_ref().unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::INVALID_RECORD));
        assert_eq!(error.persistence(), Some(Persistence::NotWritten));
        let cause = std::error::Error::source(error).unwrap();
        cause.to_string()
    };
    assert!(text(1).starts_with("Compacted topic cannot accept message without key"));
    for other in [text(0), text(2)] {
        assert!(
            other.starts_with("One or more records have been rejected"),
            "{other}"
        );
    }
    producer.send(record("next").key("k")).await.unwrap();
    assert_eq!(bed.values(0), ["warm", "next"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_in_flight_lets_those_before_and_behind_it_be_written_in_order() {
    for nth in 1..=6 {
        let bed = bed(1).await;
        let producer = bed.producer();
        producer.send(record("warm")).await.unwrap();
        let faults = bed.broker.faults();
        faults.add(Fault::delay(Duration::from_millis(20)).on(ApiKey::Produce));
        faults.add(
            Fault::error(ErrorCode::INVALID_RECORD)
                .on(ApiKey::Produce)
                .nth(nth),
        );
        let mut ledger = Ledger::default();
        for number in numbers(30) {
            ledger.enqueue(&producer, record(&number)).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let counts = ledger.hold(&bed).await;
        assert!(counts.not_written >= 1 && counts.possibly_written == 0);
        assert_eq!(counts.delivered + counts.not_written, 30);
        faults.assert_all_fired();
    }
}

#[tokio::test(start_paused = true)]
async fn batches_that_are_too_large_are_cut_until_they_fit_whatever_is_in_flight() {
    for compression in [Compression::None, Compression::LZ4, Compression::GZIP] {
        for limit in ["300", "1000", "5000"] {
            let bed = bed(1).await;
            let producer = bed.builder().compression(compression).build().unwrap();
            producer.send(record("warm")).await.unwrap();
            bed.broker
                .inspect()
                .set_topic_config("orders", "max.message.bytes", limit)
                .unwrap();
            let faults = bed.broker.faults();
            faults.add(Fault::delay(Duration::from_millis(10)).on(ApiKey::Produce));
            faults.add(Fault::disconnect().on(ApiKey::Produce).nth(4));
            let mut ledger = Ledger::default();
            for number in 0..300usize {
                let noise: String = (0..number % 40).map(|_| fastrand::alphanumeric()).collect();
                ledger
                    .enqueue(&producer, record(&format!("{number} {noise}")))
                    .await;
                if number % 30 == 0 {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            assert_eq!(
                ledger.hold(&bed).await.delivered,
                300,
                "{compression:?}, {limit}"
            );
            let epochs = bed.sent(0).iter().map(|sent| stamp(sent).0).max();
            assert_eq!(epochs, Some(0), "the parts keep the range of the whole");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_record_that_is_too_large_for_the_broker_fails_alone_among_its_batch() {
    let bed = bed_with(1, |broker| broker.message_max_bytes(1000)).await;
    let producer = bed.producer();
    producer.send(record("warm")).await.unwrap();
    let large = "x".repeat(2000);
    let mut deliveries = Vec::new();
    for number in 0..21 {
        let value = if number == 10 {
            large.clone()
        } else {
            number.to_string()
        };
        deliveries.push(producer.enqueue(record(&value)).await.unwrap());
    }
    for (number, delivery) in deliveries.into_iter().enumerate() {
        match delivery.await {
            Ok(_) => assert_ne!(number, 10),
            Err(error) => {
                assert_eq!(number, 10, "{error}");
                assert_eq!(error.kind(), ErrorKind::RecordTooLarge);
                assert_eq!(error.persistence(), Some(Persistence::NotWritten));
                assert!(error.to_string().contains("max.message.bytes"), "{error}");
            }
        }
    }
    assert_eq!(bed.values(0).len(), 21);
}
