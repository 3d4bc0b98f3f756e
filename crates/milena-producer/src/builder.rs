//! The builder of a producer, with one setter per Kafka setting. `build` checks them together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Acks, Backoff, Compression, Observer, Observers, Result, Timestamp, TopicName};
use milena_pool::Cluster;

use crate::cluster::ClusterNetwork;
use crate::flow::{Batching, TopicSettings};
use crate::partitioner::Partitioner;
use crate::producer::Producer;
use crate::settings::SettingsDraft;

/// Sets up a [`Producer`].
#[must_use = "nothing happens before `build`"]
pub struct ProducerBuilder {
    /// The cluster that the producer sends to.
    cluster: Cluster,
    /// The settings as given so far, not checked yet.
    draft: SettingsDraft,
}

impl ProducerBuilder {
    /// Begins with the defaults, and with the observers and the clock of the cluster.
    pub(crate) fn new(cluster: Cluster) -> Self {
        let draft = SettingsDraft {
            observers: cluster.observers().clone(),
            clock: cluster.clock().reader(),
            ..SettingsDraft::default()
        };
        Self { cluster, draft }
    }

    /// Sets `acks`, the replicas that must have a batch before it counts as delivered. Default
    /// [`Acks::All`], so that an acknowledged record survives its leader.
    ///
    /// Less than all turns idempotence off. With
    /// [`enable_idempotence(true)`](Self::enable_idempotence) set as well, `build` fails.
    pub fn acks(mut self, acks: Acks) -> Self {
        self.draft.acks = Some(acks);
        self
    }

    /// Sets `enable.idempotence`. If true, a retry makes no duplicate, since brokers recognize a
    /// batch that they have already written (KIP-98). Default true, or false if
    /// [`acks`](Self::acks) is less than all.
    pub fn enable_idempotence(mut self, enable: bool) -> Self {
        self.draft.idempotence = Some(enable);
        self
    }

