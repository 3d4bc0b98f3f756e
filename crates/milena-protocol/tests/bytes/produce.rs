//! Compares the handwritten Produce with `kafka-protocol` in every version.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka::protocol::{Decodable, Encodable, StrBytes};
use milena_core::{
    ErrorCode, ErrorKind, HeadersRef, Partition, ProducerEpoch, ProducerId, Sequence, Timestamp,
};
use milena_protocol::batch::{BatchBuilder, Batches, ProducerStamp, SealedBatch};
use milena_protocol::compression::Compression;
use milena_protocol::hints::TopicRef;
use milena_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
    TopicProduceResponse,
};
use milena_protocol::messages::{BrokerId, ProduceRequest, ProduceResponse, TopicName};
use milena_protocol::produce::{self, PartitionBatch, ProduceOptions};
use milena_protocol::request::{self, RequestHeader};
use milena_protocol::{ApiKey, kafka};
use uuid::Uuid;

fn sealed(value: &str) -> SealedBatch {
    let mut open = BatchBuilder::with_capacity(256);
    let time = Timestamp::from_millis(1_700_000_000_000);
    open.append(time, None, Some(value.as_bytes()), HeadersRef::empty())
        .unwrap();
    open.seal(Compression::None).unwrap().0
}

fn stamp(sequence: i32) -> ProducerStamp {
    ProducerStamp {
        id: ProducerId::from_wire(4_000).unwrap(),
        epoch: ProducerEpoch::from_wire(2).unwrap(),
        sequence: Sequence::from_wire(sequence).unwrap(),
        transactional: false,
    }
}

fn id(topic: &str) -> Uuid {
    let mut raw = [7u8; 16];
    raw[..topic.len()].copy_from_slice(topic.as_bytes());
    Uuid::from_bytes(raw)
}

fn batches() -> (Vec<PartitionBatch>, Vec<(&'static str, i32, Bytes)>) {
    let mut given = Vec::new();
    let mut expected = Vec::new();
    for (at, (topic, partition)) in [("b", 3), ("a", 0), ("b", 1), ("a", 7)]
        .into_iter()
        .enumerate()
    {
        let batch = sealed(&"x".repeat(at * 100));
        let stamp = Some(stamp(i32::try_from(at).unwrap()));
        expected.push((topic, partition, batch.to_bytes(stamp)));
        given.push(PartitionBatch {
            topic: topic.into(),
            topic_id: Some(id(topic)),
            partition: Partition::from_wire(partition).unwrap(),
            header: batch.header(stamp),
            body: batch.body().clone(),
        });
    }
    expected.sort_by_key(|(topic, _, _)| *topic);
    (given, expected)
}

#[test]
fn kafka_protocol_reads_what_we_encode_and_would_write_the_same_bytes() {
    for version in 3..=13 {
        let (given, expected) = batches();
        let options = ProduceOptions {
            acks: -1,
            timeout: Duration::from_secs(30),
            transactional_id: Some("tx"),
        };
        let pieces = produce::encode(version, &options, given).unwrap();
        let len = pieces.iter().map(Bytes::len).sum();
        let mut frame = BytesMut::from(
            &request::head(ApiKey::Produce, version, 9, Some("me"), len).unwrap()[..],
        );
        pieces.iter().for_each(|piece| frame.put_slice(piece));
        let frame = frame.freeze();

        let (header, mut body) = RequestHeader::split(&frame.slice(4..)).unwrap();
        assert_eq!(
            (header.api(), header.version),
            (Some(ApiKey::Produce), version)
        );
        let read = ProduceRequest::decode(&mut body, version).unwrap();
        assert!(body.is_empty());
        assert_eq!((read.acks, read.timeout_ms), (-1, 30_000));
        assert_eq!(read.transactional_id.as_deref().map(|id| &**id), Some("tx"));
        let mut found = Vec::new();
        for topic in &read.topic_data {
            for partition in &topic.partition_data {
                let name = if version >= 13 {
                    assert!(topic.topic_id == id("a") || topic.topic_id == id("b"));
                    if topic.topic_id == id("a") { "a" } else { "b" }
                } else {
                    if &**topic.name == "a" { "a" } else { "b" }
                };
                found.push((name, partition.index, partition.records.clone().unwrap()));
            }
        }
        assert_eq!(found, expected, "v{version}");
        assert_eq!(read.topic_data.len(), 2, "one entry per topic");

        let again = request::encode(&read, version, 9, Some("me")).unwrap();
        assert_eq!(again, frame, "v{version}");
        for (_, _, records) in found {
            let batch = Batches::new(records).next().unwrap().unwrap();
            batch.verify_crc().unwrap();
            assert_eq!(
                batch.header().stamp().map(|stamp| stamp.id.to_wire()),
                Some(4_000)
            );
        }
    }
}

#[test]
fn bodies_are_sent_as_they_lie_and_not_copied() {
    let batch = sealed("value");
    let given = vec![PartitionBatch {
        topic: "orders".into(),
        topic_id: None,
        partition: Partition::new(0),
        header: batch.header(None),
        body: batch.body().clone(),
    }];
    let options = ProduceOptions {
        acks: 1,
        timeout: Duration::from_secs(1),
        transactional_id: None,
    };
    let pieces = produce::encode(9, &options, given).unwrap();
    assert_eq!(pieces[1].as_ptr(), batch.body().as_ptr());
}

#[test]
fn a_topic_without_an_id_is_refused_where_ids_are_needed() {
    let (mut given, _) = batches();
    given[0].topic_id = None;
    let options = ProduceOptions {
        acks: -1,
        timeout: Duration::from_secs(1),
        transactional_id: None,
    };
    let error = produce::encode(13, &options, given).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.to_string().contains("topic b"), "{error}");
    assert!(produce::encode(2, &options, Vec::new()).is_err());
}

