//! The error codes of a real broker, request by request. The embedded broker answers with the same
//! codes.
//!
//! The same requests go to the single real broker that `MILENA_TEST_BOOTSTRAP` names.
//! `scripts/test-real-kafka` starts one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeMap;

use milena_broker::{Broker, ErrorCode};
use milena_core::Timestamp;
use milena_protocol::batch::rewrite;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::*;
use support::{Client, batch, batch_at, fetching, producing, text, topic};

/// The name of a request, and the error code of its answer (0 for none).
type Asked = (&'static str, i16);

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

async fn topics(client: &mut Client, name: &str) -> Vec<Asked> {
    let mut asked = Vec::new();
    let new = |name: &str, partitions, replicas| {
        create_topics_request::CreatableTopic::default()
            .with_name(topic(name))
            .with_num_partitions(partitions)
            .with_replication_factor(replicas)
    };
    let bad_config = create_topics_request::CreatableTopicConfig::default()
        .with_name(text("no.such.config"))
        .with_value(Some(text("1")));
    for (question, wish) in [
        // Kafka 3.9 has no limit by default.
        (
            "a topic is made",
            new(name, 2, 1).with_configs(vec![
                create_topics_request::CreatableTopicConfig::default()
                    .with_name(text("message.timestamp.after.max.ms"))
                    .with_value(Some(text("3600000"))),
            ]),
        ),
        ("a topic is made twice", new(name, 2, 1)),
        ("a topic with a space", new("a b", 1, 1)),
        ("a topic without partitions", new("like-kafka-other", 0, 1)),
        (
            "a topic with too many replicas",
            new("like-kafka-other", 1, 99),
        ),
        (
            "a topic with an unknown setting",
            new("like-kafka-other", 1, 1).with_configs(vec![bad_config]),
        ),
    ] {
        let request = CreateTopicsRequest::default()
            .with_topics(vec![wish])
            .with_timeout_ms(10_000);
        asked.push((
            question,
            client.call(&request, 5).await.topics[0].error_code,
        ));
    }
    let config = |key: &str, value: &str| {
        create_topics_request::CreatableTopicConfig::default()
            .with_name(text(key))
            .with_value(Some(text(value)))
    };
    let twin = name.replace('-', "_");
    let dotted = name.replace('-', ".");
    for (question, wish) in [
        ("a topic with underscores", new(&twin, 1, 1)),
        ("a topic with dots for underscores", new(&dotted, 1, 1)),
        (
            "a topic of a million partitions",
            new("like-kafka-other", 1_000_000, 1),
        ),
        (
            "a topic with a ratio over one",
            new("like-kafka-other", 1, 1)
                .with_configs(vec![config("min.cleanable.dirty.ratio", "1.5")]),
        ),
        (
            "a topic with a negative limit",
            new("like-kafka-other", 1, 1).with_configs(vec![config("max.message.bytes", "-1")]),
        ),
    ] {
        let request = CreateTopicsRequest::default()
            .with_topics(vec![wish])
            .with_timeout_ms(10_000);
        asked.push((
            question,
            client.call(&request, 5).await.topics[0].error_code,
        ));
    }
    let gone = DeleteTopicsRequest::default()
        .with_topic_names(vec![topic(&twin)])
        .with_timeout_ms(10_000);
    client.call(&gone, 5).await;
    // A real broker knows a new topic a moment later than its controller.
    while client.fetch(name, 1, 0).await.error_code != 0 {
        tokio::task::yield_now().await;
    }
    let fewer = create_partitions_request::CreatePartitionsTopic::default()
        .with_name(topic(name))
        .with_count(1)
        .with_assignments(None);
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![fewer])
        .with_timeout_ms(10_000);
    asked.push((
        "fewer partitions",
        client.call(&request, 2).await.results[0].error_code,
    ));
    asked
}

