//! Tests of merging answers into the metadata.

use std::collections::BTreeSet;
use std::time::Duration;

use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::TopicName as WireName;
use milena_protocol::messages::metadata_response::MetadataResponseBroker;
use tokio::time::Instant;
use uuid::Uuid;

use super::*;

fn broker(id: i32, host: &str) -> MetadataResponseBroker {
    MetadataResponseBroker::default()
        .with_node_id(BrokerId(id))
        .with_host(StrBytes::from_string(host.to_owned()))
        .with_port(9_092)
}

fn topic(id: u128, partitions: &[(i32, i32)]) -> MetadataResponseTopic {
    let partitions = partitions
        .iter()
        .enumerate()
        .map(|(index, (leader, epoch))| {
            MetadataResponsePartition::default()
                .with_partition_index(index as i32)
                .with_leader_id(BrokerId(*leader))
                .with_leader_epoch(*epoch)
        });
    MetadataResponseTopic::default()
        .with_name(Some(WireName(StrBytes::from_static_str("orders"))))
        .with_topic_id(Uuid::from_u128(id))
        .with_partitions(partitions.collect())
}

fn answer(topics: Vec<MetadataResponseTopic>) -> MetadataResponse {
    MetadataResponse::default()
        .with_brokers(vec![broker(1, "a"), broker(2, "::1")])
        .with_topics(topics)
}

fn place() -> TopicPartition {
    TopicPartition::new("orders", 0)
}

fn node(id: i32) -> Option<NodeId> {
    NodeId::from_wire(id)
}

/// Merges an answer of broker `id`, which is not the only broker.
fn told_by(old: &Metadata, answer: &MetadataResponse, id: i32, doubts: &mut Doubts) -> Metadata {
    let from = Source {
        node: node(id),
        alone: false,
        now: Instant::now(),
    };
    let wanted = Scope::Wanted(BTreeSet::from([TopicName::from("orders")]));
    super::merge(old, answer, &wanted, doubts, from).picture
}

fn merge(old: &Metadata, answer: &MetadataResponse) -> Metadata {
    told_by(old, answer, 1, &mut Doubts::default())
}

fn all_topics(old: &Metadata, answer: &MetadataResponse, doubts: &mut Doubts) -> Metadata {
    let from = Source {
        node: node(1),
        alone: true,
        now: Instant::now(),
    };
    super::merge(old, answer, &Scope::All, doubts, from).picture
}

fn hint(epoch: i32, id: i32) -> LeaderHint {
    LeaderHint {
        node: NodeId::from_wire(id).unwrap(),
        epoch: LeaderEpoch::from_wire(epoch).unwrap(),
    }
}

fn moved(partition: u32, hint: LeaderHint) -> Moved {
    let place = TopicPartition::new("orders", partition);
    Moved { place, hint }
}

#[test]
fn an_older_leader_epoch_never_replaces_a_newer_one() {
    let first = merge(&Metadata::default(), &answer(vec![topic(7, &[(1, 5)])]));
    let stale = merge(&first, &answer(vec![topic(7, &[(2, 4)])]));
    assert_eq!(stale.leader(&place()), node(1));
    let newer = merge(&stale, &answer(vec![topic(7, &[(2, 6)])]));
    assert_eq!(newer.leader(&place()), node(2));
}

#[test]
fn a_leader_that_moves_without_an_epoch_is_followed() {
    let first = merge(&Metadata::default(), &answer(vec![topic(7, &[(1, 5)])]));
    let same = merge(&first, &answer(vec![topic(7, &[(2, 5)])]));
    assert_eq!(same.leader(&place()), node(2));
    let none = merge(&same, &answer(vec![topic(7, &[(1, -1)])]));
    assert_eq!(none.leader(&place()), node(1));
}

#[test]
fn a_topic_made_anew_starts_afresh() {
    let first = merge(
        &Metadata::default(),
        &answer(vec![topic(7, &[(1, 5), (1, 5)])]),
    );
    let mut doubts = Doubts::default();
    let said = answer(vec![topic(8, &[(2, 0)])]);
    let doubted = told_by(&first, &said, 1, &mut doubts);
    assert_eq!(doubted.topic("orders"), first.topic("orders"));
    let anew = told_by(&doubted, &said, 2, &mut doubts);
    assert_eq!(anew.leader(&place()), node(2));
    assert_eq!(anew.topic("orders").unwrap().partitions.len(), 1);
    assert!(anew.topic_by_id(Uuid::from_u128(7)).is_none());
    assert!(anew.topic_by_id(Uuid::from_u128(8)).is_some());
}

