//! How far a group is behind, in records and in time.

use std::time::Duration;

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
    assert_eq!(lag.partitions.len(), 2, "nothing is known of partition 2");
    let first = lag.partitions.of(&place(&topic, 0)).unwrap();
    let first = first.as_ref().unwrap();
    assert_eq!((first.committed, first.end), (Some(at(2)), at(5)));
    assert_eq!(first.records, Some(3));
    // The record at offset 2 was written two seconds before the last, and that a minute ago.
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
