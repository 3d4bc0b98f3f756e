//! Tests of listing, committing, deleting and resetting offsets from outside of a group.

use std::time::Duration;

use milena_admin::{OffsetSpec, ResetScope, ResetTo};
use milena_core::{ErrorCode, ErrorKind, Timestamp};

use crate::world::{World, at, place, unique, within};

#[tokio::test]
async fn begin_end_and_times_of_partitions_are_found_at_their_leaders() {
    let world = World::with_brokers(3).await;
    let topic = world.topic(3).await;
    for partition in 0..3 {
        world
            .fill(&topic, partition, 4 + partition, Duration::from_secs(10))
            .await;
    }
    let all = |spec| {
        (0..3)
            .map(|partition| (place(&topic, partition), spec))
            .collect::<Vec<_>>()
    };
    let offsets = async |spec| {
        let listed = within(world.admin.list_offsets(all(spec)))
            .await
            .all()
            .unwrap();
        listed
            .into_iter()
            .map(|each| each.offset.map(milena_core::Offset::to_wire))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        offsets(OffsetSpec::Earliest).await,
        [Some(0), Some(0), Some(0)]
    );
    assert_eq!(
        offsets(OffsetSpec::Latest).await,
        [Some(4), Some(5), Some(6)]
    );
    let now = Timestamp::now().to_millis();
    let some = OffsetSpec::Timestamp(Timestamp::from_millis(now - 12_500));
    // The records are a second apart, and the last one is ten seconds old. So three were written
    // since.
    assert_eq!(offsets(some).await, [Some(1), Some(2), Some(3)]);
    let future = OffsetSpec::Timestamp(Timestamp::from_millis(now + 60_000));
    assert_eq!(offsets(future).await, [None, None, None]);
    assert_eq!(
        offsets(OffsetSpec::MaxTimestamp).await,
        [Some(3), Some(4), Some(5)]
    );
}

#[tokio::test]
async fn a_partition_that_does_not_exist_hides_no_other() {
    let world = World::new().await;
    let topic = world.topic(1).await;
    let asked = [
        place(&topic, 0),
        place(&topic, 7),
        place(&unique("none"), 0),
    ];
    let asked = asked.map(|place| (place, OffsetSpec::Latest));
    let listed: Vec<_> = within(world.admin.list_offsets(asked))
        .await
        .into_iter()
        .collect();
    assert!(listed[0].1.is_ok());
    for (place, failed) in &listed[1..] {
        let error = failed.as_ref().unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
        assert!(error.to_string().contains(place.topic.as_str()), "{error}");
    }
}

#[tokio::test]
async fn offsets_of_many_groups_are_listed_at_once() {
    let world = World::with_brokers(3).await;
    let topic = world.topic(2).await;
    world.fill(&topic, 0, 9, Duration::ZERO).await;
    let groups: Vec<String> = (0..5).map(|_| unique("group")).collect();
    for (number, group) in (0..).zip(&groups) {
        let offsets = [(place(&topic, 0), at(number))];
        let altered = within(world.admin.alter_offsets(group, offsets)).await;
        altered.unwrap().all().unwrap();
    }
    let none = unique("none");
    let asked = groups.iter().chain([&none]).cloned();
    let listed = within(world.admin.group_offsets(asked)).await;
    for (number, group) in (0..).zip(&groups) {
        let found = listed.of(group.as_str()).unwrap().as_ref().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[&place(&topic, 0)].offset, at(number));
    }
    let found = listed.of(none.as_str()).unwrap().as_ref().unwrap();
    assert!(
        found.is_empty(),
        "a group that does not exist has committed nothing"
    );
}

#[tokio::test]
async fn a_group_forgets_where_it_resumes() {
    let world = World::new().await;
    let (topic, group) = (world.topic(2).await, unique("group"));
    let offsets = [(place(&topic, 0), at(0)), (place(&topic, 1), at(0))];
    let altered = within(world.admin.alter_offsets(&group, offsets)).await;
    altered.unwrap().all().unwrap();
    let deleted = within(world.admin.delete_offsets(&group, [place(&topic, 0)])).await;
    deleted.all().unwrap();
    let left = within(world.admin.group_offsets([&*group]))
        .await
        .all()
        .unwrap()
        .remove(0);
    assert_eq!(left.into_keys().collect::<Vec<_>>(), [place(&topic, 1)]);
    let deleted = within(
        world
            .admin
            .delete_offsets(&unique("none"), [place(&topic, 0)]),
    )
    .await;
    assert_eq!(
        deleted.all().unwrap_err().code(),
        Some(ErrorCode::GROUP_ID_NOT_FOUND)
    );
}