async fn produces(client: &mut Client, name: &str) -> Vec<Asked> {
    let mut asked = Vec::new();
    let good = batch(3, None);
    let changed = |at: usize, to: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = to;
        bytes::Bytes::from(bytes)
    };
    for (question, records) in [
        ("a sound batch", good.clone()),
        ("a flipped bit", changed(good.len() - 1, 0xff)),
        ("two batches", [&good[..], &good[..]].concat().into()),
        ("a batch in format 3", changed(16, 3)),
        ("a first sequence of 5", batch(2, Some((77_000, 0, 5)))),
        ("the next sequence", batch(2, Some((77_000, 0, 7)))),
        ("the same batch again", batch(2, Some((77_000, 0, 7)))),
        ("a gap in the sequence", batch(2, Some((77_000, 0, 12)))),
        ("a new epoch not from 0", batch(2, Some((77_000, 1, 9)))),
        ("a new epoch", batch(2, Some((77_000, 1, 0)))),
        ("an old epoch", batch(2, Some((77_000, 0, 9)))),
    ] {
        asked.push((question, client.produce(name, 0, records).await.error_code));
    }
    let now = Timestamp::now().to_millis();
    let hours = |count: i64| now + count * 3_600_000;
    let mut stamped = batch_at(&[now]).to_vec();
    stamped[22] |= 8;
    rewrite::renew_crc(&mut stamped);
    for (question, records) in [
        ("a record of now", batch_at(&[now])),
        ("a record of long ago", batch_at(&[1])),
        ("a record of two hours ahead", batch_at(&[now, hours(2)])),
        ("a record in microseconds", batch_at(&[now * 1000])),
        ("an append time set by a client", stamped.into()),
    ] {
        asked.push((question, client.produce(name, 1, records).await.error_code));
    }
    asked.push((
        "an unknown topic",
        client
            .produce("like-kafka-unknown", 0, good.clone())
            .await
            .error_code,
    ));
    asked.push((
        "an unknown partition",
        client.produce(name, 9, good.clone()).await.error_code,
    ));
    let odd = client.call(&producing(name, 0, good).with_acks(2), 9).await;
    asked.push((
        "acks of 2",
        odd.responses[0].partition_responses[0].error_code,
    ));
    asked
}

async fn fetches(client: &mut Client, name: &str) -> Vec<Asked> {
    let mut asked = vec![
        ("past the end", client.fetch(name, 0, 1000).await.error_code),
        ("at the end", client.fetch(name, 1, 3).await.error_code),
        (
            "an unknown topic is fetched",
            client.fetch("like-kafka-unknown", 0, 0).await.error_code,
        ),
    ];
    let mut request = fetching(name, &[(0, 0)]);
    request.topics[0].partitions[0].current_leader_epoch = 999;
    asked.push((
        "a future leader epoch",
        client.call(&request, 11).await.responses[0].partitions[0].error_code,
    ));
    let session = fetching(name, &[])
        .with_session_id(123_456_789)
        .with_session_epoch(4);
    asked.push((
        "an unknown session",
        client.call(&session, 11).await.error_code,
    ));
    let full = client
        .call(&fetching(name, &[(0, 0)]).with_session_epoch(0), 11)
        .await;
    let skipped = fetching(name, &[])
        .with_session_id(full.session_id)
        .with_session_epoch(9);
    asked.push((
        "a session epoch too far",
        client.call(&skipped, 11).await.error_code,
    ));
    for (question, partition, epoch) in [
        ("the end offset", 0, -1),
        ("the end offset of an unknown partition", 9, -1),
        ("the end offset under a future epoch", 0, 999),
    ] {
        let partition = list_offsets_request::ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_timestamp(-1)
            .with_current_leader_epoch(epoch);
        let topics = list_offsets_request::ListOffsetsTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(vec![topics]);
        asked.push((
            question,
            client.call(&request, 5).await.topics[0].partitions[0].error_code,
        ));
    }
    asked
}

