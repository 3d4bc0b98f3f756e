//! Reading without a handler, with start positions, commits and pauses.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use milena::{
    Client, ConsumerRecord, ErrorKind, Offset, OffsetReset, ProducerRecord, StartAt, TopicName,
    TopicPartition,
};

use crate::cluster::{World, unique, within};

/// Writes the numbers to partition 0.
async fn fill(world: &World, topic: &TopicName, numbers: std::ops::Range<u32>) {
    let producer = world.client.producer().build().unwrap();
    let records = numbers.map(|n| {
        ProducerRecord::new(topic)
            .partition(0u32)
            .value(n.to_string())
    });
    for result in within(producer.send_all(records)).await {
        result.unwrap();
    }
}

fn number(record: &ConsumerRecord) -> u32 {
    std::str::from_utf8(record.value.as_deref().unwrap())
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn assigned_partitions_are_read_from_where_they_are_told() {
    let world = World::new().await;
    let topic = world.topic(1).await;
    fill(&world, &topic, 0..10).await;
    let place = TopicPartition::new(topic.clone(), 0);
    let consumer = world.client.assigned_consumer().build().unwrap();
    let at = |offset| StartAt::Offset(Offset::from_wire(offset).unwrap());
    for (start, first) in [(StartAt::Beginning, 0), (at(7), 7), (at(9), 9)] {
        consumer.assign([(place.clone(), start)]);
        let record = within(consumer.recv()).await.unwrap();
        assert_eq!(
            (number(&record), record.offset),
            (first, Offset::from_wire(first.into()).unwrap())
        );
    }
    consumer.seek(&place, at(3)).unwrap();
    assert_eq!(number(&within(consumer.recv()).await.unwrap()), 3);
    assert_eq!(consumer.position(&place).unwrap(), Offset::from_wire(4));
    assert_eq!(consumer.assignment(), [place]);
    within(consumer.close()).await;
}

#[tokio::test]
async fn the_end_means_what_is_written_from_now_on() {
    let world = World::new().await;
    let topic = world.topic(1).await;
    fill(&world, &topic, 0..10).await;
    let place = TopicPartition::new(topic.clone(), 0);
    let consumer = world.client.assigned_consumer().build().unwrap();
    consumer.assign([(place.clone(), StartAt::End)]);
    let mut receiving = Box::pin(consumer.recv());
    // The position must be known before more records are written.
    within(async {
        while consumer.position(&place).unwrap().is_none() {
            assert!(poll_fn(|cx| Poll::Ready(receiving.as_mut().poll(cx).is_pending())).await);
            tokio::task::yield_now().await;
        }
    })
    .await;
    fill(&world, &topic, 10..11).await;
    assert_eq!(number(&within(receiving).await.unwrap()), 10);
}

#[tokio::test]
async fn what_was_committed_is_where_the_next_member_begins() {
    let world = World::new().await;
    let (topic, group) = (world.topic(1).await, unique("group"));
    fill(&world, &topic, 0..10).await;
    let place = TopicPartition::new(topic.clone(), 0);
    let consumer = world
        .client
        .consumer(group.as_str())
        .topics([topic.clone()])
        .build()
        .unwrap();
    for n in 0..4 {
        assert_eq!(number(&within(consumer.recv()).await.unwrap()), n);
    }
    within(consumer.commit()).await.unwrap();
    assert_eq!(number(&within(consumer.recv()).await.unwrap()), 4); // not committed
    let committed = within(consumer.committed([place.clone()])).await.unwrap();
    assert_eq!(committed[&place], Offset::from_wire(4));
    within(consumer.close()).await;

    let next = world
        .client
        .consumer(group.as_str())
        .topics([topic.clone()])
        .build()
        .unwrap();
    assert_eq!(number(&within(next.recv()).await.unwrap()), 4);
    assert_eq!(next.assignment(), [place]);
    assert_eq!(next.subscription(), BTreeSet::from([topic.clone()]));
    assert_eq!(within(next.partitions_for(topic)).await.unwrap().len(), 1);
    within(next.close()).await;
}

#[tokio::test]
async fn a_fresh_group_that_may_not_choose_says_what_to_do() {
    let world = World::new().await;
    let topic = world.topic(1).await;
    let builder = world
        .client
        .consumer(unique("group"))
        .topics([topic.clone()]);
    let consumer = builder
        .auto_offset_reset(OffsetReset::None)
        .build()
        .unwrap();
    let error = within(consumer.recv()).await.unwrap_err();
    assert!(error.to_string().contains("auto.offset.reset"), "{error}");
    assert!(error.to_string().contains(topic.as_str()), "{error}");
}

#[tokio::test]
async fn a_paused_partition_stands_still_while_the_others_go_on() {
    let world = World::new().await;
    let topic = world.topic(2).await;
    let places = [0, 1].map(|partition| TopicPartition::new(topic.clone(), partition));
    let consumer = world.client.assigned_consumer().build().unwrap();
    consumer.assign(places.clone().map(|place| (place, StartAt::Beginning)));
    consumer.pause(&places[0]).unwrap();
    let producer = world.client.producer().build().unwrap();
    for partition in [0u32, 1] {
        within(producer.send(ProducerRecord::new(&topic).partition(partition).value("x")))
            .await
            .unwrap();
    }
    assert_eq!(within(consumer.recv()).await.unwrap().partition.index(), 1);
    consumer.resume(&places[0]).unwrap();
    assert_eq!(within(consumer.recv()).await.unwrap().partition.index(), 0);
    let stranger = TopicPartition::new(topic, 9);
    assert_eq!(
        consumer.pause(&stranger).unwrap_err().kind(),
        ErrorKind::State
    );
}

#[tokio::test]
async fn a_topic_that_does_not_exist_ends_the_run_by_name() {
    let world = World::new().await;
    let client = Client::builder()
        .bootstrap(world.cluster.bootstrap())
        .api_timeout(Duration::from_secs(2));
    let client = within(client.connect()).await.unwrap();
    let missing = unique("missing");
    let consumer = client
        .consumer(unique("group"))
        .topics([missing.as_str()])
        .build()
        .unwrap();
    let error = within(consumer.run(async || ())).await.unwrap_err();
    assert!(error.to_string().contains(&missing), "{error}");
}
