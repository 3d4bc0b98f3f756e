//! The cluster from the inside, for tests: what is stored, who leads, what was committed.

use std::sync::Arc;

use bytes::Bytes;
use milena_core::{
    Address, ConsumerRecord, Error, ErrorCode, ErrorKind, Offset, Partition as PartitionNumber,
    Result, TopicName,
};
use milena_protocol::batch::{BatchHeader, Batches, HEADER_LEN, rewrite};
use milena_protocol::compression::DEFAULT_MAX_SIZE;

use crate::cluster::{Cluster, NewTopic, Refused};
use crate::group::GroupView;
use crate::listen;
use crate::log::StoredBatch;
use crate::partition::Partition;
use crate::topic::TopicConfig;

/// Looks into a running cluster and changes it.
#[derive(Clone, Copy, Debug)]
pub struct Inspector<'a> {
    cluster: &'a Arc<Cluster>,
}

impl<'a> Inspector<'a> {
    pub(crate) fn new(cluster: &'a Arc<Cluster>) -> Self {
        Self { cluster }
    }

    /// The names of all topics.
    pub fn topics(&self) -> Vec<String> {
        self.cluster
            .topics()
            .iter()
            .map(|topic| topic.name.to_string())
            .collect()
    }

    /// Makes a topic with the default number of replicas.
    ///
    /// # Errors
    /// With the broker's code, as CreateTopics.
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

    /// Deletes a topic; gives whether there was one.
    pub fn delete_topic(&self, name: &str) -> bool {
        self.cluster.delete_topic(name).is_some()
    }

    /// Adds partitions to a topic until there are `count`.
    ///
    /// # Errors
    /// With the broker's code, as CreatePartitions.
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
    /// [`ErrorKind::Config`] when there is no such key or it cannot have this value.
    pub fn set_topic_config(&self, name: &str, key: &str, value: &str) -> Result<()> {
        let topic = self.cluster.topic(name).ok_or_else(|| unknown(name))?;
        let mut changed: TopicConfig = topic.config.read().clone();
        changed
            .set(key, value)
            .map_err(|why| Error::new(ErrorKind::Config, why).topic(name))?;
        *topic.config.write() = changed;
        Ok(())
    }

    /// How many partitions a topic has; 0 where there is no such topic.
    pub fn partitions(&self, topic: &str) -> u32 {
        self.cluster
            .topic(topic)
            .map_or(0, |topic| topic.all().len() as u32)
    }

    /// Where the log begins; `None` for an unknown partition.
    pub fn start_offset(&self, topic: &str, partition: u32) -> Option<i64> {
        Some(self.partition(topic, partition)?.lock().log.start())
    }

    /// The offset of the next record; `None` for an unknown partition.
    pub fn end_offset(&self, topic: &str, partition: u32) -> Option<i64> {
        Some(self.partition(topic, partition)?.lock().log.end())
    }

    /// The bytes that a partition keeps; `None` for an unknown partition.
    pub fn size(&self, topic: &str, partition: u32) -> Option<usize> {
        Some(self.partition(topic, partition)?.lock().log.size())
    }

    /// All records that a partition keeps, decoded.
    ///
    /// # Errors
    /// When there is no such partition, or a batch does not decompress.
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

    /// The headers of all batches that a partition keeps; empty for an unknown one.
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

    /// Appends a whole batch as it is, its checksum unchecked: of a transaction too, or the marker that ends one (see
    /// [`ControlRecord::to_batch`](milena_protocol::batch::ControlRecord::to_batch)). Gives its base offset.
    ///
    /// # Errors
    /// When there is no such partition, or the bytes do not begin with a batch's header.
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

    /// Changes the bytes of the batch that holds `offset`, as a bad disk might: the log keeps its place for it. Gives whether there is
    /// one.
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

    /// Takes all records out of the batch that holds `offset` and keeps its header, as compaction leaves the last batch of a producer.
    /// Gives whether there is one.
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

    /// The offset up to which all transactions are decided; `None` for an unknown partition.
    pub fn last_stable_offset(&self, topic: &str, partition: u32) -> Option<i64> {
        Some(
            self.partition(topic, partition)?
                .lock()
                .last_stable_offset(),
        )
    }

    /// Drops the records before `offset`, as DeleteRecords does.
    pub fn delete_records(&self, topic: &str, partition: u32, offset: i64) {
        if let Some(found) = self.partition(topic, partition) {
            found.lock().log.delete_before(offset);
            found.wake();
        }
    }

    /// Forgets what a partition knows of a producer, as brokers do when its state expires.
    pub fn forget_producer(&self, topic: &str, partition: u32, producer_id: i64) {
        if let Some(found) = self.partition(topic, partition) {
            found.lock().producers.forget(producer_id);
        }
    }

    /// The producers that wrote to a partition: id, epoch and last sequence.
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