async fn groups(client: &mut Client, name: &str) -> Vec<Asked> {
    let group = || GroupId(text(name));
    // The coordinator of a real broker is available a moment after the first request for it.
    loop {
        let find = FindCoordinatorRequest::default().with_key(text(name));
        if client.call(&find, 3).await.error_code == 0 {
            let probe = HeartbeatRequest::default()
                .with_group_id(group())
                .with_member_id(text("x"));
            if !matches!(client.call(&probe, 3).await.error_code, 14..=16) {
                break;
            }
        }
        tokio::task::yield_now().await;
    }
    let mut asked = Vec::new();
    let protocol = join_group_request::JoinGroupRequestProtocol::default().with_name(text("range"));
    let join = |member: &StrBytes| {
        JoinGroupRequest::default()
            .with_group_id(group())
            .with_session_timeout_ms(10_000)
            .with_rebalance_timeout_ms(10_000)
            .with_member_id(member.clone())
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol.clone()])
    };
    let short = join(&text("")).with_session_timeout_ms(1);
    asked.push((
        "a session too short",
        client.call(&short, 5).await.error_code,
    ));
    asked.push((
        "an unknown member joins",
        client.call(&join(&text("x")), 5).await.error_code,
    ));
    let none = join(&text("")).with_protocols(vec![]);
    asked.push((
        "a join without assignors",
        client.call(&none, 5).await.error_code,
    ));
    let first = client.call(&join(&text("")), 5).await;
    asked.push(("a first join", first.error_code));
    let joined = client.call(&join(&first.member_id), 5).await;
    asked.push(("a join with the id", joined.error_code));
    let beat = |generation, member: &StrBytes| {
        HeartbeatRequest::default()
            .with_group_id(group())
            .with_generation_id(generation)
            .with_member_id(member.clone())
    };
    let id = &joined.member_id;
    asked.push((
        "a heartbeat of a stranger",
        client.call(&beat(1, &text("x")), 3).await.error_code,
    ));
    asked.push((
        "a heartbeat of an old generation",
        client.call(&beat(0, id), 3).await.error_code,
    ));
    asked.push((
        "a heartbeat before the sync",
        client.call(&beat(1, id), 3).await.error_code,
    ));
    let commit = |generation, member: &StrBytes| {
        let partition =
            offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(1);
        let topics = offset_commit_request::OffsetCommitRequestTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![partition]);
        OffsetCommitRequest::default()
            .with_group_id(group())
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(member.clone())
            .with_topics(vec![topics])
    };
    let code = |answer: OffsetCommitResponse| answer.topics[0].partitions[0].error_code;
    asked.push((
        "a commit before the sync",
        code(client.call(&commit(1, id), 7).await),
    ));
    let sync = SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(id.clone());
    asked.push(("a sync", client.call(&sync, 3).await.error_code));
    asked.push((
        "a sync of an old generation",
        client
            .call(&sync.clone().with_generation_id(0), 3)
            .await
            .error_code,
    ));
    asked.push(("a commit", code(client.call(&commit(1, id), 7).await)));
    asked.push((
        "a commit of an old generation",
        code(client.call(&commit(0, id), 7).await),
    ));
    asked.push((
        "a commit of a stranger",
        code(client.call(&commit(1, &text("x")), 7).await),
    ));
    asked.push((
        "a commit from outside",
        code(client.call(&commit(-1, &text("")), 7).await),
    ));
    for (question, metadata) in [
        ("a commit with 4,096 letters", "m".repeat(4096)),
        ("a commit with 4,097 letters", "m".repeat(4097)),
        ("a commit with 2,049 letters of two bytes", "ü".repeat(2049)),
    ] {
        let mut noted = commit(1, id);
        noted.topics[0].partitions[0].committed_metadata = Some(text(&metadata));
        asked.push((question, code(client.call(&noted, 7).await)));
    }
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group()]);
    asked.push((
        "a group in use is deleted",
        client.call(&delete, 1).await.results[0].error_code,
    ));
    let leave = LeaveGroupRequest::default().with_group_id(group());
    asked.push((
        "a stranger leaves",
        client
            .call(&leave.clone().with_member_id(text("x")), 2)
            .await
            .error_code,
    ));
    asked.push((
        "a member leaves",
        client
            .call(&leave.with_member_id(id.clone()), 2)
            .await
            .error_code,
    ));
    asked.push(("a late commit", code(client.call(&commit(1, id), 7).await)));
    asked.push((
        "a group is deleted",
        client.call(&delete, 1).await.results[0].error_code,
    ));
    asked.push((
        "a group is deleted twice",
        client.call(&delete, 1).await.results[0].error_code,
    ));
    asked
}

