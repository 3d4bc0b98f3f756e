//! Reading without a handler, record by record.

use milena_consumer::{AssignedConsumer, Consumer, StartAt};
use milena_core::{ConsumerRecord, TopicPartition};
use tokio::time::timeout;

use super::{Bed, LIMIT};

/// Names a partition of the topic `orders`.
pub(crate) fn place(partition: u32) -> TopicPartition {
    TopicPartition::new("orders", partition)
}

/// Returns a consumer without a group that reads these partitions from their beginning.
pub(crate) async fn reader(bed: &Bed, partitions: u32) -> AssignedConsumer {
    let consumer = AssignedConsumer::builder(bed.cluster("consumer").await)
        .build()
        .unwrap();
    consumer.assign((0..partitions).map(|p| (place(p), StartAt::Beginning)));
    consumer
}

/// Receives one record for each of these offsets, in their order.
pub(crate) async fn expect(consumer: &AssignedConsumer, offsets: impl IntoIterator<Item = i64>) {
    for expected in offsets {
        let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(record.offset.to_wire(), expected);
    }
}

/// Receives `count` records.
pub(crate) async fn receive(consumer: &Consumer, count: usize) -> Vec<ConsumerRecord> {
    let mut records = Vec::new();
    while records.len() < count {
        records.push(timeout(LIMIT, consumer.recv()).await.unwrap().unwrap());
    }
    records
}
