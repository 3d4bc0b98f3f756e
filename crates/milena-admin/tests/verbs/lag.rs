//! Tests of a group's lag, in records and in time.

use std::time::Duration;

use milena_admin::DeleteUpTo;
use milena_broker::{ApiKey, ErrorCode, Fault};

use crate::world::{World, at, place, unique, within};

#[tokio::test]
async fn lag_is_told_in_records_and_by_the_time_of_the_next_record() {
    let world = World::with_brokers(3).await;
    let (topic, group) = (world.topic(3).await, unique("group"));
    world.fill(&topic, 0, 5, Duration::from_secs(60)).await;
    world.fill(&topic, 1, 5, Duration::from_secs(60)).await;
    let offsets = [(place(&topic, 0), at(2)), (place(&topic, 1), at(5))];
    let altered = within(world.admin.alter_offsets(&group, offsets)).await;
    altered.unwrap().all().unwrap();

    let lag = within(world.admin.lag([&*group]))
        .await
        .all()
        .unwrap()
        .remove(0);
    assert_eq!(lag.records(), 3);
    let idle = lag.partitions.of(&place(&topic, 2)).unwrap();
    let idle = idle.as_ref().unwrap();
    assert_eq!(
        (idle.committed, idle.records),
        (None, Some(0)),
        "it is empty"
    );
    assert_eq!(lag.unknown(), 0);
    let first = lag.partitions.of(&place(&topic, 0)).unwrap();
    let first = first.as_ref().unwrap();
    assert_eq!((first.committed, first.end), (Some(at(2)), at(5)));
    assert_eq!(first.records, Some(3));
    // The last record was written a minute ago. The record at offset 2 is two seconds older.
    let behind = first.behind.unwrap().as_secs();
    assert!((62..100).contains(&behind), "{behind} s");
    let second = lag.partitions.of(&place(&topic, 1)).unwrap();
    let second = second.as_ref().unwrap();
    assert_eq!(
        (second.records, second.behind),
        (Some(0), Some(Duration::ZERO))
    );
    assert_eq!(lag.behind().unwrap().as_secs(), behind);
}

#[tokio::test]
async fn a_partition_that_a_member_has_is_told_though_nothing_is_committed() {
    let world = World::new().await;
    let (topic, group) = (world.topic(2).await, unique("group"));
    world.fill(&topic, 0, 1, Duration::ZERO).await;
    let member = world.member(&group, &topic, 1).await;
    let lag = within(world.admin.lag([&*group]))
        .await
        .all()
        .unwrap()
        .remove(0);
    let idle = lag.partitions.of(&place(&topic, 1)).unwrap();
    let idle = idle.as_ref().unwrap();
    assert_eq!(idle.member.as_ref().unwrap().client_id, "verbs");
    member.leave().await;
    let none = within(world.admin.lag([unique("none")]))
        .await
        .all()
        .unwrap()
        .remove(0);
    assert!(none.description.is_none() && none.partitions.is_empty());
}

/// Returns the lag of one group in partition 0.
async fn lag_of(world: &World, group: &str, topic: &str) -> (Option<u64>, Option<Duration>, bool) {
    let lag = within(world.admin.lag([group])).await.all().unwrap();
    let lag = lag[0].partitions.of(&place(topic, 0)).unwrap();
    let lag = lag.as_ref().unwrap();
    (lag.records, lag.behind, lag.is_above_end())
}

#[tokio::test]
async fn records_that_retention_removed_are_no_backlog() {
    let world = World::new().await;
    let (topic, group) = (world.topic(1).await, unique("group"));
    world.fill(&topic, 0, 10, Duration::ZERO).await;
    let altered = world
        .admin
        .alter_offsets(&group, [(place(&topic, 0), at(5))]);
    within(altered).await.unwrap().all().unwrap();
    let upto = DeleteUpTo::Offset(at(8));
    let deleted = world.admin.delete_records([(place(&topic, 0), upto)]);
    within(deleted).await.all().unwrap();
    assert_eq!(lag_of(&world, &group, &topic).await.0, Some(2));
    let deleted = world
        .admin
        .delete_records([(place(&topic, 0), DeleteUpTo::End)]);
    within(deleted).await.all().unwrap();
    let drained = (Some(0), Some(Duration::ZERO), false);
    assert_eq!(lag_of(&world, &group, &topic).await, drained);
}

#[tokio::test]
async fn more_committed_than_there_is_is_not_known_and_told() {
    let world = World::new().await;
    let (topic, group) = (world.topic(1).await, unique("group"));
    world.fill(&topic, 0, 3, Duration::ZERO).await;
    let altered = world
        .admin
        .alter_offsets(&group, [(place(&topic, 0), at(1000))]);
    within(altered).await.unwrap().all().unwrap();
    assert_eq!(lag_of(&world, &group, &topic).await, (None, None, true));
    let lag = within(world.admin.lag([&*group])).await.all().unwrap();
    assert_eq!((lag[0].unknown(), lag[0].behind()), (1, None));
}

#[tokio::test]
async fn a_partition_with_records_and_no_commit_is_listed_and_not_known() {
    let world = World::new().await;
    let (topic, group) = (world.topic(2).await, unique("group"));
    world.fill(&topic, 0, 1, Duration::ZERO).await;
    world.fill(&topic, 1, 5, Duration::ZERO).await;
    let altered = world
        .admin
        .alter_offsets(&group, [(place(&topic, 0), at(1))]);
    within(altered).await.unwrap().all().unwrap();
    let lag = within(world.admin.lag([&*group])).await.all().unwrap();
    assert_eq!(lag[0].partitions.len(), 2);
    assert_eq!((lag[0].records(), lag[0].unknown()), (0, 1));
    assert_eq!(lag[0].behind(), None, "not known is not zero");
}

#[tokio::test]
async fn a_broker_that_does_not_tell_the_end_leaves_the_lag_unknown() {
    let world = World::new().await;
    let Some(broker) = &world.broker else { return };
    let (topic, group) = (world.topic(1).await, unique("group"));
    world.fill(&topic, 0, 1, Duration::ZERO).await;
    let altered = world
        .admin
        .alter_offsets(&group, [(place(&topic, 0), at(0))]);
    within(altered).await.unwrap().all().unwrap();
    let refused = Fault::error(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    broker
        .faults()
        .add(refused.on(ApiKey::ListOffsets).always());
    let lag = within(world.admin.lag([&*group])).await.all().unwrap();
    assert_eq!((lag[0].unknown(), lag[0].behind()), (1, None));
}