async fn configs(client: &mut Client, name: &str) -> Vec<Asked> {
    use alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let mut asked = Vec::new();
    for (question, kind, resource, key, value) in [
        ("settings are replaced", 2, name, "retention.ms", "1000"),
        (
            "an unknown setting is replaced",
            2,
            name,
            "no.such.key",
            "1",
        ),
        (
            "a setting is replaced by no number",
            2,
            name,
            "retention.ms",
            "soon",
        ),
        (
            "settings of an unknown topic",
            2,
            "like-kafka-unknown",
            "retention.ms",
            "1",
        ),
        (
            "settings of an unknown broker",
            4,
            "99",
            "message.max.bytes",
            "2000000",
        ),
        (
            "settings of a broker that is no number",
            4,
            "x",
            "message.max.bytes",
            "2000000",
        ),
        ("a fixed setting of all brokers", 4, "", "node.id", "7"),
    ] {
        let config = AlterableConfig::default()
            .with_name(text(key))
            .with_value(Some(text(value)));
        let resource = AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(resource))
            .with_configs(vec![config]);
        let request = AlterConfigsRequest::default()
            .with_resources(vec![resource])
            .with_validate_only(true);
        let answer = client.call(&request, 2).await;
        asked.push((question, answer.responses[0].error_code));
    }
    asked
}

/// The form in which Kafka returns the text of a setting.
#[tokio::test]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn settings_read_back_as_on_the_real_broker() {
    let bootstrap = std::env::var("MILENA_TEST_BOOTSTRAP").unwrap();
    let mut client = Client::tcp(&bootstrap).await;
    read_back(&mut client).await;
}

#[tokio::test]
async fn settings_read_back_in_the_form_that_kafka_gives_them() {
    let broker = Broker::builder().start().await.unwrap();
    let mut client = Client::to(&broker, 1).await;
    read_back(&mut client).await;
}

async fn read_back(client: &mut Client) {
    let name = format!("like-kafka-{}", uuid::Uuid::new_v4());
    let given = [
        ("min.cleanable.dirty.ratio", "0.50", "0.5"),
        ("preallocate", "FALSE", "false"),
        ("segment.bytes", " 1073741824 ", "1073741824"),
        ("message.timestamp.after.max.ms", "+3600000", "3600000"),
        ("unclean.leader.election.enable", "true ", "true"),
    ];
    let configs = given.map(|(key, value, _)| {
        create_topics_request::CreatableTopicConfig::default()
            .with_name(text(key))
            .with_value(Some(text(value)))
    });
    let wish = create_topics_request::CreatableTopic::default()
        .with_name(topic(&name))
        .with_num_partitions(1)
        .with_replication_factor(1)
        .with_configs(configs.to_vec());
    let create = CreateTopicsRequest::default()
        .with_topics(vec![wish])
        .with_timeout_ms(10_000);
    assert_eq!(client.call(&create, 5).await.topics[0].error_code, 0);
    while client.fetch(&name, 0, 0).await.error_code != 0 {
        tokio::task::yield_now().await;
    }
    let resource = describe_configs_request::DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(&name))
        .with_configuration_keys(None);
    let describe = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let shown = client.call(&describe, 4).await.results.remove(0).configs;
    for (key, _, kept) in given {
        let found = shown.iter().find(|entry| entry.name.as_str() == key);
        assert_eq!(found.unwrap().value.as_deref(), Some(kept), "{key}");
    }
}

