//! Compares the handwritten Fetch with `kafka-protocol` in every version.

use std::time::Duration;

use bytes::Bytes;
use kafka::protocol::{Decodable, Encodable, StrBytes};
use milena_core::{ErrorCode, ErrorKind, LeaderEpoch, Offset, Partition};
use milena_protocol::fetch::{
    self, FetchPartition, FetchRequest, FetchSession, ForgottenPartition, IsolationLevel,
};
use milena_protocol::kafka;
use milena_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData,
};
use milena_protocol::messages::{self, BrokerId, FetchResponse, TopicName};
use uuid::Uuid;

fn id(topic: &str) -> Uuid {
    let mut raw = [9u8; 16];
    raw[..topic.len()].copy_from_slice(topic.as_bytes());
    Uuid::from_bytes(raw)
}

fn wanted(topic: &str, partition: u32, offset: i64) -> FetchPartition {
    FetchPartition {
        topic: topic.into(),
        topic_id: Some(id(topic)),
        partition: Partition::new(partition),
        offset: Offset::from_wire(offset).unwrap(),
        leader_epoch: LeaderEpoch::from_wire(6),
        last_fetched_epoch: None,
        max_bytes: 1 << 20,
    }
}

fn forgotten(topic: &str, partition: u32) -> ForgottenPartition {
    ForgottenPartition {
        topic: topic.into(),
        topic_id: Some(id(topic)),
        partition: Partition::new(partition),
    }
}

#[test]
fn kafka_protocol_reads_what_we_encode_and_would_write_the_same_bytes() {
    let partitions = [
        wanted("a", 0, 5),
        wanted("a", 1, 6),
        wanted("b", 0, 7),
        wanted("a", 2, 8),
    ];
    let dropped = [forgotten("c", 1), forgotten("c", 2)];
    for version in 4..=17 {
        let sent = FetchRequest {
            max_wait: Duration::from_millis(500),
            min_bytes: 1,
            max_bytes: 50 << 20,
            isolation: IsolationLevel::ReadCommitted,
            session: FetchSession { id: 77, epoch: 3 },
            partitions: &partitions,
            forgotten: &dropped,
            rack: "west",
        };
        let bytes = sent.encode(version).unwrap();
        let mut rest = bytes.clone();
        let read = messages::FetchRequest::decode(&mut rest, version).unwrap();
        assert!(rest.is_empty(), "v{version}");
        assert_eq!(
            (
                read.replica_id,
                read.max_wait_ms,
                read.min_bytes,
                read.max_bytes
            ),
            (BrokerId(-1), 500, 1, 50 << 20)
        );
        assert_eq!(read.isolation_level, 1);
        assert_eq!(
            (read.session_id, read.session_epoch),
            if version >= 7 { (77, 3) } else { (0, -1) }
        );
        assert_eq!(&*read.rack_id, if version >= 11 { "west" } else { "" });
        // The order matters to the broker, so a topic may be there twice.
        let shape: Vec<_> = read
            .topics
            .iter()
            .map(|topic| topic.partitions.len())
            .collect();
        assert_eq!(shape, [2, 1, 1], "v{version}");
        let first = &read.topics[0].partitions[1];
        assert_eq!(
            (
                first.partition,
                first.fetch_offset,
                first.partition_max_bytes
            ),
            (1, 6, 1 << 20)
        );
        assert_eq!(
            first.current_leader_epoch,
            if version >= 9 { 6 } else { -1 }
        );
        assert_eq!((first.last_fetched_epoch, first.log_start_offset), (-1, -1));
        if version >= 13 {
            assert_eq!(read.topics[1].topic_id, id("b"));
        } else {
            assert_eq!(&**read.topics[1].topic, "b");
        }
        let gone: usize = read
            .forgotten_topics_data
            .iter()
            .map(|topic| topic.partitions.len())
            .sum();
        assert_eq!(gone, if version >= 7 { 2 } else { 0 });
        let mut again = Vec::new();
        read.encode(&mut again, version).unwrap();
        assert_eq!(again, bytes, "v{version}");
    }
}

