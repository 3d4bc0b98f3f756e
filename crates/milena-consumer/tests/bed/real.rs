//! A real cluster, which `MILENA_TEST_BOOTSTRAP` names, and topics that only one test uses.

use std::time::Duration;

use milena_pool::{Cluster, ClusterBuilder, Target};
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::CreateTopicsRequest;
use milena_protocol::messages::create_topics_request::CreatableTopic;
use uuid::Uuid;

pub(crate) fn cluster() -> ClusterBuilder {
    let bootstrap = std::env::var("MILENA_TEST_BOOTSTRAP")
        .expect("MILENA_TEST_BOOTSTRAP names a real Kafka; scripts/test-real-kafka sets it");
    Cluster::builder(bootstrap.split(',').map(str::to_owned))
}

/// Returns a name that no other test uses.
pub(crate) fn fresh(what: &str) -> String {
    format!("{what}-{}", Uuid::new_v4().simple())
}

pub(crate) async fn create_topic(cluster: &Cluster, name: &str, partitions: u32) {
    let topic = CreatableTopic::default()
        .with_name(StrBytes::from_string(name.to_owned()).into())
        .with_num_partitions(i32::try_from(partitions).unwrap())
        .with_replication_factor(1);
    create(cluster, topic).await;
}

/// Creates a topic of any shape.
pub(crate) async fn create(cluster: &Cluster, topic: CreatableTopic) {
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(i32::try_from(LIMIT.as_millis()).unwrap());
    let answer = cluster.send(&Target::Controller, &request).await.unwrap();
    assert_eq!(answer.topics[0].error_code, 0);
}

const LIMIT: Duration = Duration::from_secs(20);
