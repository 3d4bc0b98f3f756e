//! A batch that fails does not affect others. A batch that is too large goes in parts.

use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_core::{ErrorKind, Persistence, ProducerRecord};
use milena_producer::Compression;

use crate::bed::{Bed, Ledger, bed, bed_with, numbers, record, record_at, stamp};

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
async fn of_a_batch_only_the_records_that_the_broker_rejects_fail_and_are_told_why() {
    for compression in [Compression::None, Compression::LZ4] {
        let bed = bed(1).await;
        let producer = bed.builder().compression(compression).build().unwrap();
        bed.broker
            .inspect()
            .set_topic_config("orders", "cleanup.policy", "compact")
            .unwrap();
        producer.send(record("warm").key("k")).await.unwrap();
        let keyless = [1, 4, 5, 299];
        // With large values the rest is built on another thread.
        for size in [1, 500] {
            let value = |number: usize| format!("{number}{}", "x".repeat(size));
            let records = (0..300).map(|number| match keyless.contains(&number) {
                true => record(&value(number)),
                false => record(&value(number)).key("k"),
            });
            let before = bed.values(0).len();
            let results = producer.send_all(records.collect::<Vec<_>>()).await;
            let mut offset = before as u32;
            for (number, result) in results.into_iter().enumerate() {
                if !keyless.contains(&number) {
                    assert_eq!(result.unwrap().offset, Some(offset.into()), "{number}");
                    offset += 1;
                    continue;
                }
                let error = result.unwrap_err();
                assert_eq!(error.code(), Some(ErrorCode::INVALID_RECORD));
                assert_eq!(error.persistence(), Some(Persistence::NotWritten));
                let cause = std::error::Error::source(&error).unwrap().to_string();
                let words = "Compacted topic cannot accept message without key";
                assert!(cause.starts_with(words), "{cause}");
            }
            let kept = (0..300).filter(|number| !keyless.contains(number));
            assert_eq!(bed.values(0)[before..], kept.map(value).collect::<Vec<_>>());
        }
        producer.send(record("next").key("k")).await.unwrap();
        assert_eq!(Bed::held(&producer), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn without_retries_the_records_beside_a_rejected_one_are_told_as_not_written() {
    let bed = bed(1).await;
    let builder = bed.builder().enable_idempotence(false).retries(0);
    let producer = builder.build().unwrap();
    bed.broker
        .inspect()
        .set_topic_config("orders", "cleanup.policy", "compact")
        .unwrap();
    let records = [record("a").key("a"), record("b"), record("c").key("c")];
    for (at, result) in producer.send_all(records).await.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert_eq!(error.persistence(), Some(Persistence::NotWritten));
        let cause = std::error::Error::source(&error).unwrap().to_string();
        let own = cause.starts_with("Compacted topic cannot accept message without key");
        assert_eq!(own, at == 1, "{cause}");
    }
    assert!(bed.values(0).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_takes_less_than_a_batch_refuses_a_few_and_not_each() {
    for compression in [Compression::None, Compression::GZIP] {
        let bed = bed(1).await;
        let producer = bed.builder().compression(compression).build().unwrap();
        bed.broker
            .inspect()
            .set_topic_config("orders", "max.message.bytes", "40000")
            .unwrap();
        let mut noise = 7_u64;
        let mut sent = 0;
        for _ in 0..20 {
            let values = (0..2_000).map(|_| {
                let text = std::iter::repeat_with(|| {
                    noise = noise
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    char::from(b'!' + (noise >> 58) as u8)
                });
                record(&text.take(200).collect::<String>())
            });
            let records: Vec<_> = values.collect();
            sent += records.len();
            let sent = producer.enqueue_all(records).await;
            sent.all_delivered().await.unwrap();
        }
        let (tried, kept) = (bed.sent(0), bed.broker.inspect().batches("orders", 0));
        assert_eq!(bed.values(0).len(), sent);
        let refused = tried.iter().filter(|batch| batch.size > 40_000).count();
        assert!(
            refused < 60 && kept.len() > 150,
            "{refused}, {}",
            kept.len()
        );
        let late = tried.iter().rev().take(tried.len() / 2);
        assert!(
            late.clone().all(|batch| batch.size <= 40_000),
            "it is known by then"
        );
    }
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