#[test]
fn a_topic_without_an_id_is_refused_where_ids_are_needed() {
    let mut partition = wanted("orders", 0, 0);
    partition.topic_id = None;
    let request = FetchRequest {
        max_wait: Duration::ZERO,
        min_bytes: 0,
        max_bytes: 1,
        isolation: IsolationLevel::ReadUncommitted,
        session: FetchSession::NONE,
        partitions: &[partition],
        forgotten: &[],
        rack: "",
    };
    assert!(request.encode(12).is_ok());
    assert_eq!(request.encode(13).unwrap_err().kind(), ErrorKind::State);
    assert_eq!(
        request.encode(18).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
}

fn their_answer(version: i16) -> FetchResponse {
    let mut full = PartitionData::default();
    full.partition_index = 1;
    full.high_watermark = 100;
    full.last_stable_offset = 90;
    if version >= 5 {
        full.log_start_offset = 10;
    }
    let mut aborted = AbortedTransaction::default();
    aborted.producer_id = messages::ProducerId(55);
    aborted.first_offset = 80;
    full.aborted_transactions = Some(vec![aborted]);
    if version >= 11 {
        full.preferred_read_replica = BrokerId(3);
    }
    full.records = Some(Bytes::from_static(b"records as they lie"));
    let mut moved = PartitionData::default();
    moved.partition_index = 2;
    moved.error_code = ErrorCode::FENCED_LEADER_EPOCH.to_wire();
    moved.high_watermark = -1;
    let mut answer = FetchResponse::default();
    if version >= 12 {
        let mut leader = LeaderIdAndEpoch::default();
        leader.leader_id = BrokerId(4);
        leader.leader_epoch = 12;
        moved.current_leader = leader;
        let mut diverging = EpochEndOffset::default();
        diverging.epoch = 2;
        diverging.end_offset = 33;
        moved.diverging_epoch = diverging;
    }
    if version >= 16 {
        let mut node = NodeEndpoint::default();
        node.node_id = BrokerId(4);
        node.host = StrBytes::from_static_str("kafka-4");
        node.port = 9_094;
        node.rack = Some(StrBytes::from_static_str("west"));
        answer.node_endpoints = vec![node];
    }
    let mut topic = FetchableTopicResponse::default();
    if version >= 13 {
        topic.topic_id = id("a");
    } else {
        topic.topic = TopicName(StrBytes::from_static_str("a"));
    }
    topic.partitions = vec![full, moved];
    answer.responses = vec![topic];
    answer.throttle_time_ms = 15;
    if version >= 7 {
        answer.session_id = 321;
        answer.error_code = ErrorCode::FETCH_SESSION_ID_NOT_FOUND.to_wire();
    }
    answer
}

#[test]
fn our_reader_agrees_with_kafka_protocol_on_the_answer() {
    for version in 4..=17 {
        let mut body = Vec::new();
        their_answer(version).encode(&mut body, version).unwrap();
        let body = Bytes::from(body);
        let read = fetch::decode_response(&body, version).unwrap();
        assert_eq!(read.throttle, Duration::from_millis(15));
        assert_eq!(read.session_id, if version >= 7 { 321 } else { 0 });
        assert_eq!(
            read.error,
            (version >= 7).then_some(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)
        );
        let [full, moved] = &read.partitions[..] else {
            panic!("two partitions")
        };
        assert!(full.topic.is("a", Some(id("a"))));
        assert_eq!((full.partition, full.error), (Partition::new(1), None));
        assert_eq!(
            full.high_watermark.map(milena_core::Offset::to_wire),
            Some(100)
        );
        assert_eq!(
            full.last_stable_offset.map(milena_core::Offset::to_wire),
            Some(90)
        );
        assert_eq!(
            full.log_start_offset.map(milena_core::Offset::to_wire),
            (version >= 5).then_some(10)
        );
        let aborted = full.aborted[0];
        assert_eq!(
            (
                aborted.producer_id.to_wire(),
                aborted.first_offset.to_wire()
            ),
            (55, 80)
        );
        assert_eq!(
            full.preferred_read_replica
                .map(milena_core::NodeId::to_wire),
            (version >= 11).then_some(3)
        );
        assert_eq!(full.records, "records as they lie");
        assert!(
            body.as_ptr_range().contains(&full.records.as_ptr()),
            "shared, not copied"
        );
        assert_eq!(moved.error, Some(ErrorCode::FENCED_LEADER_EPOCH));
        assert_eq!((moved.high_watermark, moved.records.len()), (None, 0));
        assert_eq!(
            moved.leader.map(|l| (l.node.to_wire(), l.epoch.to_wire())),
            (version >= 12).then_some((4, 12))
        );
        assert_eq!(
            moved
                .diverging
                .map(|d| (d.epoch.to_wire(), d.end_offset.to_wire())),
            (version >= 12).then_some((2, 33))
        );
        let node = read
            .endpoints
            .first()
            .map(|n| (n.address.to_string(), n.rack.clone()));
        assert_eq!(
            node,
            (version >= 16).then(|| ("kafka-4:9094".to_owned(), Some("west".to_owned())))
        );
        for cut in 0..body.len() {
            assert!(
                fetch::decode_response(&body.slice(..cut), version).is_err(),
                "v{version} cut at {cut}"
            );
        }
    }
}