    /// The leader's node id and epoch; `None` where there is no leader or no such partition.
    pub fn leader(&self, topic: &str, partition: u32) -> Option<(i32, i32)> {
        let found = self.partition(topic, partition)?;
        let state = found.lock();
        Some((state.leader?, state.leader_epoch))
    }

    /// Makes `node` the leader, one epoch later; gives whether there are such a partition and broker.
    ///
    /// One that was stopped loses what it lacks for all, as an unclean election does where it was not in sync.
    pub fn move_leader(&self, topic: &str, partition: u32, node: i32) -> bool {
        self.cluster
            .move_leader(topic, i32::try_from(partition).unwrap_or(-1), node)
    }

    /// The replicas of a partition, the preferred leader first; empty for an unknown one.
    pub fn replicas(&self, topic: &str, partition: u32) -> Vec<i32> {
        let found = self.partition(topic, partition);
        found.map_or_else(Vec::new, |found| found.lock().replicas.all().to_vec())
    }

    /// The replicas that are in sync; empty for an unknown partition.
    pub fn in_sync(&self, topic: &str, partition: u32) -> Vec<i32> {
        let found = self.partition(topic, partition);
        found.map_or_else(Vec::new, |found| found.lock().replicas.in_sync().to_vec())
    }

    /// The first offset that not every replica in sync has; `None` for an unknown partition.
    pub fn high_watermark(&self, topic: &str, partition: u32) -> Option<i64> {
        Some(self.partition(topic, partition)?.lock().high_watermark())
    }

    /// Lets a follower fetch nothing more. While it is in sync it holds the high watermark back; it leaves when it lacks records and
    /// [`replica_lag_time_max`](crate::BrokerBuilder::replica_lag_time_max) is over. Elected meanwhile, it cuts the log. Gives whether
    /// there is such a follower.
    pub fn stop_replica(&self, topic: &str, partition: u32, node: i32) -> bool {
        let partition = i32::try_from(partition).unwrap_or(-1);
        self.cluster.stop_replica(topic, partition, node)
    }

    /// Takes a follower out of those in sync at once; it fetches nothing more. Gives whether there is such a follower.
    pub fn shrink_in_sync(&self, topic: &str, partition: u32, node: i32) -> bool {
        let partition = i32::try_from(partition).unwrap_or(-1);
        self.cluster.shrink_in_sync(topic, partition, node)
    }

    /// Lets a stopped follower fetch again: it catches up and is in sync. Gives whether there is such a partition.
    pub fn resume_replica(&self, topic: &str, partition: u32, node: i32) -> bool {
        let partition = i32::try_from(partition).unwrap_or(-1);
        self.cluster.resume_replica(topic, partition, node)
    }

    /// Makes `node` the leader under the same epoch, as brokers from before KIP-320 do; gives whether there is such a partition.
    pub fn move_leader_quietly(&self, topic: &str, partition: u32, node: i32) -> bool {
        let found = self.partition(topic, partition);
        found.is_some_and(|found| {
            found.lock().leader = Some(node);
            found.wake();
            true
        })
    }

    /// Sends consumers that name a rack to this replica, whether there is such a broker or not; `None` ends that.
    pub fn name_replica(&self, topic: &str, partition: u32, node: Option<i32>) {
        if let Some(found) = self.partition(topic, partition) {
            found.lock().named_replica = node;
        }
    }

    /// The broker that coordinates a group.
    pub fn coordinator(&self, group: &str) -> Option<i32> {
        self.cluster.coordinator(group).map(|node| node.id)
    }

    /// Makes `node` the coordinator of a group; its members stay, as after a reload of the group's log.
    pub fn move_coordinator(&self, group: &str, node: i32) {
        self.cluster.move_coordinator(group, node);
    }

    /// The controller's node id; -1 while no broker is up.
    pub fn controller(&self) -> i32 {
        self.cluster.controller()
    }

    /// Makes `node` the controller.
    pub fn move_controller(&self, node: i32) {
        self.cluster.set_controller(node);
    }

    /// Takes a broker down: its connections end, replicas on other brokers lead on.
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
            node.cut(&self.cluster.stop);
        }
    }

    /// Tells clients another address for a broker; where it listens stays.
    pub fn advertise(&self, node: i32, address: Address) {
        if let Some(node) = self.cluster.node(node) {
            node.advertise(address);
        }
    }

    /// How many fetch sessions a broker keeps.
    pub fn fetch_sessions(&self, node: i32) -> usize {
        self.cluster
            .node(node)
            .map_or(0, |node| node.sessions.lock().len())
    }

    /// The names of all groups.
    pub fn groups(&self) -> Vec<String> {
        self.cluster.groups.names()
    }

    /// A group as it stands; `None` where there is none.
    pub fn group(&self, group: &str) -> Option<GroupView> {
        self.cluster.groups.view(group)
    }

    /// The offset that a group committed; `None` where it committed none.
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
