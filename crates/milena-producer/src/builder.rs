//! How a producer is set up: one setter per Kafka setting, checked together in `build`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Backoff, Observer, Observers, Result, Timestamp, TopicName};
use milena_pool::Cluster;
use milena_protocol::compression::Compression;

use crate::cluster::ClusterNetwork;
use crate::flow::{Batching, TopicSettings};
use crate::partitioner::Partitioner;
use crate::producer::Producer;
use crate::settings::{Acks, Draft};

/// Sets up a [`Producer`].
#[must_use = "nothing happens before `build`"]
pub struct ProducerBuilder {
    cluster: Cluster,
    draft: Draft,
}

impl Producer {
    /// Sets up a producer on `cluster`.
    pub fn builder(cluster: Cluster) -> ProducerBuilder {
        let draft = Draft {
            observers: cluster.observers().clone(),
            clock: cluster.clock().reader(),
            ..Draft::default()
        };
        ProducerBuilder { cluster, draft }
    }
}

impl ProducerBuilder {
    /// `acks`: who must have a batch before it counts as delivered. Default all, so that an acknowledged record survives its leader.
    ///
    /// Less than all turns idempotence off, unless [`enable_idempotence`](Self::enable_idempotence) was set as well.
    pub fn acks(mut self, acks: Acks) -> Self {
        self.draft.acks = Some(acks);
        self
    }

    /// `enable.idempotence`: whether brokers tell retries from new records. Default true: a lost answer makes no duplicate (KIP-98).
    pub fn enable_idempotence(mut self, enable: bool) -> Self {
        self.draft.idempotence = Some(enable);
        self
    }

