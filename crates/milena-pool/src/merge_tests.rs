//! Facts about merging answers into the picture of the cluster.

use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::TopicName as WireName;
use milena_protocol::messages::metadata_response::MetadataResponseBroker;
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
    let anew = merge(&first, &answer(vec![topic(8, &[(2, 0)])]));
    assert_eq!(anew.leader(&place()), node(2));
    assert_eq!(anew.topic("orders").unwrap().partitions.len(), 1);
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
    // N14: a literal that lost its brackets cannot be dialed.
    let first = merge(&Metadata::default(), &answer(vec![]));
    let shown = first.broker(node(2).unwrap()).unwrap().address.to_string();
    assert_eq!(shown, "[::1]:9092");
}

#[test]
fn a_leader_hint_is_followed_when_it_is_newer() {
    let first = merge(&Metadata::default(), &answer(vec![topic(7, &[(1, 5)])]));
    let hint = |epoch, id| LeaderHint {
        node: NodeId::from_wire(id).unwrap(),
        epoch: LeaderEpoch::from_wire(epoch).unwrap(),
    };
    let followed = follow(&first, &place(), &hint(6, 2), &[]).unwrap();
    assert_eq!(followed.leader(&place()), node(2));
    assert!(follow(&first, &place(), &hint(5, 2), &[]).is_none());
    assert!(follow(&first, &place(), &hint(9, 44), &[]).is_none());
    let endpoint = NodeEndpoint {
        node: NodeId::from_wire(44).unwrap(),
        address: Address::new("new", 1),
        rack: None,
    };
    let learned = follow(&first, &place(), &hint(9, 44), &[endpoint]).unwrap();
    assert_eq!(learned.leader(&place()), node(44));
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
