//! The error codes of refused requests, held against those of a real broker.

use milena_broker::{Broker, ErrorCode};
use milena_protocol::messages::*;

use crate::bed::{Client, topic};
use crate::groups::groups;
use crate::records::{fetches, produces};
use crate::settings::configs;
use crate::topics::topics;

/// The name of a request, and the error code of its answer (0 for none).
pub(crate) type Asked = (&'static str, i16);

#[tokio::test]
async fn refusals_carry_the_codes_of_a_real_broker() {
    let broker = Broker::builder()
        .listen("127.0.0.1:0")
        .start()
        .await
        .unwrap();
    let ours = ask_all(&broker.bootstrap()[0]).await;
    for (question, code) in &ours {
        let expected = EXPECTED
            .iter()
            .find(|(name, _)| name == question)
            .map(|(_, code)| *code);
        assert_eq!(ErrorCode::from_wire(*code), expected.unwrap(), "{question}");
    }
    assert_eq!(ours.len(), EXPECTED.len());
}

#[tokio::test]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn refusals_are_the_same_as_those_of_the_real_broker() {
    let broker = Broker::builder()
        .listen("127.0.0.1:0")
        .start()
        .await
        .unwrap();
    let ours = ask_all(&broker.bootstrap()[0]).await;
    let bootstrap = std::env::var("MILENA_TEST_BOOTSTRAP").unwrap();
    // With several brokers, the test would have to find leaders and coordinators first.
    assert!(!bootstrap.contains(','), "a single broker is compared with");
    let theirs = ask_all(&bootstrap).await;
    let differ: Vec<_> = ours
        .iter()
        .zip(&theirs)
        .filter(|(ours, theirs)| ours != theirs)
        .collect();
    assert!(differ.is_empty(), "ours beside theirs: {differ:?}");
}

async fn ask_all(address: &str) -> Vec<Asked> {
    let mut client = Client::tcp(address).await;
    let name = format!("like-kafka-{}", uuid::Uuid::new_v4());
    let mut asked = topics(&mut client, &name).await;
    asked.extend(produces(&mut client, &name).await);
    asked.extend(fetches(&mut client, &name).await);
    asked.extend(groups(&mut client, &name).await);
    asked.extend(configs(&mut client, &name).await);
    let delete = DeleteTopicsRequest::default()
        .with_topic_names(vec![topic(&name)])
        .with_timeout_ms(10_000);
    asked.push((
        "a topic is deleted",
        client.call(&delete, 5).await.responses[0].error_code,
    ));
    asked
}