    /// Sets `linger.ms`, the time that a batch which is not full waits for more records. Default
    /// zero, which adapts. Nothing waits while no request is in flight. Otherwise partial batches
    /// leave each quarter of a round trip.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.draft.batching.interval = Some(linger);
        self
    }

    /// Sets `batch.size`, the most bytes of a batch before compression. A larger record goes alone.
    /// Default 512 KiB, half of what brokers accept by default. Larger batches no longer fit into
    /// the processor's caches. Buffers grow to this size only if records fill them.
    pub fn batch_size(mut self, bytes: usize) -> Self {
        self.draft.batching.bytes = Some(bytes);
        self
    }

    /// Sets the most records of a batch, at least 1. Default no limit other than
    /// [`batch_size`](Self::batch_size).
    pub fn batch_records(mut self, records: u32) -> Self {
        self.draft.batching.records = Some(records);
        self
    }

    /// Sets batch bytes, batch records and flush interval at once. A part that `batching` leaves
    /// out keeps its value.
    pub fn batching(mut self, batching: Batching) -> Self {
        self.draft.batching = self.draft.batching.or(batching);
        self
    }

    /// Sets the settings of one topic, which replace the producer's for that topic.
    ///
    /// ```
    /// # fn set(builder: milena_producer::ProducerBuilder) -> milena_producer::ProducerBuilder {
    /// use milena_producer::{Compression, TopicSettings};
    ///
    /// builder.topic_settings("clicks", TopicSettings::new().compression(Compression::LZ4))
    /// # }
    /// ```
    pub fn topic_settings(mut self, topic: impl Into<TopicName>, settings: TopicSettings) -> Self {
        self.draft.topics.insert(topic.into(), settings);
        self
    }

    /// Sets `max.request.size`, the most bytes of a request, and of a record. Default 8 MiB, since
    /// several partitions share a request.
    pub fn max_request_size(mut self, bytes: usize) -> Self {
        self.draft.max_request_size = bytes;
        self
    }

    /// Sets `buffer.memory`, the most bytes of batches without an outcome. Callers wait while it is
    /// used up. Default 64 MiB.
    pub fn buffer_memory(mut self, bytes: usize) -> Self {
        self.draft.buffer_memory = bytes;
        self
    }

    /// Sets `compression.type` and its level. Default none, since only the user knows whether the
    /// records can be compressed.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.draft.compression = compression;
        self
    }

    /// Sets `delivery.timeout.ms`, the time from the opening of a record's batch to its outcome,
    /// retries included. Default 120 s, longer than brokers take to elect a leader.
    ///
    /// A record that joins an open batch has the deadline of that batch. Enqueueing may wait before
    /// that, up to [`max_block`](Self::max_block).
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.draft.delivery_timeout = Some(timeout);
        self
    }

    /// Sets `request.timeout.ms`, the time that an answer may take. Default 30 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.draft.request_timeout = timeout;
        self
    }

    /// Sets `max.block.ms`, the time that enqueueing may wait for memory and metadata. Default
    /// 60 s.
    pub fn max_block(mut self, timeout: Duration) -> Self {
        self.draft.max_block = timeout;
        self
    }

    /// Sets `max.in.flight.requests.per.connection`, the most requests without an answer on a
    /// connection. Default 5, the number of batches that a broker remembers. With idempotence it is
    /// 1 to 5. There may be several connections, see
    /// [`max_connections_per_broker`](Self::max_connections_per_broker).
    ///
    /// Without idempotence, one batch per partition is in flight, so that a retry keeps the order.
    /// With [`Acks::None`] or without [`retries`](Self::retries) nothing is sent again, and this
    /// limit holds.
    ///
    /// On a slow link fewer bytes are in flight, so that answers come well within
    /// [`request_timeout`](Self::request_timeout).
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.draft.max_in_flight = requests;
        self
    }

    /// Sets `max.connections.per.broker`, the most connections for records to one broker, at
    /// least 1. Default 8, the number of requests that a broker works on at a time
    /// (`num.io.threads`).
    ///
    /// The producer uses one connection until full batches of several partitions wait behind each
    /// other, since a broker works on one request of a connection at a time. A partition stays on
    /// one connection while any of its batches is in flight, so that its order is kept.
    /// [`Acks::None`] always uses one connection.
    pub fn max_connections_per_broker(mut self, connections: u8) -> Self {
        self.draft.max_connections = connections;
        self
    }

    /// Sets `retries`, how often a batch may be sent again. Default no limit, so that the delivery
    /// timeout ends the retries.
    pub fn retries(mut self, retries: u32) -> Self {
        self.draft.retries = retries;
        self
    }

    /// Sets `retry.backoff.ms` and `retry.backoff.max.ms`. Default 100 ms to 1 s (KIP-580).
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.draft.backoff = backoff;
        self
    }

    /// Sets how long the cluster may report that a topic or a partition does not exist, before its
    /// records fail with `UNKNOWN_TOPIC_OR_PARTITION`. Default 15 s. Brokers that restart may not
    /// know a topic for a moment. Records of a deleted topic would otherwise hold
    /// [`buffer_memory`](Self::buffer_memory) for the whole delivery timeout. With `Duration::MAX`
    /// only the delivery timeout ends them.
    ///
    /// The time runs for each partition from its first such report. The first record of a topic
    /// waits for the topic up to [`max_block`](Self::max_block).
    pub fn missing_topic_timeout(mut self, timeout: Duration) -> Self {
        self.draft.missing_topic = timeout;
        self
    }

    /// Sets `partitioner.class`, the scheme that chooses partitions. Default
    /// [`Murmur2`](crate::partitioner::Murmur2), which agrees with Java's clients.
    pub fn partitioner(mut self, partitioner: impl Partitioner + 'static) -> Self {
        self.draft.partitioner = Arc::new(partitioner);
        self
    }

    /// Sets `partitioner.adaptive.partitioning.enable`. If true, records that may go to any
    /// partition prefer those with fewer waiting batches, so that a slow broker gets fewer records
    /// (KIP-794). Default true.
    pub fn adaptive_partitioning(mut self, enable: bool) -> Self {
        self.draft.adaptive = enable;
        self
    }

    /// Sets `partitioner.availability.timeout.ms`. Once no batch has left for a partition for this
    /// long, records that may go to any partition avoid it. Default none. Such a partition then
    /// gets fewer records, but still some.
    pub fn partitioner_availability_timeout(mut self, timeout: Duration) -> Self {
        self.draft.availability = Some(timeout);
        self
    }

    /// Adds an observer of batches that were delivered, retried or given up. Default the observers
    /// of the cluster.
    pub fn add_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.draft.observers = self.draft.observers.with(observer);
        self
    }

    /// Sets the observers, in place of those set so far.
    pub fn observers(mut self, observers: Observers) -> Self {
        self.draft.observers = observers;
        self
    }

    /// Sets the wall clock that stamps records without a timestamp. Default the clock of the
    /// cluster.
    ///
    /// It runs on the caller's task, while no lock of the producer is held.
    pub fn clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.draft.clock = Arc::new(clock);
        self
    }

    /// Checks the settings and starts the producer. Nothing is sent before the first record.
    ///
    /// # Errors
    /// - [`Config`](milena_core::ErrorKind::Config) with Kafka's key, and with both values if two
    ///   settings disagree. Also if called outside of a tokio runtime.
    /// - [`Unsupported`](milena_core::ErrorKind::Unsupported) for a codec that was left out of the
    ///   build.
    pub fn build(self) -> Result<Producer> {
        let settings = self.draft.check()?;
        Producer::start(settings, Arc::new(ClusterNetwork::new(self.cluster)))
    }
}

impl fmt::Debug for ProducerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerBuilder").finish_non_exhaustive()
    }
}