/// Settings of brokers with the values that Kafka gives them where nobody sets them.
const BROKER_DEFAULTS: [(&str, &str); 15] = [
    ("compression.type", "producer"),
    ("log.cleanup.policy", "delete"),
    ("log.message.timestamp.after.max.ms", "3600000"),
    ("log.message.timestamp.before.max.ms", "9223372036854775807"),
    ("log.message.timestamp.type", "CreateTime"),
    ("log.retention.bytes", "-1"),
    ("log.segment.bytes", "1073741824"),
    ("max.incremental.fetch.session.cache.slots", "1000"),
    ("message.max.bytes", "1048588"),
    ("min.insync.replicas", "1"),
    ("num.partitions", "1"),
    ("offset.metadata.max.bytes", "4096"),
    ("replica.lag.time.max.ms", "30000"),
    ("socket.request.max.bytes", "104857600"),
    ("unclean.leader.election.enable", "false"),
];

/// Settings of a broker by name: value, true if read-only, type and source, as DescribeConfigs
/// answers for broker 1.
async fn broker_settings(client: &mut Client) -> BTreeMap<String, (String, bool, i8, i8)> {
    let resource = describe_configs_request::DescribeConfigsResource::default()
        .with_resource_type(4)
        .with_resource_name(text("1"))
        .with_configuration_keys(None);
    let describe = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let result = client.call(&describe, 4).await.results.remove(0);
    assert_eq!(result.error_code, 0);
    let entries = result.configs.into_iter().map(|entry| {
        let value = entry.value.map(|value| value.to_string());
        let kind = (entry.read_only, entry.config_type, entry.config_source);
        let (read_only, kind, source) = kind;
        let shown = (value.unwrap_or_default(), read_only, kind, source);
        (entry.name.to_string(), shown)
    });
    entries.collect()
}

#[tokio::test]
async fn a_broker_shows_its_settings_with_the_values_that_kafka_has_by_default() {
    let broker = Broker::builder().start().await.unwrap();
    let mut client = Client::to(&broker, 1).await;
    let shown = broker_settings(&mut client).await;
    for (key, value) in BROKER_DEFAULTS {
        assert_eq!(shown[key].0, value, "{key}");
    }
    // These say which broker it is, and cannot be changed.
    for key in ["node.id", "broker.id"] {
        assert_eq!(shown[key].0, "1", "{key}");
        assert!(shown[key].1, "{key} is read-only");
    }
    for (key, (value, _, kind, _)) in &shown {
        assert!(!value.is_empty(), "{key}");
        assert_ne!(*kind, 0, "{key} has a type");
    }
}

#[tokio::test]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn a_broker_shows_its_settings_as_the_real_broker_does() {
    let broker = Broker::builder().start().await.unwrap();
    let ours = broker_settings(&mut Client::to(&broker, 1).await).await;
    let bootstrap = std::env::var("MILENA_TEST_BOOTSTRAP").unwrap();
    let theirs = broker_settings(&mut Client::tcp(&bootstrap).await).await;
    for (key, (_, read_only, ..)) in &ours {
        // Newer brokers no longer have all settings of older ones.
        let Some(their) = theirs.get(key) else {
            continue;
        };
        assert_eq!(their.1, *read_only, "{key}");
    }
    for (key, value) in BROKER_DEFAULTS {
        // The scripts start the broker with some settings of their own.
        if theirs[key].3 == 5 {
            let before_4 = BEFORE_KAFKA_4.iter().find(|(changed, _)| *changed == key);
            let before_4 = before_4.map(|(_, value)| *value);
            let their = theirs[key].0.as_str();
            assert!(their == value || Some(their) == before_4, "{key}: {their}");
        }
    }
}

/// Defaults of [`BROKER_DEFAULTS`] that Kafka 4.0 changed (KIP-1030), with their values before.
const BEFORE_KAFKA_4: [(&str, &str); 1] =
    [("log.message.timestamp.after.max.ms", "9223372036854775807")];

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
