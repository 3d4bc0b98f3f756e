//! Replicas of a real Kafka with three brokers. `scripts/kafka` starts it, and
//! `scripts/test-real-kafka` runs this test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

#[path = "../bed/mod.rs"]
mod bed;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use milena_consumer::{AssignedConsumer, OffsetReset, StartAt};
use milena_core::{ErrorKind, Event, NodeId, Offset, ProducerRecord, TopicPartition};
use milena_pool::ClusterBuilder;
use milena_producer::Producer;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use parking_lot::Mutex;
use tokio::sync::MutexGuard;
use tokio::time::{Instant, sleep, timeout};

use crate::bed::real;

const LIMIT: Duration = Duration::from_secs(120);

/// Reserves the brokers for one test at a time.
static BROKERS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A topic on three brokers that only this test uses.
struct Bed {
    topic: String,
    _alone: MutexGuard<'static, ()>,
}

impl Bed {
    /// Creates a topic with one partition on these brokers, the leader first. Returns `None` and
    /// prints a note if there are not three brokers.
    async fn new(replicas: &[i32], configs: &[(&'static str, &'static str)]) -> Option<Self> {
        let addresses = std::env::var("MILENA_TEST_BOOTSTRAP")
            .expect("MILENA_TEST_BOOTSTRAP names a real Kafka; scripts/test-real-kafka sets it");
        let ours = std::env::var("MILENA_TEST_KAFKA_STATE")
            .is_ok_and(|state| std::path::Path::new(&state).join("node-3").exists());
        if addresses.split(',').count() < 3 || !ours {
            eprintln!("\n*** NOT RUN: there are no three brokers of scripts/kafka ***\n");
            return None;
        }
        let bed = Self {
            topic: real::fresh("replicas"),
            _alone: BROKERS.lock().await,
        };
        let cluster = builder().connect().await.unwrap();
        let assignment = CreatableReplicaAssignment::default()
            .with_broker_ids(replicas.iter().map(|id| (*id).into()).collect());
        let configs = configs.iter().map(|(name, value)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(StrBytes::from_static_str(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(StrBytes::from_string(bed.topic.clone()).into())
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments(vec![assignment])
            .with_configs(configs.collect());
        real::create(&cluster, topic).await;
        cluster.close().await;
        Some(bed)
    }

    fn place(&self) -> TopicPartition {
        TopicPartition::new(self.topic.as_str(), 0)
    }

    /// Writes `what-N` for each number, and returns once all in-sync replicas have them.
    async fn fill(&self, what: &str, numbers: std::ops::Range<i64>) {
        let cluster = builder().connect().await.unwrap();
        let producer = Producer::builder(cluster.clone()).build().unwrap();
        let mut sent = Vec::new();
        for number in numbers {
            let record = ProducerRecord::new(self.topic.as_str()).value(format!("{what}-{number}"));
            sent.push(producer.enqueue(record).await.unwrap());
        }
        for delivery in sent {
            delivery.await.unwrap();
        }
        producer.close(LIMIT).await.unwrap();
        cluster.close().await;
    }

    async fn reader(
        &self,
        cluster: ClusterBuilder,
        rack: &str,
        reset: OffsetReset,
    ) -> AssignedConsumer {
        let consumer = AssignedConsumer::builder(cluster.connect().await.unwrap())
            .client_rack(rack)
            .auto_offset_reset(reset)
            .build()
            .unwrap();
        consumer.assign([(self.place(), StartAt::Beginning)]);
        consumer
    }
}

fn builder() -> ClusterBuilder {
    real::cluster().metadata_max_age(Duration::from_secs(2))
}

async fn expect(consumer: &AssignedConsumer, what: &str, offsets: std::ops::Range<i64>) {
    for expected in offsets {
        let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(record.offset.to_wire(), expected);
        assert_eq!(record.value.unwrap(), format!("{what}-{expected}"));
    }
}

/// Kills a broker as a crash would, or starts it again.
fn broker(verb: &str, id: i32) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/kafka");
    let done = Command::new(script)
        .args([verb, &id.to_string()])
        .stdin(Stdio::null())
        .status();
    assert!(done.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs three brokers of a real Kafka: scripts/test-real-kafka"]
async fn a_consumer_reads_from_the_replica_in_its_rack() {
    let Some(bed) = Bed::new(&[2, 3, 1], &[]).await else {
        return;
    };
    bed.fill("it", 0..50).await;
    let brought = Arc::new(Mutex::new(BTreeMap::<NodeId, usize>::new()));
    let noted = Arc::clone(&brought);
    let watch = move |event: &Event<'_>| {
        if let Event::Fetched {
            node, partitions, ..
        } = event
        {
            *noted.lock().entry(*node).or_default() += partitions;
        }
    };
    let cluster = builder().add_observer(Arc::new(watch));
    let consumer = bed.reader(cluster, "rack-3", OffsetReset::None).await;
    expect(&consumer, "it", 0..50).await;
    for first in [50, 100, 150] {
        bed.fill("it", first..first + 50).await;
        expect(&consumer, "it", first..first + 50).await;
    }
    let node = |id: i32| NodeId::from_wire(id).unwrap();
    let brought = brought.lock().clone();
    assert!(brought.get(&node(3)) >= Some(&3), "{brought:?}");
    assert_eq!(
        brought.get(&node(2)).copied().unwrap_or(0),
        0,
        "{brought:?}"
    );
    consumer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs three brokers of a real Kafka: scripts/test-real-kafka"]
async fn a_log_that_an_unclean_election_cut_is_told_and_read_from_where_it_parts() {
    let configs = [
        ("unclean.leader.election.enable", "true"),
        ("min.insync.replicas", "1"),
    ];
    // The third broker keeps the quorum of controllers.
    let Some(bed) = Bed::new(&[1, 2], &configs).await else {
        return;
    };
    bed.fill("it", 0..50).await;
    broker("kill", 2);
    // The writes are acknowledged once the dead replica has left the in-sync replicas.
    bed.fill("it", 50..100).await;
    let follows = bed.reader(builder(), "", OffsetReset::Earliest).await;
    let strict = bed.reader(builder(), "", OffsetReset::None).await;
    expect(&follows, "it", 0..100).await;
    expect(&strict, "it", 0..100).await;

    broker("kill", 1);
    broker("start", 2);
    bed.fill("other", 50..60).await;
    expect(&follows, "other", 50..60).await;
    let error = timeout(LIMIT, strict.recv()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LogTruncated, "{error}");
    let offset = error.place().offset;
    assert_eq!(offset.map(Offset::to_wire), Some(50), "{error}");
    assert!(error.to_string().contains("position 100"), "{error}");
    strict.seek(&bed.place(), offset.unwrap()).unwrap();
    expect(&strict, "other", 50..60).await;

    broker("start", 1);
    let deadline = Instant::now() + LIMIT;
    let cluster = builder().connect().await.unwrap();
    while cluster.metadata().brokers().count() < 3 {
        assert!(Instant::now() < deadline, "the broker is not back");
        sleep(Duration::from_millis(200)).await;
        let _ = cluster.refresh().await;
    }
    for consumer in [follows, strict] {
        consumer.close().await;
    }
}