#[test]
fn an_id_that_flaps_between_brokers_is_not_followed() {
    let mut doubts = Doubts::default();
    let (fresh, lagging) = (topic(8, &[(2, 0)]), topic(7, &[(1, 5)]));
    let mut picture = merge(&Metadata::default(), &answer(vec![fresh.clone()]));
    for _ in 0..5 {
        picture = told_by(&picture, &answer(vec![lagging.clone()]), 3, &mut doubts);
        assert_eq!(
            picture.topic("orders").unwrap().id,
            Some(Uuid::from_u128(8))
        );
        picture = told_by(&picture, &answer(vec![fresh.clone()]), 1, &mut doubts);
    }
}

#[test]
fn a_topic_without_an_id_that_came_back_smaller_has_no_partitions_of_old() {
    let first = merge(
        &Metadata::default(),
        &answer(vec![topic(0, &[(1, 5), (1, 5), (1, 5)])]),
    );
    // The topic was seen to be gone in between, so one answer is enough.
    let gone = topic(0, &[]).with_error_code(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.to_wire());
    let gone = merge(&first, &answer(vec![gone]));
    let smaller = answer(vec![topic(0, &[(2, 0)])]);
    let back = merge(&gone, &smaller);
    assert_eq!(back.topic("orders").unwrap().partitions.len(), 1);
    assert_eq!(back.leader(&place()), node(2));
    // The topic was not seen to be gone. A broker that does not know added partitions yet answers
    // the same, so a second broker must confirm it.
    let mut doubts = Doubts::default();
    let kept = told_by(&first, &smaller, 1, &mut doubts);
    assert_eq!(kept.topic("orders").unwrap().partitions.len(), 3);
    let back = told_by(&kept, &smaller, 2, &mut doubts);
    assert_eq!(back.topic("orders").unwrap().partitions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_stays_away_is_gone() {
    let mut doubts = Doubts::default();
    let first = merge(&Metadata::default(), &answer(vec![topic(7, &[(1, 5)])]));
    let empty = answer(vec![]);
    let after = all_topics(&first, &empty, &mut doubts);
    assert!(after.topic("orders").is_some());
    tokio::time::advance(Duration::from_secs(6)).await;
    let after = all_topics(&after, &empty, &mut doubts);
    assert!(after.topic("orders").is_none());
    assert!(after.topic_by_id(Uuid::from_u128(7)).is_none());

    let unknown = topic(0, &[]).with_error_code(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.to_wire());
    let unknown = answer(vec![unknown]);
    let after = told_by(&first, &unknown, 1, &mut doubts);
    assert_eq!(after.topic("orders").unwrap().partitions.len(), 1);
    tokio::time::advance(Duration::from_secs(6)).await;
    let after = told_by(&after, &unknown, 1, &mut doubts);
    let shown = after.topic("orders").unwrap();
    assert!(shown.partitions.is_empty() && shown.id.is_none());
}

#[test]
fn what_nobody_asks_for_leaves_the_picture_and_what_was_not_asked_for_stays() {
    let first = merge(&Metadata::default(), &answer(vec![topic(7, &[(1, 5)])]));
    let from = Source {
        node: node(1),
        alone: true,
        now: Instant::now(),
    };
    let mut doubts = Doubts::default();
    let other = BTreeSet::from([TopicName::from("other")]);
    let part = Scope::Part(other.clone());
    let stays = super::merge(&first, &answer(vec![]), &part, &mut doubts, from);
    assert!(stays.picture.topic("orders").is_some() && !stays.is_new);
    let wanted = Scope::Wanted(other);
    let gone = super::merge(&first, &answer(vec![]), &wanted, &mut doubts, from);
    assert!(gone.picture.topic("orders").is_none() && gone.is_new);
}

#[test]
fn a_topic_that_a_broker_forgot_for_a_moment_keeps_its_partitions() {
    let first = merge(&Metadata::default(), &answer(vec![topic(7, &[(1, 5)])]));
    let gone = topic(0, &[]).with_error_code(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.to_wire());
    let after = merge(&first, &answer(vec![gone]));
    let kept = after.topic("orders").unwrap();
    assert_eq!(kept.error, Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    assert_eq!(kept.partitions.len(), 1);
    assert_eq!(kept.id, Some(Uuid::from_u128(7)));
    let left_out = merge(&first, &answer(vec![]));
    assert_eq!(left_out.leader(&place()), node(1));
}

#[test]
fn a_topic_without_an_id_starts_afresh_after_it_was_gone() {
    let first = merge(&Metadata::default(), &answer(vec![topic(0, &[(1, 5)])]));
    let stale = merge(&first, &answer(vec![topic(0, &[(2, 0)])]));
    assert_eq!(stale.leader(&place()), node(1));
    let gone = topic(0, &[]).with_error_code(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.to_wire());
    let anew = merge(
        &merge(&first, &answer(vec![gone])),
        &answer(vec![topic(0, &[(2, 0)])]),
    );
    assert_eq!(anew.leader(&place()), node(2));
}

#[test]
fn an_answer_without_brokers_keeps_the_known_ones() {
    let first = merge(&Metadata::default(), &answer(vec![]));
    let empty = merge(&first, &MetadataResponse::default());
    assert_eq!(empty.brokers().count(), 2);
}

#[test]
fn an_ipv6_host_is_written_with_brackets() {
    // N14: an IPv6 literal without its brackets cannot be dialed.
    let first = merge(&Metadata::default(), &answer(vec![]));
    let shown = first.broker(node(2).unwrap()).unwrap().address.to_string();
    assert_eq!(shown, "[::1]:9092");
}

#[test]
fn a_leader_hint_is_followed_when_it_is_newer() {
    let first = merge(&Metadata::default(), &answer(vec![topic(7, &[(1, 5)])]));
    let follow = |moved: Moved, endpoints: &[NodeEndpoint]| {
        follow(&first, &[moved], endpoints).map(|(picture, _)| picture)
    };
    let followed = follow(moved(0, hint(6, 2)), &[]).unwrap();
    assert_eq!(followed.leader(&place()), node(2));
    assert!(follow(moved(0, hint(5, 2)), &[]).is_none());
    assert!(follow(moved(0, hint(9, 44)), &[]).is_none());
    let endpoint = NodeEndpoint {
        node: NodeId::from_wire(44).unwrap(),
        address: Address::new("new", 1),
        rack: None,
    };
    let learned = follow(moved(0, hint(9, 44)), &[endpoint]).unwrap();
    assert_eq!(learned.leader(&place()), node(44));
}

#[test]
fn the_hints_of_one_answer_make_one_picture() {
    let first = merge(
        &Metadata::default(),
        &answer(vec![topic(7, &[(1, 5), (1, 5), (1, 5)])]),
    );
    let hints = [
        moved(0, hint(6, 2)),
        moved(1, hint(4, 2)),
        moved(2, hint(7, 2)),
        moved(9, hint(7, 2)),
    ];
    let (picture, count) = follow(&first, &hints, &[]).unwrap();
    assert_eq!(count, 2);
    let partitions = &picture.topic("orders").unwrap().partitions;
    let leaders: Vec<_> = partitions.iter().map(|p| p.leader).collect();
    assert_eq!(leaders, [node(2), node(1), node(2)]);
}

#[test]
fn hostile_numbers_are_passed_over() {
    let odd = topic(7, &[(1, 1)]).with_partitions(vec![
        MetadataResponsePartition::default().with_partition_index(-3),
        MetadataResponsePartition::default().with_partition_index(i32::MAX),
    ]);
    let answer = MetadataResponse::default()
        .with_brokers(vec![
            broker(-1, "a"),
            broker(3, ""),
            broker(4, "b").with_port(-9),
        ])
        .with_topics(vec![odd]);
    let merged = merge(&Metadata::default(), &answer);
    assert_eq!(merged.brokers().count(), 0);
    assert!(merged.topic("orders").unwrap().partitions.is_empty());
}
