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
    let ours = ask_ours().await;
    for (question, code) in &ours {
        let mut expected = EXPECTED.iter();
        let (expected, _) = expected
            .find(|(_, names)| names.contains(question))
            .unwrap();
        assert_eq!(ErrorCode::from_wire(*code), *expected, "{question}");
    }
    let expected = EXPECTED.iter().map(|(_, names)| names.len());
    assert_eq!(ours.len(), expected.sum::<usize>());
}

#[tokio::test]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn refusals_are_the_same_as_those_of_the_real_broker() {
    let ours = ask_ours().await;
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

/// Asks a new embedded broker.
async fn ask_ours() -> Vec<Asked> {
    let broker = Broker::builder().listen("127.0.0.1:0").start();
    ask_all(&broker.await.unwrap().bootstrap()[0]).await
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

/// The requests by the error code of their answer, `None` for those that succeed.
const EXPECTED: &[(Option<ErrorCode>, &[&str])] = &[
    (
        None,
        &[
            "a topic with underscores",
            "a record of now",
            "a record of long ago",
            "an append time set by a client",
            "a commit with 4,096 letters",
            "a commit with 2,049 letters of two bytes",
            "settings are replaced",
            "a topic is made",
            "a sound batch",
            "a first sequence of 5",
            "the next sequence",
            "the same batch again",
            "a new epoch",
            "at the end",
            "the end offset",
            "a join with the id",
            "a heartbeat before the sync",
            "a sync",
            "a commit",
            "a member leaves",
            "a group is deleted",
            "a topic is deleted",
        ],
    ),
    (
        Some(ErrorCode::INVALID_TOPIC_EXCEPTION),
        &["a topic with dots for underscores", "a topic with a space"],
    ),
    (
        Some(ErrorCode::POLICY_VIOLATION),
        &["a topic of a million partitions"],
    ),
    (
        Some(ErrorCode::INVALID_CONFIG),
        &[
            "a topic with a ratio over one",
            "a topic with a negative limit",
            "an unknown setting is replaced",
            "a setting is replaced by no number",
            "a topic with an unknown setting",
        ],
    ),
    (
        Some(ErrorCode::INVALID_TIMESTAMP),
        &["a record of two hours ahead", "a record in microseconds"],
    ),
    (
        Some(ErrorCode::OFFSET_METADATA_TOO_LARGE),
        &["a commit with 4,097 letters"],
    ),
    (
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        &[
            "settings of an unknown topic",
            "an unknown topic",
            "an unknown partition",
            "an unknown topic is fetched",
            "the end offset of an unknown partition",
        ],
    ),
    (
        Some(ErrorCode::INVALID_REQUEST),
        &[
            "settings of an unknown broker",
            "settings of a broker that is no number",
            "a fixed setting of all brokers",
        ],
    ),
    (
        Some(ErrorCode::TOPIC_ALREADY_EXISTS),
        &["a topic is made twice"],
    ),
    (
        Some(ErrorCode::INVALID_PARTITIONS),
        &["a topic without partitions", "fewer partitions"],
    ),
    (
        Some(ErrorCode::INVALID_REPLICATION_FACTOR),
        &["a topic with too many replicas"],
    ),
    (
        Some(ErrorCode::CORRUPT_MESSAGE),
        &["a flipped bit", "a batch in format 3"],
    ),
    (Some(ErrorCode::INVALID_RECORD), &["two batches"]),
    (
        Some(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER),
        &["a gap in the sequence", "a new epoch not from 0"],
    ),
    (Some(ErrorCode::INVALID_PRODUCER_EPOCH), &["an old epoch"]),
    (Some(ErrorCode::INVALID_REQUIRED_ACKS), &["acks of 2"]),
    (Some(ErrorCode::OFFSET_OUT_OF_RANGE), &["past the end"]),
    (
        Some(ErrorCode::UNKNOWN_LEADER_EPOCH),
        &[
            "a future leader epoch",
            "the end offset under a future epoch",
        ],
    ),
    (
        Some(ErrorCode::FETCH_SESSION_ID_NOT_FOUND),
        &["an unknown session"],
    ),
    (
        Some(ErrorCode::INVALID_FETCH_SESSION_EPOCH),
        &["a session epoch too far"],
    ),
    (
        Some(ErrorCode::INVALID_SESSION_TIMEOUT),
        &["a session too short"],
    ),
    (
        Some(ErrorCode::UNKNOWN_MEMBER_ID),
        &[
            "an unknown member joins",
            "a heartbeat of a stranger",
            "a commit of a stranger",
            "a commit from outside",
            "a stranger leaves",
            "a late commit",
        ],
    ),
    (
        Some(ErrorCode::INCONSISTENT_GROUP_PROTOCOL),
        &["a join without assignors"],
    ),
    (Some(ErrorCode::MEMBER_ID_REQUIRED), &["a first join"]),
    (
        Some(ErrorCode::ILLEGAL_GENERATION),
        &[
            "a heartbeat of an old generation",
            "a sync of an old generation",
            "a commit of an old generation",
        ],
    ),
    (
        Some(ErrorCode::REBALANCE_IN_PROGRESS),
        &["a commit before the sync"],
    ),
    (
        Some(ErrorCode::NON_EMPTY_GROUP),
        &["a group in use is deleted"],
    ),
    (
        Some(ErrorCode::GROUP_ID_NOT_FOUND),
        &["a group is deleted twice"],
    ),
];
