//! First steps on the real Kafka that `MILENA_TEST_BOOTSTRAP` names. `scripts/test-real-kafka`
//! starts one.

use std::time::Duration;

use milena_core::ErrorKind;
use milena_pool::{Cluster, CoordinatorKey, Role, Target};
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::create_topics_request::CreatableTopic;
use milena_protocol::messages::{CreateTopicsRequest, ListGroupsRequest, TopicName};

#[tokio::test]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn a_real_cluster_tells_its_topics_leaders_and_coordinators() {
    let bootstrap = std::env::var("MILENA_TEST_BOOTSTRAP").unwrap();
    let cluster = Cluster::builder([bootstrap]).connect().await.unwrap();
    assert!(cluster.metadata().brokers().count() > 0);
    let name = format!("pool-{}", fastrand::u64(..));
    let topic = CreatableTopic::default()
        .with_name(TopicName(StrBytes::from_string(name.clone())))
        .with_num_partitions(3)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(10_000);
    let answer = cluster.send(&Target::Controller, &request).await.unwrap();
    assert_eq!(answer.topics[0].error_code, 0);

    let topic = cluster.topic(name).await.unwrap();
    assert_eq!(topic.partitions.len(), 3);
    assert!(topic.id.is_some());
    let key = CoordinatorKey::group("pool-group");
    let node = cluster.coordinator(&key).await.unwrap();
    let groups = ListGroupsRequest::default();
    let target = Target::group("pool-group");
    cluster.send(&target, &groups).await.unwrap();
    let own = cluster.connection(node, Role::Heartbeat).await.unwrap();
    own.call(&groups).await.unwrap();
    assert!(own.srtt().is_some());

    let missing = cluster
        .topic_within("pool-no-such-topic", Duration::from_millis(500))
        .await
        .unwrap_err();
    assert!(
        missing.to_string().contains("pool-no-such-topic"),
        "{missing}"
    );
    cluster.close().await;
    assert!(own.is_closed());
    let error = own.call(&groups).await.unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::Transport | ErrorKind::Closed
    ));
}
