//! Tests of listing, describing and deleting groups. Errors name the members.

use std::time::Duration;

use milena_admin::{GroupState, GroupType, ListGroups};
use milena_core::{ErrorCode, ErrorKind};

use crate::world::{World, place, unique, within};

#[tokio::test]
async fn a_group_is_listed_by_its_state_and_described_with_its_members() {
    let world = World::with_brokers(3).await;
    let (topic, group) = (world.topic(2).await, unique("group"));
    world.fill(&topic, 0, 1, Duration::ZERO).await;
    let member = world.member(&group, &topic, 1).await;

    let described = within(world.admin.describe_groups([&*group])).await;
    let described = described.all().unwrap().remove(0);
    assert_eq!(described.state, GroupState::Stable);
    assert_eq!(described.members.len(), 1);
    let only = &described.members[0];
    assert_eq!(only.client_id, "verbs");
    assert_eq!(only.assignment, [place(&topic, 0), place(&topic, 1)]);
    assert_eq!(described.member_of(&place(&topic, 1)), Some(only));

    let stable = ListGroups::all().states([GroupState::Stable]);
    let listed = within(world.admin.list_groups(stable)).await.unwrap();
    let listed = listed.all().unwrap();
    let listed = listed.iter().find(|each| each.group == group).unwrap();
    assert_eq!(listed.state, Some(GroupState::Stable));
    assert_eq!(listed.coordinator, described.coordinator);
    let empty = ListGroups::all().states([GroupState::Empty]);
    let listed = within(world.admin.list_groups(empty)).await.unwrap();
    assert!(listed.groups.iter().all(|each| each.group != group));
    let share = ListGroups::all().types([GroupType::Share]);
    if let Ok(listed) = within(world.admin.list_groups(share)).await.unwrap().all() {
        assert!(listed.iter().all(|each| each.group != group));
    }
    member.leave().await;
}

#[tokio::test]
async fn a_group_with_members_is_not_deleted_and_they_are_named() {
    let world = World::new().await;
    let (topic, group) = (world.topic(1).await, unique("group"));
    world.fill(&topic, 0, 1, Duration::ZERO).await;
    let member = world.member(&group, &topic, 1).await;
    let deleted = within(world.admin.delete_groups([&*group])).await;
    let error = deleted.all().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.to_string().contains("client verbs"), "{error}");
    assert!(error.to_string().contains(&group), "{error}");

    member.leave().await;
    within(world.admin.delete_groups([&*group]))
        .await
        .all()
        .unwrap();
    let listed = within(world.admin.list_groups(ListGroups::all())).await;
    assert!(
        listed
            .unwrap()
            .groups
            .iter()
            .all(|each| each.group != group)
    );
}

#[tokio::test]
async fn a_group_that_does_not_exist_is_named_and_hides_no_other() {
    let world = World::new().await;
    let (topic, group) = (world.topic(1).await, unique("group"));
    world.fill(&topic, 0, 1, Duration::ZERO).await;
    world.member(&group, &topic, 1).await.leave().await;
    let none = unique("none");
    let described = within(world.admin.describe_groups([&*none, &*group])).await;
    let error = described.of(none.as_str()).unwrap().clone().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::GROUP_ID_NOT_FOUND));
    assert!(error.to_string().contains(&none), "{error}");
    let found = described.of(group.as_str()).unwrap().as_ref().unwrap();
    assert_eq!(found.state, GroupState::Empty);
    let deleted = within(world.admin.delete_groups([&*none, &*group])).await;
    assert!(deleted.of(none.as_str()).unwrap().is_err());
    assert!(deleted.of(group.as_str()).unwrap().is_ok());
}

#[tokio::test]
async fn a_coordinator_that_moved_is_found_again() {
    let world = World::with_brokers(3).await;
    let Some(broker) = &world.broker else { return };
    let topic = world.topic(1).await;
    world.fill(&topic, 0, 1, Duration::ZERO).await;
    world.member("moving", &topic, 1).await.leave().await;
    let home = broker.inspect().coordinator("moving").unwrap();
    let other = (1..=3).find(|node| *node != home).unwrap();
    within(world.admin.describe_groups(["moving"]))
        .await
        .all()
        .unwrap();
    broker.inspect().move_coordinator("moving", other);
    let described = within(world.admin.describe_groups(["moving"])).await;
    assert_eq!(described.all().unwrap()[0].coordinator.to_wire(), other);
}
