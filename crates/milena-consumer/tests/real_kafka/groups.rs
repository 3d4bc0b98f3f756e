//! Groups on a real cluster. `MILENA_TEST_BOOTSTRAP` names it, and `scripts/test-real-kafka` starts
//! one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use milena_consumer::{Consumer, ConsumerBuilder, GroupProtocol};
use milena_core::{Partition, Value};
use milena_pool::Cluster;
use milena_protocol::ApiKey;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::bed::ear::{Ear, Heard};
use crate::bed::real;
use crate::bed::{eventually, fill};

const PARTITIONS: u32 = 6;

/// A topic and a group that only this test uses.
struct Bed {
    cluster: Cluster,
    name: String,
}

impl Bed {
    async fn new(what: &str) -> Self {
        let bed = Self {
            cluster: cluster().await,
            name: real::fresh(&format!("groups-{what}")),
        };
        bed.create(&bed.name, PARTITIONS).await;
        bed
    }

    async fn create(&self, name: &str, partitions: u32) {
        real::create_topic(&self.cluster, name, partitions).await;
    }

    async fn fill(&self, first: usize, count: usize) {
        fill(&self.cluster, &self.name, PARTITIONS, first, count).await;
    }

    async fn member(&self, protocol: GroupProtocol) -> ConsumerBuilder {
        Consumer::builder(cluster().await, self.name.as_str())
            .topics([self.name.as_str()])
            .group_protocol(protocol)
            .heartbeat_interval(Duration::from_millis(500))
    }
}

async fn cluster() -> Cluster {
    let builder = real::cluster().metadata_max_age(Duration::from_secs(3));
    builder.connect().await.unwrap()
}

/// Processed records, and the number of handlers at work on each partition.
#[derive(Clone, Default)]
struct Seen(Arc<Noted>);

/// Record numbers by partition, and the number of handlers at work on each.
type Noted = (
    Mutex<BTreeMap<Partition, Vec<usize>>>,
    Mutex<BTreeMap<Partition, usize>>,
);

impl Seen {
    fn run(&self, builder: ConsumerBuilder) -> (Arc<Consumer>, tokio::task::JoinHandle<()>) {
        let consumer = Arc::new(builder.build().unwrap());
        let (seen, running) = (self.clone(), Arc::clone(&consumer));
        let task = tokio::spawn(async move {
            let handler = move |partition: Partition, Value(value): Value| {
                let seen = seen.clone();
                async move {
                    let others = seen.0.1.lock().insert(partition, 1);
                    assert!(others.unwrap_or(0) == 0, "{partition} is with two members");
                    let number = std::str::from_utf8(&value).unwrap().parse().unwrap();
                    seen.0.0.lock().entry(partition).or_default().push(number);
                    seen.0.1.lock().insert(partition, 0);
                }
            };
            running.run(handler).await.unwrap();
        });
        (consumer, task)
    }

    async fn until(&self, count: usize) {
        let total = || self.0.0.lock().values().map(Vec::len).sum::<usize>();
        eventually(&format!("{count} records"), || total() >= count).await;
    }
}

/// Returns true if the cluster has finalized the consumer protocol.
async fn is_modern(cluster: &Cluster) -> bool {
    let node = cluster.metadata().brokers().next().unwrap().node;
    let connection = cluster
        .connection(node, milena_pool::Role::Heartbeat)
        .await
        .unwrap();
    let versions = connection.versions();
    versions
        .finalized("group.version")
        .is_some_and(|level| level >= 1)
        && versions.supports(ApiKey::ConsumerGroupHeartbeat)
}

async fn share_and_hand_over(protocol: GroupProtocol) {
    let bed = Bed::new("share").await;
    let (seen, ear) = (Seen::default(), Ear::default());
    let first = seen.run(bed.member(protocol).await.rebalance_listener(ear.clone()));
    bed.fill(0, 100).await;
    seen.until(600).await;
    let second = seen.run(bed.member(protocol).await);
    let started = Instant::now();
    eventually("the second has its share", || {
        second.0.assignment().len() == 3
    })
    .await;
    println!(
        "{protocol:?}: a second member had its share after {:?}",
        started.elapsed()
    );
    bed.fill(100, 100).await;
    seen.until(1_200).await;
    first.0.close().await;
    let started = Instant::now();
    eventually("the second has everything", || {
        second.0.assignment().len() == 6
    })
    .await;
    println!(
        "{protocol:?}: the one that stayed had everything after {:?}",
        started.elapsed()
    );
    bed.fill(200, 100).await;
    seen.until(1_800).await;
    second.0.close().await;
    for (partition, numbers) in &*seen.0.0.lock() {
        assert_eq!(*numbers, (0..300).collect::<Vec<_>>(), "{partition}");
    }
    let revoked = ear
        .heard()
        .iter()
        .filter(|heard| matches!(heard, Heard::Revoked(places) if places.len() == 3))
        .count();
    assert!(
        revoked >= 1,
        "only what moved was revoked: {:?}",
        ear.heard()
    );
    first.1.await.unwrap();
    second.1.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn classic_members_share_and_hand_over_without_loss_or_repeat() {
    share_and_hand_over(GroupProtocol::Classic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn members_of_the_consumer_protocol_share_and_hand_over_without_loss_or_repeat() {
    if is_modern(&cluster().await).await {
        share_and_hand_over(GroupProtocol::Consumer).await;
        share_and_hand_over(GroupProtocol::Auto).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn patterns_static_members_and_other_subscriptions_work_under_each_protocol() {
    let modern = is_modern(&cluster().await).await;
    for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
        if protocol == GroupProtocol::Consumer && !modern {
            continue;
        }
        let bed = Bed::new("pattern").await;
        let (seen, ear) = (Seen::default(), Ear::default());
        let build = async || {
            Consumer::builder(cluster().await, bed.name.as_str())
                .topic_pattern(format!("{}.*", bed.name))
                .group_protocol(protocol)
                .group_instance_id("pod-1")
        };
        let (consumer, task) = seen.run(build().await.rebalance_listener(ear.clone()));
        eventually("the topic is read", || ear.now().len() == 6).await;
        bed.create(&format!("{}-more", bed.name), 2).await;
        eventually("the new topic, too", || ear.now().len() == 8).await;
        consumer.subscribe([bed.name.as_str()]).unwrap();
        eventually("the other subscription is in effect", || {
            ear.now().len() == 6
        })
        .await;
        consumer.close().await;
        task.await.unwrap();
        let started = Instant::now();
        let again = Ear::default();
        let (consumer, task) = seen.run(build().await.rebalance_listener(again.clone()));
        eventually("it is back", || !again.now().is_empty()).await;
        println!(
            "{protocol:?}: a static member was back after {:?}",
            started.elapsed()
        );
        consumer.close().await;
        task.await.unwrap();
    }
}
