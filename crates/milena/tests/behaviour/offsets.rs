//! Offsets are committed by record, batch and name, found by time, and used for lag, equally on
//! every cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use milena::{
    ConsumerRecord, Offset, OffsetAndMetadata, OffsetReset, ProducerRecord, StartAt, Timestamp,
    TopicName, TopicPartition,
};

use crate::cluster::{World, unique, within};

/// Writes one record for each second since `FIRST` to partition 0, each in its own request.
async fn fill(world: &World, topic: &TopicName, count: i64) {
    let producer = world.client.producer().build().unwrap();
    for n in 0..count {
        let record = ProducerRecord::new(topic).partition(0u32);
        let record = record.value(n.to_string()).timestamp(second(n));
        within(producer.send(record)).await.unwrap();
    }
}

fn second(n: i64) -> Timestamp {
    Timestamp::from_millis(FIRST + n * 1_000)
}

/// A recent time, so that no broker deletes or refuses the records.
const FIRST: i64 = 1_790_000_000_000;

#[tokio::test]
async fn records_batches_and_named_offsets_are_committed_and_read_back() {
    let world = World::new().await;
    let (topic, group) = (world.topic(1).await, unique("group"));
    fill(&world, &topic, 10).await;
    let place = TopicPartition::new(topic.clone(), 0);
    let consumer = world.client.consumer(group.as_str()).topics([topic]);
    let consumer = consumer.build().unwrap();
    let committed = async || {
        let found = within(consumer.committed_offsets([place.clone()])).await;
        found.unwrap().remove(&place).unwrap()
    };
    let first = within(consumer.recv()).await.unwrap();
    let second = within(consumer.recv()).await.unwrap();
    within(consumer.commit_record(&second)).await.unwrap();
    within(consumer.commit_record(&first)).await.unwrap();
    let found = committed().await.unwrap();
    assert_eq!(found.offset, 2.into(), "never back");
    let batch = within(consumer.recv_batch()).await.unwrap();
    let pending = consumer.commit_batch_async(&batch).unwrap();
    within(async { pending.await }).await.unwrap();
    assert_eq!(committed().await.unwrap().offset, batch.next_offset());
    let named = OffsetAndMetadata::new(1.into(), "by hand");
    within(consumer.commit_offsets([(place.clone(), named)]))
        .await
        .unwrap();
    let found = committed().await.unwrap();
    assert_eq!((found.offset, &*found.metadata), (1.into(), "by hand"));
    within(consumer.close()).await;
}

#[tokio::test]
async fn offsets_are_found_by_time_and_reading_begins_and_goes_on_there() {
    let world = World::new().await;
    let topic = world.topic(1).await;
    fill(&world, &topic, 6).await;
    let place = TopicPartition::new(topic, 0);
    let builder = world.client.assigned_consumer().clock(|| second(6));
    let consumer = builder.build().unwrap();
    let half = Timestamp::from_millis(FIRST + 2_500);
    let times = [(place.clone(), half)];
    let found = within(consumer.offsets_for_times(times)).await.unwrap();
    let found = found[&place].unwrap();
    assert_eq!((found.offset, found.timestamp), (3.into(), second(3)));
    let late = [(place.clone(), second(77))];
    let none = within(consumer.offsets_for_times(late)).await.unwrap();
    assert_eq!(none[&place], None);
    let ends = within(consumer.watermarks(&place)).await.unwrap();
    assert_eq!((ends.low, ends.high), (Offset::ZERO, 6.into()));

    consumer.assign([(place.clone(), StartAt::Timestamp(half))]);
    assert_eq!(within(consumer.recv()).await.unwrap().offset, 3.into());
    for (to, first) in [
        (StartAt::Ago(Duration::from_millis(1_500)), 5),
        (StartAt::Timestamp(second(1)), 1),
        (StartAt::Beginning, 0),
    ] {
        consumer.seek(&place, to).unwrap();
        let record = within(consumer.recv()).await.unwrap();
        assert_eq!(record.offset.to_wire(), first, "{to:?}");
    }
    within(consumer.close()).await;
}

#[tokio::test]
async fn a_group_without_offsets_may_begin_by_duration() {
    let world = World::new().await;
    let (topic, group) = (world.topic(1).await, unique("group"));
    fill(&world, &topic, 6).await;
    let consumer = world.client.consumer(group.as_str()).topics([topic]);
    let consumer = consumer
        .auto_offset_reset(OffsetReset::Duration(Duration::from_millis(2_500)))
        .clock(|| second(6))
        .build()
        .unwrap();
    assert_eq!(within(consumer.recv()).await.unwrap().offset, 4.into());
    within(consumer.close()).await;
}

#[tokio::test]
async fn a_stream_gives_every_record_and_lag_falls_to_zero_in_records_and_in_time() {
    let world = World::new().await;
    let topic = world.topic(1).await;
    fill(&world, &topic, 5).await;
    let place = TopicPartition::new(topic, 0);
    let builder = world.client.assigned_consumer().clock(|| second(10));
    let consumer = builder.build().unwrap();
    consumer.assign([(place.clone(), StartAt::Beginning)]);
    let mut stream = consumer.stream();
    let mut seen: Vec<ConsumerRecord> = Vec::new();
    for n in 0..5 {
        seen.push(within(stream.next()).await.unwrap().unwrap());
        let lag = consumer.lag()[&place];
        assert_eq!(lag.records, 4 - n);
        if lag.records == 0 {
            assert_eq!(lag.time, Some(Duration::ZERO));
        }
    }
    drop(stream);
    let offsets: BTreeSet<_> = seen.iter().map(|record| record.offset.to_wire()).collect();
    assert_eq!(offsets, (0..5).collect());
    let wait = Duration::from_millis(300);
    assert!(
        within(consumer.next_batch(5, wait))
            .await
            .unwrap()
            .is_empty()
    );
    within(consumer.close()).await;
}
