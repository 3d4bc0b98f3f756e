//! Sizes, memory, and topics that do not exist.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use milena_core::{ErrorCode, ErrorKind, Event, Persistence, ProducerRecord};
use milena_producer::{Producer, TryEnqueueError};
use tokio::time::Instant;

use crate::bed::{bed, bed_with, failures, numbers, record};

#[tokio::test(start_paused = true)]
async fn batches_that_the_broker_finds_too_large_go_in_parts_and_a_record_fails_alone() {
    let bed = bed_with(1, |broker| broker.message_max_bytes(1000)).await;
    let producer = bed.producer();
    let mut all = Vec::new();
    for number in numbers(300) {
        all.push(producer.enqueue(record(&number)).await.unwrap());
    }
    assert_eq!(failures(all).await, 0);
    assert_eq!(bed.values(0), numbers(300));
    let error = producer.send(record(&"x".repeat(2000))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RecordTooLarge);
    assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    producer.send(record("after")).await.unwrap();
}

/// Sends 200 records of 500 bytes at once.
async fn burst(producer: &Producer) {
    let orders = producer.topic("orders");
    let values = vec![[b'x'; 500]; 200];
    let sent = orders.enqueue_all(&values).await;
    sent.all_delivered().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn batches_grow_again_after_the_topic_takes_larger_ones() {
    let bed = bed(1).await;
    let take = |bytes: &str| {
        let inspect = bed.broker.inspect();
        let set = inspect.set_topic_config("orders", "max.message.bytes", bytes);
        set.unwrap();
    };
    take("4000");
    let producer = bed.producer();
    burst(&producer).await;
    bed.broker.journal().clear();
    burst(&producer).await;
    let largest = || bed.sent(0).iter().map(|sent| sent.count).max().unwrap();
    assert!(largest() < 8, "{} records in a batch", largest());
    take("1048588");
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        bed.broker.journal().clear();
        burst(&producer).await;
    }
    assert!(largest() >= 100, "{} records in a batch", largest());
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_takes_no_larger_batches_is_seldom_asked_to() {
    let refused = Arc::new(AtomicUsize::new(0));
    let count = refused.clone();
    let bed = bed_with(1, |broker| broker.message_max_bytes(4000)).await;
    let count = move |event: &Event<'_>| {
        if let Event::BatchRetried { .. } = event {
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    let builder = bed.builder().add_observer(Arc::new(count));
    let producer = builder.build().unwrap();
    burst(&producer).await;
    refused.store(0, Ordering::Relaxed);
    for _ in 0..12 * 60 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        burst(&producer).await;
    }
    let refused = refused.load(Ordering::Relaxed);
    assert!((20..400).contains(&refused), "{refused} in 12 hours");
}

#[tokio::test(start_paused = true)]
async fn a_record_over_the_request_size_is_refused_before_it_is_enqueued() {
    let bed = bed(1).await;
    let producer = bed.builder().max_request_size(4096).build().unwrap();
    let error = producer
        .enqueue(record(&"x".repeat(5000)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RecordTooLarge);
    assert!(error.to_string().contains("4096"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_topic_is_named_within_its_time() {
    let bed = bed(1).await;
    let producer = bed
        .builder()
        .max_block(Duration::from_secs(5))
        .build()
        .unwrap();
    let start = Instant::now();
    let error = producer
        .send(ProducerRecord::new("nowhere").value("v"))
        .await
        .unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(7));
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert_eq!(
        error.code(),
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        "{error}"
    );
    assert_eq!(error.persistence(), Some(Persistence::NotWritten));
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_grows_is_used_whole() {
    let bed = bed(2).await;
    let producer = bed.producer();
    assert_eq!(producer.partitions_for("orders").await.unwrap().len(), 2);
    bed.broker.inspect().add_partitions("orders", 4).unwrap();
    bed.cluster.refresh().await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(producer.partitions_for("orders").await.unwrap().len(), 4);
    producer
        .send(ProducerRecord::new("orders").partition(3).value("v"))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_holds_callers_back_and_lets_them_go_on() {
    let bed = bed(1).await;
    let producer = bed.builder().buffer_memory(32 << 10).build().unwrap();
    producer.send(record("warm")).await.unwrap();
    for (node, _) in bed.broker.addresses() {
        bed.broker.inspect().broker_down(node);
    }
    let topic = producer.topic("orders");
    let mut held = Vec::new();
    let full = loop {
        match topic.try_enqueue(None, Some(&[b'x'; 1000])) {
            Ok(delivery) => held.push(delivery),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, TryEnqueueError::Full));
    let waiting = tokio::spawn(async move { topic.send(None, Some(b"waited")).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    for (node, _) in bed.broker.addresses() {
        bed.broker.inspect().broker_up(node);
    }
    waiting.await.unwrap().unwrap();
    assert_eq!(failures(held).await, 0);
    assert_eq!(bed.values(0).last().map(String::as_str), Some("waited"));
}

#[tokio::test(start_paused = true)]
async fn records_without_a_key_spread_over_all_partitions() {
    let bed = bed(4).await;
    let topic = bed.producer().topic("orders");
    let mut all = Vec::new();
    for number in 0..4000 {
        all.push(topic.enqueue(None, Some(&[b'x'; 100])).await.unwrap());
        if number % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert_eq!(failures(all).await, 0);
    for partition in 0..4 {
        let count = bed.values(partition).len();
        assert!(
            (500..2000).contains(&count),
            "partition {partition} has {count}"
        );
    }
}
