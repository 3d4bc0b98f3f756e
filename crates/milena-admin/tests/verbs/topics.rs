//! Tests that topics are created, described, listed and deleted, each with its own result.

use std::time::Duration;

use milena_admin::{Admin, NewTopic, OffsetSpec};
use milena_broker::{ApiKey, Broker, Fault};
use milena_core::{ErrorCode, ErrorKind, Persistence, TopicPartition};
use milena_pool::Cluster;

async fn admin(broker: &Broker) -> Admin {
    let cluster = Cluster::builder(broker.bootstrap()).connector(broker.dialer());
    Admin::new(cluster.connect().await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_created_described_listed_and_deleted() {
    let broker = Broker::builder().brokers(3).start().await.unwrap();
    let admin = admin(&broker).await;
    let topic = NewTopic::new("orders")
        .partitions(6)
        .replication_factor(3)
        .config("max.message.bytes", "2000");
    let created = admin.create_topics([topic]).await.unwrap().all().unwrap();
    assert_eq!(created[0].partitions, Some(6));
    assert!(created[0].id.is_some());

    let described = admin.describe_topics(["orders"]).await.unwrap();
    let described = described.all().unwrap();
    assert_eq!(described[0].id, created[0].id);
    assert_eq!(described[0].partitions.len(), 6);
    let partition = &described[0].partitions[0];
    assert_eq!((partition.replicas.len(), partition.in_sync.len()), (3, 3));
    assert_eq!(partition.leader, partition.replicas.first().copied());

    let listed = admin.list_topics().await.unwrap();
    assert_eq!(
        (listed[0].name.as_str(), listed[0].partitions),
        ("orders", 6)
    );

    let deleted = admin.delete_topics(["orders", "never"]).await.unwrap();
    assert!(deleted.of("orders").unwrap().is_ok());
    let failed: Vec<_> = deleted.failures().collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(
        failed[0].1.code(),
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    );
    assert!(failed[0].1.to_string().contains("never"), "{}", failed[0].1);
    assert!(admin.list_topics().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_topic_succeeds_or_fails_alone_and_says_why() {
    let broker = Broker::builder().topic("twice", 1).start().await.unwrap();
    let admin = admin(&broker).await;
    let topics = [
        NewTopic::new("twice"),
        NewTopic::new("no spaces, please"),
        NewTopic::new("fresh").partitions(2),
        NewTopic::new("wide").replication_factor(9),
    ];
    let results = admin.create_topics(topics).await.unwrap();
    let error = |name: &str| results.of(name).unwrap().as_ref().unwrap_err().clone();
    assert_eq!(error("twice").code(), Some(ErrorCode::TOPIC_ALREADY_EXISTS));
    assert_eq!(error("no spaces, please").kind(), ErrorKind::Config);
    assert_eq!(
        error("wide").code(),
        Some(ErrorCode::INVALID_REPLICATION_FACTOR)
    );
    assert!(results.of("fresh").unwrap().is_ok());
    assert_eq!(broker.inspect().partitions("fresh"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_moved_is_found_again() {
    let broker = Broker::builder().brokers(3).start().await.unwrap();
    let admin = admin(&broker).await;
    let moved = || Fault::error(ErrorCode::NOT_CONTROLLER);
    for api in [ApiKey::CreateTopics, ApiKey::DeleteTopics] {
        broker.faults().add(moved().on(api).times(2));
    }
    let created = admin.create_topics(["orders"]).await.unwrap();
    created.all().unwrap();
    let deleted = admin.delete_topics(["orders"]).await.unwrap();
    deleted.all().unwrap();
    broker.faults().assert_all_fired();
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_ends_in_an_error_that_says_it_may_be_done() {
    let broker = Broker::builder().start().await.unwrap();
    let admin = admin(&broker).await;
    let fault = Fault::apply_then_disconnect().on(ApiKey::CreateTopics);
    broker.faults().add(fault);
    let error = admin.create_topics(["orders"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert_eq!(error.persistence(), Some(Persistence::PossiblyWritten));
    assert!(error.to_string().contains("CreateTopics"), "{error}");
    let again = admin.create_topics(["orders"]).await.unwrap();
    let error = again.all().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::TOPIC_ALREADY_EXISTS));
}

#[tokio::test(start_paused = true)]
async fn a_silent_controller_ends_in_a_timeout() {
    let broker = Broker::builder().start().await.unwrap();
    let admin = admin(&broker).await.timeout(Duration::from_secs(5));
    broker
        .faults()
        .add(Fault::silence().on(ApiKey::DeleteTopics));
    let deleting = tokio::spawn(async move { admin.delete_topics(["orders"]).await });
    let error = deleting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    broker.faults().assert_all_fired();
}

#[tokio::test(start_paused = true)]
async fn every_verb_ends_in_time_though_no_broker_can_be_reached() {
    let broker = Broker::builder().topic("orders", 1).start().await.unwrap();
    let admin = admin(&broker).await.timeout(Duration::from_secs(5));
    broker.inspect().broker_down(1);
    let begun = tokio::time::Instant::now();
    let error = admin.create_topics(["fresh"]).await.unwrap_err();
    assert!(error.is_retriable(), "{error}");
    assert!(admin.list_topics().await.is_err());
    let groups = admin.group_offsets(["billing"]).await;
    assert!(groups.all().is_err());
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "three verbs took {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_away_is_asked_no_more_once_another_leads() {
    let broker = Broker::builder().brokers(3).topic("orders", 3);
    let broker = broker.start().await.unwrap();
    let admin = admin(&broker).await;
    // A broker has outdated metadata. One answer is for the administrator, the other one for the
    // cluster's metadata.
    let stale = Fault::stale_metadata().times(2);
    broker.faults().add(stale);
    let (old, _) = broker.inspect().leader("orders", 0).unwrap();
    broker.inspect().broker_down(old);
    let (new, _) = broker.inspect().leader("orders", 0).unwrap();
    assert_ne!(old, new);
    let start = tokio::time::Instant::now();
    let places = (0..3).map(|partition| {
        let place = TopicPartition::new("orders", partition);
        (place, OffsetSpec::Latest)
    });
    let listed = admin.list_offsets(places).await.all().unwrap();
    assert_eq!(listed.len(), 3);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_moved_costs_the_metadata_of_its_topic_and_of_no_other() {
    let broker = Broker::builder().brokers(3).topic("orders", 1);
    let broker = broker.topic("other", 1).start().await.unwrap();
    let cluster = Cluster::builder(broker.bootstrap()).connector(broker.dialer());
    let cluster = cluster.connect().await.unwrap();
    cluster.topic("other").await.unwrap();
    let admin = Admin::new(cluster);
    let refused = Fault::error(ErrorCode::NOT_LEADER_OR_FOLLOWER).on(ApiKey::ListOffsets);
    broker.faults().add(refused);
    broker.journal().clear();
    let place = || (TopicPartition::new("orders", 0), OffsetSpec::Latest);
    admin.list_offsets([place()]).await.all().unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = broker.journal().requests(ApiKey::Metadata);
    assert!(asked.iter().any(|entry| entry.is_about("orders")));
    assert!(!asked.iter().any(|entry| entry.is_about("other")));
}
