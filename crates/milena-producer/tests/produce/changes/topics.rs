//! Topics that grow, are hidden, lose partitions from the metadata, or are deleted for good.

use std::time::Duration;

use milena_broker::{ApiKey, Broker, Fault};
use milena_core::{ErrorCode, Persistence, ProducerRecord};
use milena_protocol::any::AnyRequest;
use tokio::time::{Instant, timeout};

use crate::bed::{Bed, Ledger, bed, bed_with, connect, numbers, record, record_at};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn partitions_that_are_added_are_used_within_the_age_of_the_metadata() {
    let broker = Broker::builder().brokers(2).topic("orders", 2);
    let broker = broker.start().await.unwrap();
    let dialer = broker.dialer();
    let bed = connect(broker, dialer, |cluster| {
        cluster.metadata_max_age(5 * SECOND)
    })
    .await;
    let producer = bed.producer();
    let mut ledger = Ledger::default();
    for number in 0..400u32 {
        if number == 100 {
            bed.broker.inspect().add_partitions("orders", 5).unwrap();
        }
        let record = ProducerRecord::new("orders").value(format!("{number}{}", "x".repeat(4000)));
        ledger.enqueue(&producer, record).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ledger.hold(&bed).await.delivered, 400);
    for partition in 0..5 {
        assert!(
            !bed.values(partition).is_empty(),
            "partition {partition} is used"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_new_topics_cost_one_small_metadata_request_each() {
    const TOPICS: usize = 400;
    let name = |number: usize| format!("topic-{number}");
    let bed = bed_with(1, |broker| {
        let broker = broker.journal(10 * TOPICS);
        (0..TOPICS).fold(broker, |broker, number| broker.topic(name(number), 2))
    })
    .await;
    let producer = bed.producer();
    bed.broker.journal().clear();
    let mut sent = Vec::with_capacity(TOPICS);
    for number in 0..TOPICS {
        let record = ProducerRecord::new(name(number)).value("v");
        sent.push(producer.enqueue(record).await.unwrap());
    }
    for delivery in sent {
        delivery.await.unwrap();
    }
    let asked = bed.broker.journal().requests(ApiKey::Metadata);
    let named = asked.iter().map(|entry| match entry.message() {
        Some(AnyRequest::Metadata(asked)) => asked.topics.as_ref().map(Vec::len),
        other => panic!("{other:?}"),
    });
    // Each asks for the one topic that is new, and for none of those before it. `None` would be
    // all topics.
    let named: Vec<_> = named.collect();
    assert_eq!(named, vec![Some(1); TOPICS]);
}

#[tokio::test(start_paused = true)]
async fn keys_keep_their_partitions_until_partitions_are_added() {
    let bed = bed(4).await;
    let producer = bed.producer();
    let send = async |key: &str| {
        let record = ProducerRecord::new("orders").key(key.to_owned()).value("v");
        producer.send(record).await.unwrap().partition
    };
    let before = send("order-7").await;
    bed.broker
        .faults()
        .add(Fault::hide_topic("orders").times(3));
    for _ in 0..3 {
        bed.cluster.refresh().await.unwrap();
        assert_eq!(send("order-7").await, before);
    }
    bed.broker.faults().assert_all_fired();
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_metadata_leaves_out_for_a_moment_is_written_to_all_the_same() {
    let bed = bed(3).await;
    let producer = bed.producer();
    let faults = bed.broker.faults();
    let mut ledger = Ledger::default();
    for number in 0..90u32 {
        if number % 10 == 5 {
            for partition in 1..3 {
                faults.add(
                    Fault::omit_partition()
                        .on(ApiKey::Metadata)
                        .partition(partition),
                );
            }
            bed.cluster.request_refresh();
        }
        let record = record_at(number % 3, number.to_string());
        ledger.enqueue(&producer, record).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    // Refreshes that bring nothing new are spaced, so some may not have come yet.
    while !faults.unfired().is_empty() {
        bed.cluster.refresh().await.unwrap();
    }
    assert_eq!(ledger.hold(&bed).await.delivered, 90);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_an_answer_leaves_out_is_sent_again_and_written_once() {
    let bed = bed(2).await;
    let producer = bed.producer();
    producer.send(record("warm")).await.unwrap();
    let faults = bed.broker.faults();
    faults.add(
        Fault::omit_partition()
            .on(ApiKey::Produce)
            .partition(1)
            .times(2),
    );
    let mut ledger = Ledger::default();
    for number in 0..20u32 {
        ledger
            .enqueue(&producer, record_at(number % 2, number.to_string()))
            .await;
    }
    assert_eq!(ledger.hold(&bed).await.delivered, 20);
    faults.assert_all_fired();
}

#[tokio::test(start_paused = true)]
async fn records_for_a_topic_that_was_deleted_end_in_time_with_the_brokers_reason() {
    let bed = bed_with(1, |broker| broker.topic("other", 1)).await;
    let builder = bed.builder().request_timeout(3 * SECOND);
    let producer = builder.delivery_timeout(10 * SECOND).build().unwrap();
    producer.send(record("warm")).await.unwrap();
    bed.broker.inspect().delete_topic("orders");
    let start = Instant::now();
    let gone = producer.enqueue(record("gone")).await.unwrap();
    for number in numbers(100) {
        let other = ProducerRecord::new("other").value(number);
        let sent = timeout(SECOND, producer.send(other)).await;
        sent.expect("other topics go on").unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let error = gone.await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 10);
    // The leader may have written the record before the topic was deleted.
    assert_eq!(error.persistence(), Some(Persistence::PossiblyWritten));
    let cause = std::error::Error::source(&error).unwrap().to_string();
    let codes = [
        ErrorCode::UNKNOWN_TOPIC_ID,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ];
    assert!(
        codes
            .iter()
            .any(|code| cause.contains(code.name().unwrap())),
        "{cause}"
    );
    assert_eq!(bed.values_of("other", 0), numbers(100));
}

#[tokio::test(start_paused = true)]
async fn records_of_a_topic_that_is_gone_give_their_memory_back_long_before_the_delivery_timeout() {
    let bed = bed_with(4, |broker| broker.topic("other", 1)).await;
    let producer = bed.producer();
    for partition in 0..4 {
        producer.send(record_at(partition, "warm")).await.unwrap();
    }
    bed.broker.inspect().delete_topic("orders");
    let start = Instant::now();
    let mut gone = Vec::new();
    for partition in 0..4 {
        let record = record_at(partition, "gone");
        gone.push(producer.enqueue(record).await.unwrap());
    }
    for delivery in gone {
        let error = timeout(20 * SECOND, delivery).await.unwrap().unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
        let text = format!("{error} {}", std::error::Error::source(&error).unwrap());
        assert!(text.contains("orders") && text.contains("15s"), "{text}");
    }
    assert!(
        start.elapsed() >= 15 * SECOND,
        "it may come back until then"
    );
    assert_eq!(Bed::held(&producer), 0);
    // The topic is created again, and records are delivered again.
    bed.broker.inspect().create_topic("orders", 4).unwrap();
    let again = timeout(5 * SECOND, producer.send(record_at(1, "again")));
    again.await.unwrap().unwrap();
    let other = ProducerRecord::new("other").value("v");
    producer.send(other).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_comes_back_in_time_gets_its_records() {
    let bed = bed(1).await;
    let producer = bed.producer();
    producer.send(record("warm")).await.unwrap();
    bed.broker.inspect().delete_topic("orders");
    let delivery = producer.enqueue(record("waits")).await.unwrap();
    tokio::time::sleep(12 * SECOND).await;
    bed.broker.inspect().create_topic("orders", 1).unwrap();
    timeout(5 * SECOND, delivery).await.unwrap().unwrap();
    assert_eq!(bed.values(0), ["waits"]);
}

#[tokio::test(start_paused = true)]
async fn records_for_partitions_that_a_smaller_topic_lost_end_in_time() {
    let bed = bed(3).await;
    let builder = bed.builder().request_timeout(3 * SECOND);
    let producer = builder.delivery_timeout(10 * SECOND).build().unwrap();
    for partition in 0..3 {
        producer.send(record_at(partition, "warm")).await.unwrap();
    }
    bed.broker.inspect().delete_topic("orders");
    let lost = producer.enqueue(record_at(2, "lost")).await.unwrap();
    bed.broker.inspect().create_topic("orders", 1).unwrap();
    let error = timeout(11 * SECOND, lost).await.unwrap().unwrap_err();
    assert!(std::error::Error::source(&error).is_some(), "it says why");
    timeout(SECOND, producer.send(record("next")))
        .await
        .unwrap()
        .unwrap();
    let refused = producer
        .send(record_at(2, "no such partition"))
        .await
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("partition 2, but the topic's partition count is 1"),
        "{refused}"
    );
    timeout(SECOND, producer.flush()).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_topic_made_again_in_mid_stream_takes_what_comes_in_order() {
    for moment in (0..40).step_by(3) {
        let bed = bed(1).await;
        let producer = bed.producer();
        producer.send(record("warm")).await.unwrap();
        let faults = bed.broker.faults();
        faults.add(
            Fault::delay_answer(Duration::from_millis(9))
                .on(ApiKey::Produce)
                .times(3),
        );
        let changing = async {
            tokio::time::sleep(Duration::from_millis(moment)).await;
            bed.broker.inspect().delete_topic("orders");
            tokio::time::sleep(Duration::from_millis(moment % 7)).await;
            bed.broker.inspect().create_topic("orders", 1).unwrap();
        };
        let sending = async {
            let mut sent = Vec::new();
            for number in 0..50 {
                sent.push(producer.enqueue(record(&number.to_string())).await.unwrap());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            sent
        };
        let ((), sent) = tokio::join!(changing, sending);
        for delivery in sent {
            delivery.await.unwrap();
        }
        // Records that the old topic acknowledged are gone with it. The others are there, once and
        // in order.
        let left: Vec<u32> = bed
            .values(0)
            .iter()
            .map(|value| value.parse().unwrap())
            .collect();
        let first = *left.first().unwrap_or(&50);
        assert_eq!(
            left,
            (first..50).collect::<Vec<_>>(),
            "made again at {moment} ms"
        );
    }
}
