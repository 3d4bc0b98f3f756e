//! Tests of describing the cluster and electing leaders.

use milena_admin::{Election, ElectionKind};

use crate::world::{World, place, within};

#[tokio::test]
async fn a_cluster_names_its_brokers_and_its_controller() {
    let world = World::with_brokers(3).await;
    let cluster = within(world.admin.describe_cluster()).await.unwrap();
    assert!(!cluster.brokers.is_empty());
    assert!(cluster.id.is_some());
    let controller = cluster.controller.unwrap();
    assert!(
        cluster
            .brokers
            .iter()
            .any(|broker| broker.node == controller)
    );
    if world.broker.is_none() {
        let metadata = cluster
            .features
            .iter()
            .find(|each| each.name == "metadata.version");
        assert!(metadata.unwrap().finalized.is_some());
    } else {
        assert_eq!(cluster.brokers.len(), 3);
    }
}

#[tokio::test]
async fn a_leader_that_is_preferred_already_needs_no_election() {
    let world = World::new().await;
    let topic = world.topic(2).await;
    let places = [place(&topic, 0), place(&topic, 1)];
    let elected = within(world.admin.elect_leaders(ElectionKind::Preferred, places));
    let elected = elected.await.unwrap().all().unwrap();
    assert_eq!(elected, [Election::NotNeeded, Election::NotNeeded]);
}

#[tokio::test]
async fn the_preferred_replica_leads_again_after_an_election() {
    let world = World::with_brokers(3).await;
    let Some(broker) = &world.broker else { return };
    let topic = milena_admin::NewTopic::new("moved").partitions(1);
    let topic = topic.replication_factor(3);
    world.create(topic).await;
    let (first, _) = broker.inspect().leader("moved", 0).unwrap();
    let other = (1..=3).find(|node| *node != first).unwrap();
    assert!(broker.inspect().move_leader("moved", 0, other));

    let elected = world
        .admin
        .elect_leaders(ElectionKind::Preferred, [place("moved", 0)]);
    assert_eq!(elected.await.unwrap().all().unwrap(), [Election::Elected]);
    assert_eq!(broker.inspect().leader("moved", 0).unwrap().0, first);
    let all = world
        .admin
        .elect_all_leaders(ElectionKind::Preferred)
        .await
        .unwrap();
    assert!(all.is_empty(), "all are where they should be: {all:?}");
}

#[tokio::test]
async fn a_preferred_replica_that_is_down_is_said_so() {
    let world = World::with_brokers(3).await;
    let Some(broker) = &world.broker else { return };
    let topic = milena_admin::NewTopic::new("down").partitions(1);
    let topic = topic.replication_factor(3);
    world.create(topic).await;
    let (first, _) = broker.inspect().leader("down", 0).unwrap();
    broker.inspect().broker_down(first);
    let elected = world
        .admin
        .elect_leaders(ElectionKind::Preferred, [place("down", 0)]);
    let error = within(elected).await.unwrap().all().unwrap_err();
    assert_eq!(
        error.code(),
        Some(milena_core::ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE)
    );
}
