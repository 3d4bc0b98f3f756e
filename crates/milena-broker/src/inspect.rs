//! Access to the cluster from the inside, for tests. It shows stored records, leaders and committed
//! offsets.

use std::sync::Arc;

use bytes::Bytes;
use milena_core::{
    Address, ConsumerRecord, Error, ErrorCode, ErrorKind, Offset, Partition as PartitionNumber,
    Result, TopicName,
};
use milena_protocol::batch::{BatchHeader, Batches, HEADER_LEN, rewrite};
use milena_protocol::compression::DEFAULT_MAX_SIZE;

use crate::cluster::{Cluster, NewTopic};
use crate::group::GroupView;
use crate::listen;
use crate::log::StoredBatch;
use crate::partition::Partition;
use crate::refused::Refused;
use crate::topic::TopicConfig;

/// An inspector, which reads and changes a running cluster.
#[derive(Clone, Copy, Debug)]
pub struct Inspector<'a> {
    /// The cluster.
    cluster: &'a Arc<Cluster>,
}

impl<'a> Inspector<'a> {
    pub(crate) fn new(cluster: &'a Arc<Cluster>) -> Self {
        Self { cluster }
    }

    /// Returns the names of all topics.
    pub fn topics(&self) -> Vec<String> {
        self.cluster
            .topics()
            .iter()
            .map(|topic| topic.name.to_string())
            .collect()
    }

    /// Creates a topic with the default number of replicas.
    ///
    /// # Errors
    /// The broker's error code, as from CreateTopics.
    pub fn create_topic(&self, name: &str, partitions: u32) -> Result<()> {
        let new = NewTopic {
            name: name.to_owned(),
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
            replication: -1,
            ..NewTopic::default()
        };
        self.cluster
            .create_topic(new, false)
            .map(|_| ())
            .map_err(|refused| failed(refused, name))
    }

    /// Deletes a topic. Returns true if it existed.
    pub fn delete_topic(&self, name: &str) -> bool {
        self.cluster.delete_topic(name).is_some()
    }

    /// Adds partitions to a topic until there are `count`.
    ///
    /// # Errors
    /// The broker's error code, as from CreatePartitions.
    pub fn add_partitions(&self, name: &str, count: u32) -> Result<()> {
        let topic = self.cluster.topic(name).ok_or_else(|| unknown(name))?;
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        self.cluster
            .add_partitions(&topic, count, false)
            .map_err(|refused| failed(refused, name))
    }

    /// Sets a topic's configuration, such as `max.message.bytes`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the setting does not exist or cannot have this value.
    pub fn set_topic_config(&self, name: &str, key: &str, value: &str) -> Result<()> {
        let topic = self.cluster.topic(name).ok_or_else(|| unknown(name))?;
        let mut changed: TopicConfig = topic.config.read().clone();
        changed
            .set(key, value)
            .map_err(|why| Error::new(ErrorKind::Config, why).topic(name))?;
        *topic.config.write() = changed;
        Ok(())
    }

    /// Returns the number of partitions of a topic, or 0 for an unknown one.
    pub fn partitions(&self, topic: &str) -> u32 {
        self.cluster
            .topic(topic)
            .map_or(0, |topic| topic.all().len() as u32)
    }

    /// Returns the first offset of the log, or `None` for an unknown partition.
    pub fn start_offset(&self, topic: &str, partition: u32) -> Option<i64> {
        Some(self.partition(topic, partition)?.lock().log.start())
    }

    /// Returns the offset of the next record, or `None` for an unknown partition.
    pub fn end_offset(&self, topic: &str, partition: u32) -> Option<i64> {
        Some(self.partition(topic, partition)?.lock().log.end())
    }

    /// Returns the bytes that a partition keeps, or `None` for an unknown one.
    pub fn size(&self, topic: &str, partition: u32) -> Option<usize> {
        Some(self.partition(topic, partition)?.lock().log.size())
    }

    /// Returns all records that a partition keeps, decoded.
    ///
    /// # Errors
    /// If the partition does not exist, or a batch does not decompress.
    pub fn records(&self, topic: &str, partition: u32) -> Result<Vec<ConsumerRecord>> {
        let found = self
            .partition(topic, partition)
            .ok_or_else(|| unknown(topic))?;
        let batches: Vec<_> = found
            .lock()
            .log
            .batches()
            .map(StoredBatch::to_bytes)
            .collect();
        let topic = TopicName::from(topic);
        let mut records = Vec::new();
        for batch in batches.into_iter().flat_map(Batches::new) {
            let batch = batch?;
            let header = *batch.header();
            for record in batch.records(DEFAULT_MAX_SIZE)?.owned() {
                let record = record?;
                records.push(ConsumerRecord {
                    topic: topic.clone(),
                    partition: PartitionNumber::new(partition),
                    offset: record.offset,
                    timestamp: record.timestamp,
                    timestamp_type: header.attributes.timestamp_type(),
                    leader_epoch: header.leader_epoch,
                    key: record.key,
                    value: record.value,
                    headers: record.headers,
                });
            }
        }
        Ok(records)
    }

