//! Settings as a real broker refuses, keeps and shows them.

use std::collections::BTreeMap;

use milena_broker::Broker;
use milena_protocol::messages::*;

use crate::bed::{Client, text, topic};
use crate::refusals::Asked;

pub(crate) async fn configs(client: &mut Client, name: &str) -> Vec<Asked> {
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
