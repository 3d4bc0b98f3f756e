//! Tests of adding partitions and deleting records.

use std::time::Duration;

use milena_admin::{DeleteUpTo, NewPartitions, NewTopic, OffsetSpec};
use milena_core::{ErrorCode, NodeId};

use crate::world::{World, at, place, unique, until, within};

#[tokio::test]
async fn a_topic_gets_more_partitions_and_never_fewer() {
    let world = World::new().await;
    let topic = world.topic(2).await;
    let count = async || {
        let described = within(world.admin.describe_topics([&*topic]))
            .await
            .unwrap();
        described.all().unwrap()[0].partitions.len()
    };
    let more = || [NewPartitions::new(&*topic, 5)];
    let validated = within(world.admin.validate_partitions(more()))
        .await
        .unwrap();
    validated.all().unwrap();
    assert_eq!(count().await, 2);
    let created = within(world.admin.create_partitions(more())).await.unwrap();
    created.all().unwrap();
    until(async || count().await == 5).await;
    let fewer = [NewPartitions::new(&*topic, 3)];
    let refused = within(world.admin.create_partitions(fewer)).await.unwrap();
    let error = refused.all().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_PARTITIONS));
    assert!(error.to_string().contains(&topic), "{error}");
}

#[tokio::test]
async fn a_topic_that_is_only_validated_is_not_created() {
    let world = World::new().await;
    let name = unique("validated");
    let wanted = || {
        [NewTopic::new(name.as_str())
            .partitions(2)
            .replication_factor(1)]
    };
    let validated = within(world.admin.validate_topics(wanted())).await.unwrap();
    validated.all().unwrap();
    let listed = within(world.admin.list_topics()).await.unwrap();
    assert!(listed.iter().all(|topic| topic.name != name.as_str()));
}

#[tokio::test]
async fn replicas_are_placed_by_hand() {
    let world = World::with_brokers(3).await;
    if world.broker.is_none() {
        return;
    }
    let node = |number| NodeId::from_wire(number).unwrap();
    let topic = NewTopic::new("placed").replicas([[node(2), node(3)], [node(3), node(1)]]);
    world.create(topic).await;
    let described = world.admin.describe_topics(["placed"]).await.unwrap();
    let partitions = described.all().unwrap().remove(0).partitions;
    assert_eq!(partitions[0].replicas, [node(2), node(3)]);
    assert_eq!(partitions[1].replicas, [node(3), node(1)]);
    assert_eq!(partitions[1].leader, Some(node(3)));
}

#[tokio::test]
async fn records_are_deleted_up_to_an_offset_or_all() {
    let world = World::with_brokers(3).await;
    let topic = world.topic(3).await;
    for partition in 0..3 {
        world.fill(&topic, partition, 5, Duration::ZERO).await;
    }
    let deleted = within(world.admin.delete_records([
        (place(&topic, 0), DeleteUpTo::Offset(at(3))),
        (place(&topic, 1), DeleteUpTo::End),
        (place(&topic, 2), DeleteUpTo::Offset(at(99))),
    ]))
    .await;
    let low = |partition| deleted.of(&place(&topic, partition)).unwrap().clone();
    assert_eq!(low(0).unwrap(), at(3));
    assert_eq!(low(1).unwrap(), at(5));
    let error = low(2).unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::OFFSET_OUT_OF_RANGE));
    let starts = (0..3).map(|partition| (place(&topic, partition), OffsetSpec::Earliest));
    let starts = within(world.admin.list_offsets(starts))
        .await
        .all()
        .unwrap();
    let starts: Vec<_> = starts.iter().map(|each| each.offset).collect();
    assert_eq!(starts, [Some(at(3)), Some(at(5)), Some(at(0))]);
}
