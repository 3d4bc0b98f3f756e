//! Batches that end by records, by bytes or by time, and topics with settings of their own.

use std::time::Duration;

use milena_core::{ProducerRecord, Timestamp};
use milena_producer::{Batching, Compression, TopicSettings};
use tokio::time::Instant;

use crate::bed::{bed, bed_with, numbers, record, record_at};

#[tokio::test(start_paused = true)]
async fn batches_end_at_the_number_of_records_and_the_rest_after_the_interval() {
    let bed = bed(1).await;
    let interval = Duration::from_millis(200);
    let batching = Batching::new().records(100).interval(interval);
    let producer = bed.builder().batching(batching).build().unwrap();
    // The first record fetches the metadata.
    producer.send(record("first")).await.unwrap();
    let start = Instant::now();
    let mut all = Vec::new();
    for number in numbers(250) {
        all.push(producer.enqueue(record(&number)).await.unwrap());
    }
    let last = all.pop().unwrap();
    for delivery in all.drain(..200) {
        delivery.await.unwrap();
    }
    assert!(
        start.elapsed() < interval,
        "full batches waited for {:?}",
        start.elapsed()
    );
    last.await.unwrap();
    assert!(
        start.elapsed() >= interval,
        "the rest waited for {:?}",
        start.elapsed()
    );
    let counts: Vec<_> = bed.sent(0).iter().map(|batch| batch.count).collect();
    assert_eq!(counts, [1, 100, 100, 50]);
}

#[tokio::test(start_paused = true)]
async fn a_topic_with_settings_of_its_own_is_compressed_alone() {
    let bed = bed_with(1, |broker| broker.topic("clicks", 1)).await;
    let own = TopicSettings::new()
        .compression(Compression::LZ4)
        .batch_records(500);
    let producer = bed.builder().topic_settings("clicks", own).build().unwrap();
    for topic in ["orders", "clicks"] {
        let value = "the same words again and again ".repeat(10);
        let records = (0..1000).map(|_| ProducerRecord::new(topic).value(value.clone()));
        let sent = producer.enqueue_all(records).await;
        sent.all_delivered().await.unwrap();
    }
    let inspect = bed.broker.inspect();
    let (orders, clicks) = (inspect.batches("orders", 0), inspect.batches("clicks", 0));
    assert!(clicks.iter().all(|batch| batch.count <= 500));
    let (plain, packed) = (
        inspect.size("orders", 0).unwrap(),
        inspect.size("clicks", 0).unwrap(),
    );
    assert!(packed * 5 < plain, "{packed} of {plain} bytes");
    assert_eq!(orders.iter().map(|batch| batch.count).sum::<u32>(), 1000);
    assert_eq!(inspect.records("clicks", 0).unwrap().len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_topic_s_partitioner_and_interval_are_its_own() {
    let bed = bed_with(4, |broker| broker.topic("clicks", 4)).await;
    let interval = Duration::from_secs(2);
    let own = TopicSettings::new()
        .linger(interval)
        .partitioner(|_: &milena_producer::Partitioning<'_>| milena_producer::Choice::Partition(3));
    let producer = bed.builder().topic_settings("clicks", own).build().unwrap();
    producer.send(record("fetches the metadata")).await.unwrap();
    let start = Instant::now();
    producer.send(record("orders do not wait")).await.unwrap();
    assert!(start.elapsed() < interval);
    let click = ProducerRecord::new("clicks").key("any").value("click");
    let sent = producer.send(click).await.unwrap();
    assert!(start.elapsed() >= interval);
    assert_eq!(sent.partition.to_wire(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_batch_of_several_records_is_larger_than_its_topic_s_batch_size() {
    let bed = bed_with(1, |broker| broker.topic("clicks", 1)).await;
    let own = TopicSettings::new().batch_size(2048);
    let builder = bed.builder().batch_size(600_000);
    let producer = builder.topic_settings("clicks", own).build().unwrap();
    for (topic, most, count) in [("orders", 600_000, 3_000), ("clicks", 2048, 100)] {
        let records = (0..count).map(|_| ProducerRecord::new(topic).value("x".repeat(500)));
        let sent = producer.enqueue_all(records).await;
        sent.all_delivered().await.unwrap();
        let batches = bed.broker.inspect().batches(topic, 0);
        let sizes: Vec<_> = batches.iter().map(|batch| batch.size).collect();
        assert!(sizes.iter().all(|size| *size <= most), "{topic}: {sizes:?}");
        let fullest = sizes.iter().max().unwrap();
        assert!(fullest + 700 > most, "{topic}: {sizes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_long_after_a_burst_has_its_own_time() {
    let bed = bed(1).await;
    let start = Instant::now();
    let now = move || Timestamp::from_millis(1_000_000 + start.elapsed().as_millis() as i64);
    let builder = bed.builder().clock(now);
    let producer = builder.linger(Duration::from_secs(20)).build().unwrap();
    for _ in 0..3 {
        // A burst whose records share reads of the clock. One more record comes much later into the
        // same batch.
        for _ in 0..64 {
            drop(producer.enqueue(record("burst")).await.unwrap());
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        drop(producer.enqueue(record("later")).await.unwrap());
    }
    producer.flush().await.unwrap();
    let records = bed.broker.inspect().records("orders", 0).unwrap();
    let later = records
        .iter()
        .filter(|one| one.value.as_deref() == Some(b"later"));
    let times: Vec<_> = later
        .map(|one| one.timestamp.unwrap().to_millis())
        .collect();
    assert_eq!(times, [1_005_000, 1_010_000, 1_015_000]);
}

#[tokio::test(start_paused = true)]
async fn batches_that_linger_leave_when_each_is_due_and_at_once_when_asked() {
    let bed = bed(50).await;
    let linger = Duration::from_secs(1);
    let producer = bed.builder().linger(linger).build().unwrap();
    producer.partitions_for("orders").await.unwrap();
    let start = Instant::now();
    let mut all = Vec::new();
    for partition in 0..50 {
        all.push(producer.enqueue(record_at(partition, "v")).await.unwrap());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for (number, delivery) in (0..).zip(all) {
        delivery.await.unwrap();
        let due = linger + Duration::from_millis(10) * number;
        let late = start.elapsed() - due;
        assert!(late < Duration::from_millis(10), "{number}: {late:?} late");
    }
    for partition in 0..50 {
        drop(producer.enqueue(record_at(partition, "v")).await.unwrap());
    }
    let start = Instant::now();
    producer.flush().await.unwrap();
    assert!(start.elapsed() < linger / 2);
}
