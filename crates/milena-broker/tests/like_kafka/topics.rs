//! Refused requests about topics.

use milena_protocol::messages::*;

use crate::bed::{Client, text, topic};
use crate::refusals::Asked;

pub(crate) async fn topics(client: &mut Client, name: &str) -> Vec<Asked> {
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