    /// Returns the headers of all batches that a partition keeps. Empty for an unknown one.
    pub fn batches(&self, topic: &str, partition: u32) -> Vec<BatchHeader> {
        let Some(found) = self.partition(topic, partition) else {
            return Vec::new();
        };
        let state = found.lock();
        let batches: Vec<_> = state.log.batches().map(StoredBatch::to_bytes).collect();
        drop(state);
        batches
            .iter()
            .filter_map(|batch| BatchHeader::parse(batch).ok())
            .collect()
    }

    /// Appends a whole batch unchanged, and does not check its checksum. Returns its base offset.
    ///
    /// It may be a batch of a transaction, or the marker that ends one (see
    /// [`ControlRecord::to_batch`](milena_protocol::batch::ControlRecord::to_batch)).
    ///
    /// # Errors
    /// If the partition does not exist, or the bytes do not begin with the header of a batch.
    pub fn append(&self, topic: &str, partition: u32, batch: &Bytes) -> Result<i64> {
        let found = self
            .partition(topic, partition)
            .ok_or_else(|| unknown(topic))?;
        let header = BatchHeader::parse(batch)?;
        let cut = || Error::new(ErrorKind::Decode, "the batch is cut short").topic(topic);
        let stored = StoredBatch::split(&header, batch).ok_or_else(cut)?;
        let base = found.lock().append(stored);
        found.wake();
        Ok(base)
    }

    /// Changes the bytes of the batch that holds `offset`, like a bad disk. The log keeps its
    /// offsets. Returns true if there is such a batch.
    pub fn damage(
        &self,
        topic: &str,
        partition: u32,
        offset: i64,
        change: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let found = self.partition(topic, partition);
        found.is_some_and(|found| found.lock().log.replace(offset, change))
    }

    /// Removes all records of the batch that holds `offset` and keeps its header. Compaction leaves
    /// a producer's last batch like this. Returns true if there is such a batch.
    pub fn empty_batch(&self, topic: &str, partition: u32, offset: i64) -> bool {
        self.damage(topic, partition, offset, |bytes| {
            bytes.truncate(HEADER_LEN);
            set(
                bytes,
                8,
                &i32::try_from(HEADER_LEN - 12).unwrap_or(0).to_be_bytes(),
            );
            set(bytes, 57, &[0; 4]);
            rewrite::renew_crc(bytes);
        })
    }

    /// Returns the offset up to which all transactions are decided, or `None` for an unknown
    /// partition.
    pub fn last_stable_offset(&self, topic: &str, partition: u32) -> Option<i64> {
        Some(
            self.partition(topic, partition)?
                .lock()
                .last_stable_offset(),
        )
    }

    /// Deletes the records before `offset`, like DeleteRecords.
    pub fn delete_records(&self, topic: &str, partition: u32, offset: i64) {
        if let Some(found) = self.partition(topic, partition) {
            found.lock().log.delete_before(offset);
            found.wake();
        }
    }

    /// Deletes a partition's state of a producer, like brokers do when the state expires.
    pub fn forget_producer(&self, topic: &str, partition: u32, producer_id: i64) {
        if let Some(found) = self.partition(topic, partition) {
            found.lock().producers.forget(producer_id);
        }
    }

    /// Returns the producers that wrote to a partition, with id, epoch and last sequence.
    pub fn producers(&self, topic: &str, partition: u32) -> Vec<(i64, i16, Option<i32>)> {
        let Some(found) = self.partition(topic, partition) else {
            return Vec::new();
        };
        let state = found.lock();
        let mut known: Vec<_> = state
            .producers
            .iter()
            .map(|(id, producer)| (id, producer.epoch, producer.last_sequence()))
            .collect();
        known.sort_unstable();
        known
    }

    /// Returns the leader's node id and epoch. Returns `None` if there is no leader or no such
    /// partition.
    pub fn leader(&self, topic: &str, partition: u32) -> Option<(i32, i32)> {
        let found = self.partition(topic, partition)?;
        let state = found.lock();
        Some((state.leader?, state.leader_epoch))
    }

    /// Makes `node` the leader, one epoch later. Returns true if the partition and the broker
    /// exist.
    ///
    /// A replica that was stopped cuts the log to what it has. If it was not in sync, this is an
    /// unclean election.
    pub fn move_leader(&self, topic: &str, partition: u32, node: i32) -> bool {
        self.cluster
            .move_leader(topic, i32::try_from(partition).unwrap_or(-1), node)
    }

    /// Returns the replicas of a partition, the preferred leader first. Empty for an unknown one.
    pub fn replicas(&self, topic: &str, partition: u32) -> Vec<i32> {
        let found = self.partition(topic, partition);
        found.map_or_else(Vec::new, |found| found.lock().replicas.all().to_vec())
    }

    /// Returns the replicas that are in sync. Empty for an unknown partition.
    pub fn in_sync(&self, topic: &str, partition: u32) -> Vec<i32> {
        let found = self.partition(topic, partition);
        found.map_or_else(Vec::new, |found| found.lock().replicas.in_sync().to_vec())
    }