    /// `linger.ms`: how long a batch that is not full waits for more records. Default zero, which adapts: nothing waits at rest, and
    /// while answers are out, partial batches leave each quarter of a round trip.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.draft.batching.interval = Some(linger);
        self
    }

    /// `batch.size`: the most bytes of a batch before compression; a larger record goes alone. Default 512 KiB, half of what
    /// brokers take by default: larger batches leave the processor's caches. Buffers grow to it only where records fill them.
    pub fn batch_size(mut self, bytes: usize) -> Self {
        self.draft.batching.bytes = Some(bytes);
        self
    }

    /// The most records of a batch, at least 1. Default no limit but [`batch_size`](Self::batch_size).
    pub fn batch_records(mut self, records: u32) -> Self {
        self.draft.batching.records = Some(records);
        self
    }

    /// Batch bytes, batch records and flush interval at once; what it leaves out stays as it is.
    pub fn batching(mut self, batching: Batching) -> Self {
        self.draft.batching = self.draft.batching.or(batching);
        self
    }

    /// Settings of one topic in place of the producer's.
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

    /// `max.request.size`: the most bytes of a request, and of a record. Default 8 MiB: several partitions share a request.
    pub fn max_request_size(mut self, bytes: usize) -> Self {
        self.draft.max_request_size = bytes;
        self
    }

    /// `buffer.memory`: the most bytes of batches without an outcome; callers wait beyond it. Default 64 MiB.
    pub fn buffer_memory(mut self, bytes: usize) -> Self {
        self.draft.buffer_memory = bytes;
        self
    }

    /// `compression.type` and its level. Default none, since only the user knows whether the records can be compressed.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.draft.compression = compression;
        self
    }

    /// `delivery.timeout.ms`: the time from the opening of a record's batch to the outcome, retries included. Default 120 s, longer than
    /// brokers take to elect a leader.
    ///
    /// A record that joins an open batch has the batch's time. Enqueueing may wait before that, up to [`max_block`](Self::max_block).
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.draft.delivery_timeout = Some(timeout);
        self
    }

    /// `request.timeout.ms`: how long an answer may take. Default 30 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.draft.request_timeout = timeout;
        self
    }

    /// `max.block.ms`: how long enqueueing may wait for memory and metadata. Default 60 s.
    pub fn max_block(mut self, timeout: Duration) -> Self {
        self.draft.max_block = timeout;
        self
    }

    /// `max.in.flight.requests.per.connection`: requests without an answer on a connection, 1 to 5 with idempotence. Default 5, as many
    /// batches as a broker remembers. There may be several connections: see
    /// [`max_connections_per_broker`](Self::max_connections_per_broker).
    ///
    /// On a slow link fewer bytes are on their way: as many as come back well within [`request_timeout`](Self::request_timeout).
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.draft.max_in_flight = requests;
        self
    }

    /// `max.connections.per.broker`: connections for records to one broker, at least 1. Default 8, as many requests as a broker works on
    /// at a time (`num.io.threads`).
    ///
    /// One until full batches of several partitions wait behind each other: a broker works on one request of a connection at a time. A
    /// partition stays on one connection while any of its batches is in flight, so that its order is kept. [`Acks::None`] uses one.
    pub fn max_connections_per_broker(mut self, connections: u8) -> Self {
        self.draft.max_connections = connections;
        self
    }

    /// `retries`: how often a batch is sent again. Default without a limit: the delivery timeout ends it.
    pub fn retries(mut self, retries: u32) -> Self {
        self.draft.retries = retries;
        self
    }

    /// `retry.backoff.ms` and `retry.backoff.max.ms`. Default 100 ms to 1 s (KIP-580).
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.draft.backoff = backoff;
        self
    }

    /// How long the cluster may say that a topic, or a partition, is not there before its records are given up with
    /// `UNKNOWN_TOPIC_OR_PARTITION`. Default 15 s: brokers that restart forget topics for a moment, and the records of one that was deleted
    /// would hold [`buffer_memory`](Self::buffer_memory) for the whole delivery timeout. `Duration::MAX` leaves it to that.
    ///
    /// Counted for each partition from the first such answer on. The first record of a topic waits for it up to [`max_block`](Self::max_block).
    pub fn missing_topic_timeout(mut self, timeout: Duration) -> Self {
        self.draft.missing_topic = timeout;
        self
    }

    /// `partitioner.class`: who chooses partitions. Default [`Murmur2`](crate::partitioner::Murmur2), as Java's clients do.
    pub fn partitioner(mut self, partitioner: impl Partitioner + 'static) -> Self {
        self.draft.partitioner = Arc::new(partitioner);
        self
    }

    /// `partitioner.adaptive.partitioning.enable`: whether records that may go anywhere go rather to partitions for which less waits, so
    /// that a slow broker gets fewer (KIP-794). Default true.
    pub fn adaptive_partitioning(mut self, enable: bool) -> Self {
        self.draft.adaptive = enable;
        self
    }

    /// `partitioner.availability.timeout.ms`: how long nothing may leave for a partition before records that may go anywhere avoid it.
    /// Default none: they go there less often, but they go.
    pub fn partitioner_availability_timeout(mut self, timeout: Duration) -> Self {
        self.draft.availability = Some(timeout);
        self
    }

    /// Adds one who is told of batches delivered, retried and failed. Default those of the cluster.
    pub fn add_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.draft.observers = self.draft.observers.with(observer);
        self
    }

    /// Sets those who are told, in place of the ones so far.
    pub fn observers(mut self, observers: Observers) -> Self {
        self.draft.observers = observers;
        self
    }

    /// The wall clock that stamps records which bring no timestamp. Default the client's.
    pub fn clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.draft.clock = Arc::new(clock);
        self
    }

    /// Checks the settings and starts the producer. Nothing is sent before the first record.
    ///
    /// # Errors
    /// [`Config`](milena_core::ErrorKind::Config) naming Kafka's key, and both values where two settings disagree, or when called
    /// outside of a tokio runtime; [`Unsupported`](milena_core::ErrorKind::Unsupported) for a codec that was left out of the build.
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
