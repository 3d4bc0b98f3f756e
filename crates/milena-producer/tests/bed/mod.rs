//! A broker in memory and a producer on it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first thing that goes wrong"
)]
#![allow(dead_code, unused_imports, reason = "each test program uses its part")]

mod ledger;

use std::time::Duration;

use milena_broker::{ApiKey, Broker, BrokerBuilder};
use milena_core::{Backoff, Gauge, Gauges, ProducerRecord, TopicPartition};
use milena_pool::{Cluster, ClusterBuilder, Connect};
use milena_producer::{Delivery, Producer, ProducerBuilder};
use milena_protocol::batch::BatchHeader;

pub(crate) use ledger::{Counts, Ledger};

/// A running broker and a client's view of it.
pub(crate) struct Bed {
    pub(crate) broker: Broker,
    pub(crate) cluster: Cluster,
}

/// Starts two brokers with the topic `orders` of `partitions` partitions.
pub(crate) async fn bed(partitions: u32) -> Bed {
    bed_with(partitions, |builder| builder).await
}

pub(crate) async fn bed_with(
    partitions: u32,
    change: impl FnOnce(BrokerBuilder) -> BrokerBuilder,
) -> Bed {
    let builder = Broker::builder().brokers(2).topic("orders", partitions);
    let broker = change(builder).start().await.unwrap();
    let dialer = broker.dialer();
    connect(broker, dialer, |cluster| cluster).await
}

/// Connects a client to `broker` that dials with `connector`.
pub(crate) async fn connect(
    broker: Broker,
    connector: impl Connect,
    change: impl FnOnce(ClusterBuilder) -> ClusterBuilder,
) -> Bed {
    let builder = Cluster::builder(broker.bootstrap())
        .connector(connector)
        .backoff(Backoff::new(
            Duration::from_millis(50),
            Duration::from_millis(500),
        ));
    let cluster = change(builder).connect().await.unwrap();
    Bed { broker, cluster }
}

impl Bed {
    pub(crate) fn producer(&self) -> Producer {
        self.builder().build().unwrap()
    }

    pub(crate) fn builder(&self) -> ProducerBuilder {
        Producer::builder(self.cluster.clone())
    }

    /// Returns the values of a partition of `orders`, in order.
    pub(crate) fn values(&self, partition: u32) -> Vec<String> {
        self.values_of("orders", partition)
    }

    pub(crate) fn values_of(&self, topic: &str, partition: u32) -> Vec<String> {
        let records = self.broker.inspect().records(topic, partition).unwrap();
        let value = |bytes: bytes::Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        records
            .into_iter()
            .map(|record| record.value.map(value).unwrap_or_default())
            .collect()
    }

    /// Returns the headers of every batch that was sent to a partition of `orders`, in the order in
    /// which brokers received them.
    pub(crate) fn sent(&self, partition: u32) -> Vec<BatchHeader> {
        let requests = self.broker.journal().requests(ApiKey::Produce);
        let batches = requests.iter().flat_map(|entry| entry.batches());
        let to = TopicPartition::new("orders", partition);
        batches
            .filter(|(place, _)| *place == to)
            .map(|(_, header)| header)
            .collect()
    }

    /// Returns the bytes of `buffer_memory` that a producer holds.
    pub(crate) fn held(producer: &Producer) -> u64 {
        let mut held = 0;
        producer.read(&mut |gauge| {
            if let Gauge::BufferUsed { used, .. } = gauge {
                held = used;
            }
        });
        held
    }

    /// Returns the broker that leads partition 0 and the one that does not.
    pub(crate) fn leader_and_other(&self) -> (i32, i32) {
        let (leader, _) = self.broker.inspect().leader("orders", 0).unwrap();
        let nodes = self.broker.addresses();
        let other = nodes
            .iter()
            .map(|(node, _)| *node)
            .find(|node| *node != leader);
        (leader, other.unwrap())
    }
}

/// Returns the epoch, first sequence and count of a batch.
pub(crate) fn stamp(header: &BatchHeader) -> (i16, i32, u32) {
    let stamp = header
        .stamp()
        .expect("an idempotent producer stamps its batches");
    (
        stamp.epoch.to_wire(),
        stamp.sequence.to_wire(),
        header.count,
    )
}

/// Returns a record for a partition of `orders`.
pub(crate) fn record_at(partition: u32, value: impl Into<String>) -> ProducerRecord {
    ProducerRecord::new("orders")
        .partition(partition)
        .value(value.into())
}

/// Returns a record for partition 0.
pub(crate) fn record(value: &str) -> ProducerRecord {
    ProducerRecord::new("orders")
        .partition(0)
        .value(value.to_owned())
}

pub(crate) fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

/// Enqueues numbered records in several batches, with a short pause between them so that they leave
/// one by one.
pub(crate) async fn in_batches(producer: &Producer, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for number in numbers(count) {
        deliveries.push(producer.enqueue(record(&number)).await.unwrap());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    deliveries
}

/// Waits for all deliveries, and returns the number of records that were not delivered.
pub(crate) async fn failures(deliveries: Vec<Delivery>) -> usize {
    let mut failed = 0;
    for delivery in deliveries {
        failed += usize::from(delivery.await.is_err());
    }
    failed
}