    /// Returns the first offset that not every replica in sync has, or `None` for an unknown
    /// partition.
    pub fn high_watermark(&self, topic: &str, partition: u32) -> Option<i64> {
        Some(self.partition(topic, partition)?.lock().high_watermark())
    }

    /// Stops a follower from fetching. Returns true if there is such a follower.
    ///
    /// While it is in sync it holds the high watermark back. It leaves the in-sync replicas if it
    /// lacks records for [`replica_lag_time_max`](crate::BrokerBuilder::replica_lag_time_max). If
    /// it is elected meanwhile, it cuts the log.
    pub fn stop_replica(&self, topic: &str, partition: u32, node: i32) -> bool {
        let partition = i32::try_from(partition).unwrap_or(-1);
        self.cluster.stop_replica(topic, partition, node)
    }

    /// Removes a follower from the in-sync replicas at once, and stops it from fetching. Returns
    /// true if there is such a follower.
    pub fn shrink_in_sync(&self, topic: &str, partition: u32, node: i32) -> bool {
        let partition = i32::try_from(partition).unwrap_or(-1);
        self.cluster.shrink_in_sync(topic, partition, node)
    }

    /// Lets a stopped follower fetch again. It catches up and is in sync. Returns true if the
    /// partition exists.
    pub fn resume_replica(&self, topic: &str, partition: u32, node: i32) -> bool {
        let partition = i32::try_from(partition).unwrap_or(-1);
        self.cluster.resume_replica(topic, partition, node)
    }

    /// Makes `node` the leader under the same epoch, like brokers before KIP-320. Returns true if
    /// the partition exists.
    pub fn move_leader_quietly(&self, topic: &str, partition: u32, node: i32) -> bool {
        let found = self.partition(topic, partition);
        found.is_some_and(|found| {
            found.lock().leader = Some(node);
            found.wake();
            true
        })
    }

    /// Sends consumers that name a rack to this replica, even if there is no such broker. `None`
    /// ends that.
    pub fn name_replica(&self, topic: &str, partition: u32, node: Option<i32>) {
        if let Some(found) = self.partition(topic, partition) {
            found.lock().named_replica = node;
        }
    }

    /// Returns the broker that coordinates a group.
    pub fn coordinator(&self, group: &str) -> Option<i32> {
        self.cluster.coordinator(group).map(|node| node.id)
    }

    /// Makes `node` the coordinator of a group. Its members stay, as after a reload of the group's
    /// log.
    pub fn move_coordinator(&self, group: &str, node: i32) {
        self.cluster.move_coordinator(group, node);
    }

    /// Returns the controller's node id, or -1 while no broker is up.
    pub fn controller(&self) -> i32 {
        self.cluster.controller()
    }

    /// Makes `node` the controller.
    pub fn move_controller(&self, node: i32) {
        self.cluster.set_controller(node);
    }

    /// Takes a broker down. Its connections end, and replicas on other brokers become leaders.
    pub fn broker_down(&self, node: i32) {
        self.cluster.broker_down(node);
    }

    /// Brings a broker back at its old address.
    pub fn broker_up(&self, node: i32) {
        listen::bring_up(self.cluster, node);
    }

    /// Closes all connections to a broker, which stays up.
    pub fn cut_connections(&self, node: i32) {
        if let Some(node) = self.cluster.node(node) {
            node.cut();
        }
    }

    /// Gives clients another address for a broker. Its listener stays where it is.
    pub fn advertise(&self, node: i32, address: Address) {
        if let Some(node) = self.cluster.node(node) {
            node.advertise(address);
        }
    }

    /// Returns the number of fetch sessions that a broker keeps.
    pub fn fetch_sessions(&self, node: i32) -> usize {
        self.cluster
            .node(node)
            .map_or(0, |node| node.sessions.lock().len())
    }

    /// Returns the names of all groups.
    pub fn groups(&self) -> Vec<String> {
        self.cluster.groups.names()
    }

    /// Returns a group, or `None` if it does not exist.
    pub fn group(&self, group: &str) -> Option<GroupView> {
        self.cluster.groups.view(group)
    }

    /// Returns the offset that a group committed, or `None` if it committed none.
    pub fn committed(&self, group: &str, topic: &str, partition: u32) -> Option<Offset> {
        let partition = i32::try_from(partition).ok()?;
        Offset::from_wire(
            self.cluster
                .groups
                .committed(group, topic, partition)?
                .offset,
        )
    }

    fn partition(&self, topic: &str, partition: u32) -> Option<Arc<Partition>> {
        self.cluster
            .partition(topic, i32::try_from(partition).ok()?)
    }
}

/// Overwrites bytes at a place.
fn set(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

fn unknown(topic: &str) -> Error {
    Error::broker(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION).topic(topic)
}

fn failed((code, _): Refused, topic: &str) -> Error {
    Error::broker(code).topic(topic)
}