#[tokio::test]
async fn a_reset_is_planned_first_and_then_done() {
    let world = World::new().await;
    let (topic, group) = (world.topic(2).await, unique("group"));
    world.fill(&topic, 0, 10, Duration::from_secs(60)).await;
    world.fill(&topic, 1, 4, Duration::from_secs(60)).await;
    let offsets = [(place(&topic, 0), at(6)), (place(&topic, 1), at(4))];
    let altered = within(world.admin.alter_offsets(&group, offsets)).await;
    altered.unwrap().all().unwrap();

    let plan = async |to| {
        let planned = within(world.admin.plan_reset(&group, [&*topic], to)).await;
        let moves = planned.unwrap().moves.all().unwrap();
        moves
            .into_iter()
            .map(|each| each.to.to_wire())
            .collect::<Vec<_>>()
    };
    assert_eq!(plan(ResetTo::Earliest).await, [0, 0]);
    assert_eq!(plan(ResetTo::Latest).await, [10, 4]);
    assert_eq!(plan(ResetTo::Current).await, [6, 4]);
    assert_eq!(plan(ResetTo::ShiftBy(-5)).await, [1, 0]);
    assert_eq!(plan(ResetTo::ShiftBy(3)).await, [9, 4]);
    assert_eq!(plan(ResetTo::Offset(at(5))).await, [5, 4]);
    // The last record is a minute old. Each earlier one is a second older.
    assert_eq!(
        plan(ResetTo::Duration(Duration::from_millis(62_900))).await,
        [7, 1]
    );
    assert_eq!(
        plan(ResetTo::Duration(Duration::from_secs(5))).await,
        [10, 4]
    );
    let committed = async || {
        let found = within(world.admin.group_offsets([&*group])).await;
        let found = found.all().unwrap().remove(0).into_values();
        found.map(|each| each.offset.to_wire()).collect::<Vec<_>>()
    };
    assert_eq!(committed().await, [6, 4], "a plan changes nothing");

    let scope = [ResetScope::Committed];
    let planned = within(world.admin.plan_reset(&group, scope, ResetTo::ShiftBy(-2))).await;
    let planned = planned.unwrap();
    let first = planned
        .moves
        .of(&place(&topic, 0))
        .unwrap()
        .as_ref()
        .unwrap();
    assert_eq!(
        (first.from, first.to, first.end),
        (Some(at(6)), at(4), at(10))
    );
    let applied = within(world.admin.apply_reset(&planned)).await;
    applied.unwrap().all().unwrap();
    assert_eq!(committed().await, [4, 2]);
}

#[tokio::test]
async fn a_reset_is_refused_while_members_are_active_and_names_them() {
    let world = World::new().await;
    let (topic, group) = (world.topic(1).await, unique("group"));
    world.fill(&topic, 0, 2, Duration::ZERO).await;
    let member = world.member(&group, &topic, 2).await;
    let planned = within(world.admin.plan_reset(&group, [&*topic], ResetTo::Earliest)).await;
    let planned = planned.unwrap();
    let error = within(world.admin.apply_reset(&planned)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    let words = error.to_string();
    assert!(
        words.contains("active members") && words.contains("client verbs"),
        "{words}"
    );
    member.leave().await;
    let applied = within(world.admin.apply_reset(&planned)).await.unwrap();
    applied.all().unwrap();
    // The next member reads both records again.
    world.member(&group, &topic, 2).await.leave().await;
}

#[tokio::test]
async fn a_shift_from_nothing_is_refused_for_that_partition_alone() {
    let world = World::new().await;
    let (topic, group) = (world.topic(2).await, unique("group"));
    world.fill(&topic, 0, 3, Duration::ZERO).await;
    let altered = within(
        world
            .admin
            .alter_offsets(&group, [(place(&topic, 0), at(1))]),
    )
    .await;
    altered.unwrap().all().unwrap();
    let planned = within(
        world
            .admin
            .plan_reset(&group, [&*topic], ResetTo::ShiftBy(1)),
    )
    .await;
    let planned = planned.unwrap();
    assert_eq!(planned.moves.failures().count(), 1);
    let applied = within(world.admin.apply_reset(&planned)).await.unwrap();
    assert_eq!(applied.all().unwrap().len(), 1);
}

#[tokio::test]
async fn a_time_before_1970_is_refused_and_never_taken_for_a_word_of_the_protocol() {
    let world = World::new().await;
    let topic = world.topic(1).await;
    world.fill(&topic, 0, 2, Duration::ZERO).await;
    for millis in [-1, -2, -3, -999] {
        let spec = OffsetSpec::Timestamp(Timestamp::from_millis(millis));
        let listed = within(world.admin.list_offsets([(place(&topic, 0), spec)])).await;
        let error = listed.all().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{millis}: {error}");
        let to = ResetTo::Timestamp(Timestamp::from_millis(millis));
        let plan = within(world.admin.plan_reset("group", [topic.as_str()], to)).await;
        let error = plan.unwrap().moves.all().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{millis}: {error}");
    }
}