const EXPECTED: &[(&str, Option<ErrorCode>)] = &[
    ("a topic with underscores", None),
    (
        "a topic with dots for underscores",
        Some(ErrorCode::INVALID_TOPIC_EXCEPTION),
    ),
    (
        "a topic of a million partitions",
        Some(ErrorCode::POLICY_VIOLATION),
    ),
    (
        "a topic with a ratio over one",
        Some(ErrorCode::INVALID_CONFIG),
    ),
    (
        "a topic with a negative limit",
        Some(ErrorCode::INVALID_CONFIG),
    ),
    ("a record of now", None),
    ("a record of long ago", None),
    (
        "a record of two hours ahead",
        Some(ErrorCode::INVALID_TIMESTAMP),
    ),
    (
        "a record in microseconds",
        Some(ErrorCode::INVALID_TIMESTAMP),
    ),
    ("an append time set by a client", None),
    ("a commit with 4,096 letters", None),
    (
        "a commit with 4,097 letters",
        Some(ErrorCode::OFFSET_METADATA_TOO_LARGE),
    ),
    ("a commit with 2,049 letters of two bytes", None),
    ("settings are replaced", None),
    (
        "an unknown setting is replaced",
        Some(ErrorCode::INVALID_CONFIG),
    ),
    (
        "a setting is replaced by no number",
        Some(ErrorCode::INVALID_CONFIG),
    ),
    (
        "settings of an unknown topic",
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    ),
    (
        "settings of an unknown broker",
        Some(ErrorCode::INVALID_REQUEST),
    ),
    (
        "settings of a broker that is no number",
        Some(ErrorCode::INVALID_REQUEST),
    ),
    (
        "a fixed setting of all brokers",
        Some(ErrorCode::INVALID_REQUEST),
    ),
    ("a topic is made", None),
    (
        "a topic is made twice",
        Some(ErrorCode::TOPIC_ALREADY_EXISTS),
    ),
    (
        "a topic with a space",
        Some(ErrorCode::INVALID_TOPIC_EXCEPTION),
    ),
    (
        "a topic without partitions",
        Some(ErrorCode::INVALID_PARTITIONS),
    ),
    (
        "a topic with too many replicas",
        Some(ErrorCode::INVALID_REPLICATION_FACTOR),
    ),
    (
        "a topic with an unknown setting",
        Some(ErrorCode::INVALID_CONFIG),
    ),
    ("fewer partitions", Some(ErrorCode::INVALID_PARTITIONS)),
    ("a sound batch", None),
    ("a flipped bit", Some(ErrorCode::CORRUPT_MESSAGE)),
    ("two batches", Some(ErrorCode::INVALID_RECORD)),
    ("a batch in format 3", Some(ErrorCode::CORRUPT_MESSAGE)),
    ("a first sequence of 5", None),
    ("the next sequence", None),
    ("the same batch again", None),
    (
        "a gap in the sequence",
        Some(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER),
    ),
    (
        "a new epoch not from 0",
        Some(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER),
    ),
    ("a new epoch", None),
    ("an old epoch", Some(ErrorCode::INVALID_PRODUCER_EPOCH)),
    (
        "an unknown topic",
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    ),
    (
        "an unknown partition",
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    ),
    ("acks of 2", Some(ErrorCode::INVALID_REQUIRED_ACKS)),
    ("past the end", Some(ErrorCode::OFFSET_OUT_OF_RANGE)),
    ("at the end", None),
    (
        "an unknown topic is fetched",
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    ),
    (
        "a future leader epoch",
        Some(ErrorCode::UNKNOWN_LEADER_EPOCH),
    ),
    (
        "an unknown session",
        Some(ErrorCode::FETCH_SESSION_ID_NOT_FOUND),
    ),
    (
        "a session epoch too far",
        Some(ErrorCode::INVALID_FETCH_SESSION_EPOCH),
    ),
    ("the end offset", None),
    (
        "the end offset of an unknown partition",
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    ),
    (
        "the end offset under a future epoch",
        Some(ErrorCode::UNKNOWN_LEADER_EPOCH),
    ),
    (
        "a session too short",
        Some(ErrorCode::INVALID_SESSION_TIMEOUT),
    ),
    (
        "an unknown member joins",
        Some(ErrorCode::UNKNOWN_MEMBER_ID),
    ),
    (
        "a join without assignors",
        Some(ErrorCode::INCONSISTENT_GROUP_PROTOCOL),
    ),
    ("a first join", Some(ErrorCode::MEMBER_ID_REQUIRED)),
    ("a join with the id", None),
    (
        "a heartbeat of a stranger",
        Some(ErrorCode::UNKNOWN_MEMBER_ID),
    ),
    (
        "a heartbeat of an old generation",
        Some(ErrorCode::ILLEGAL_GENERATION),
    ),
    ("a heartbeat before the sync", None),
    (
        "a commit before the sync",
        Some(ErrorCode::REBALANCE_IN_PROGRESS),
    ),
    ("a sync", None),
    (
        "a sync of an old generation",
        Some(ErrorCode::ILLEGAL_GENERATION),
    ),
    ("a commit", None),
    (
        "a commit of an old generation",
        Some(ErrorCode::ILLEGAL_GENERATION),
    ),
    ("a commit of a stranger", Some(ErrorCode::UNKNOWN_MEMBER_ID)),
    ("a commit from outside", Some(ErrorCode::UNKNOWN_MEMBER_ID)),
    (
        "a group in use is deleted",
        Some(ErrorCode::NON_EMPTY_GROUP),
    ),
    ("a stranger leaves", Some(ErrorCode::UNKNOWN_MEMBER_ID)),
    ("a member leaves", None),
    ("a late commit", Some(ErrorCode::UNKNOWN_MEMBER_ID)),
    ("a group is deleted", None),
    (
        "a group is deleted twice",
        Some(ErrorCode::GROUP_ID_NOT_FOUND),
    ),
    ("a topic is deleted", None),
];