fn their_answer(version: i16) -> ProduceResponse {
    let mut partition = PartitionProduceResponse::default();
    partition.index = 3;
    partition.error_code = ErrorCode::NOT_LEADER_OR_FOLLOWER.to_wire();
    partition.base_offset = -1;
    partition.log_append_time_ms = 1_234;
    if version >= 5 {
        partition.log_start_offset = 17;
    }
    if version >= 8 {
        let mut bad = BatchIndexAndErrorMessage::default();
        bad.batch_index = 2;
        bad.batch_index_error_message = Some(StrBytes::from_static_str("too old"));
        partition.record_errors = vec![bad];
        partition.error_message = Some(StrBytes::from_static_str("refused"));
    }
    let mut answer = ProduceResponse::default();
    if version >= 10 {
        let mut leader = LeaderIdAndEpoch::default();
        leader.leader_id = BrokerId(5);
        leader.leader_epoch = 8;
        partition.current_leader = leader;
        let mut node = NodeEndpoint::default();
        node.node_id = BrokerId(5);
        node.host = StrBytes::from_static_str("::1");
        node.port = 9_092;
        answer.node_endpoints = vec![node];
    }
    let mut topic = TopicProduceResponse::default();
    if version >= 13 {
        topic.topic_id = id("a");
    } else {
        topic.name = TopicName(StrBytes::from_static_str("a"));
    }
    let mut good = PartitionProduceResponse::default();
    good.index = 4;
    good.base_offset = 99;
    topic.partition_responses = vec![partition, good];
    answer.responses = vec![topic];
    answer.throttle_time_ms = 40;
    answer
}

#[test]
fn a_negative_index_of_a_refused_record_blames_no_record() {
    let mut answer = their_answer(8);
    answer.responses[0].partition_responses[0].record_errors[0].batch_index = -1;
    let mut body = Vec::new();
    answer.encode(&mut body, 8).unwrap();
    let read = produce::decode_response(&body, 8).unwrap();
    assert_eq!(read.partitions[0].record_errors[0].index, u32::MAX);
}

#[test]
fn our_reader_agrees_with_kafka_protocol_on_the_answer() {
    for version in 3..=13 {
        let mut body = Vec::new();
        their_answer(version).encode(&mut body, version).unwrap();
        let read = produce::decode_response(&body, version).unwrap();
        assert_eq!(read.throttle, Duration::from_millis(40));
        let [bad, good] = &read.partitions[..] else {
            panic!("two partitions")
        };
        assert!(bad.topic.is("a", Some(id("a"))), "v{version}");
        assert_eq!(matches!(bad.topic, TopicRef::Id(_)), version >= 13);
        assert_eq!(bad.partition, Partition::new(3));
        assert_eq!(bad.error, Some(ErrorCode::NOT_LEADER_OR_FOLLOWER));
        assert_eq!(bad.base_offset, None);
        assert_eq!(bad.append_time, Some(Timestamp::from_millis(1_234)));
        assert_eq!(
            bad.log_start_offset.map(milena_core::Offset::to_wire),
            (version >= 5).then_some(17)
        );
        assert_eq!(bad.message, (version >= 8).then_some("refused"));
        assert_eq!(
            bad.record_errors.first().map(|e| (e.index, e.message)),
            (version >= 8).then_some((2, Some("too old")))
        );
        assert_eq!(
            bad.leader.map(|l| (l.node.to_wire(), l.epoch.to_wire())),
            (version >= 10).then_some((5, 8))
        );
        assert_eq!(
            read.endpoints.first().map(|n| n.address.to_string()),
            (version >= 10).then(|| "[::1]:9092".to_owned())
        );
        assert_eq!(
            (
                good.error,
                good.base_offset.map(milena_core::Offset::to_wire)
            ),
            (None, Some(99))
        );
        assert_eq!(good.append_time, None);
        assert_eq!(good.leader, None);
        for cut in 0..body.len() {
            assert!(
                produce::decode_response(&body[..cut], version).is_err(),
                "v{version} cut at {cut}"
            );
        }
    }
}
