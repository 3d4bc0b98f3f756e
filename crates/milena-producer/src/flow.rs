//! How the records of one topic flow: the producer's settings, with what was set for that topic in their place.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, ErrorKind, Result, TopicName};
use milena_protocol::compression::Compression;

use crate::adaptive::Spread;
use crate::partitioner::Partitioner;
use crate::queue::Rules;

/// When a batch is full or has waited for long enough: whichever comes first.
///
/// ```
/// use std::time::Duration;
/// use milena_producer::Batching;
///
/// // At most 64 KiB or 500 records, and never older than 100 ms.
/// let batching = Batching::new().bytes(64 << 10).records(500).interval(Duration::from_millis(100));
/// # let _ = batching;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "it is given to `ProducerBuilder::batching` or `TopicSettings::batching`"]
pub struct Batching {
    pub(crate) bytes: Option<usize>,
    pub(crate) records: Option<u32>,
    pub(crate) interval: Option<Duration>,
}

impl Batching {
    /// Nothing but the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The most bytes of a batch before compression: `batch.size`.
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// The most records of a batch, at least 1. Default no limit.
    pub fn records(mut self, records: u32) -> Self {
        self.records = Some(records);
        self
    }

    /// The time after which a batch leaves that is not full: `linger.ms`. Zero adapts: see
    /// [`ProducerBuilder::linger`](crate::ProducerBuilder::linger).
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }
}

/// Settings of one topic, where they differ from the producer's.
///
/// `acks` and idempotence are the producer's alone: a request carries batches of many topics, and one promise.
#[derive(Clone, Default)]
#[must_use = "it is given to `ProducerBuilder::topic_settings`"]
pub struct TopicSettings {
    pub(crate) batching: Batching,
    pub(crate) compression: Option<Compression>,
    pub(crate) delivery_timeout: Option<Duration>,
    pub(crate) partitioner: Option<Arc<dyn Partitioner>>,
}

impl TopicSettings {
    /// Nothing that differs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Batch bytes, batch records and flush interval at once; what it leaves out stays as it is.
    pub fn batching(mut self, batching: Batching) -> Self {
        self.batching = self.batching.or(batching);
        self
    }

    /// As [`ProducerBuilder::batch_size`](crate::ProducerBuilder::batch_size).
    pub fn batch_size(self, bytes: usize) -> Self {
        self.batching(Batching::new().bytes(bytes))
    }

    /// As [`ProducerBuilder::batch_records`](crate::ProducerBuilder::batch_records).
    pub fn batch_records(self, records: u32) -> Self {
        self.batching(Batching::new().records(records))
    }

    /// As [`ProducerBuilder::linger`](crate::ProducerBuilder::linger).
    pub fn linger(self, linger: Duration) -> Self {
        self.batching(Batching::new().interval(linger))
    }

    /// As [`ProducerBuilder::compression`](crate::ProducerBuilder::compression).
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// As [`ProducerBuilder::delivery_timeout`](crate::ProducerBuilder::delivery_timeout).
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.delivery_timeout = Some(timeout);
        self
    }

    /// As [`ProducerBuilder::partitioner`](crate::ProducerBuilder::partitioner).
    pub fn partitioner(mut self, partitioner: impl Partitioner + 'static) -> Self {
        self.partitioner = Some(Arc::new(partitioner));
        self
    }
}

impl Batching {
    /// These, with `newer` in their place where it says something.
    pub(crate) fn or(self, newer: Self) -> Self {
        Self {
            bytes: newer.bytes.or(self.bytes),
            records: newer.records.or(self.records),
            interval: newer.interval.or(self.interval),
        }
    }
}

/// What the records of a topic are subject to, checked.
#[derive(Clone)]
pub(crate) struct Flow {
    pub(crate) linger: Duration,
    /// The most bytes of an uncompressed batch of more than one record, header included.
    pub(crate) batch_size: usize,
    pub(crate) batch_records: u32,
    pub(crate) compression: Compression,
    pub(crate) partitioner: Arc<dyn Partitioner>,
    pub(crate) spread: Spread,
    pub(crate) rules: Rules,
}

/// The flow of each topic.
#[derive(Clone)]
pub(crate) struct Flows {
    usual: Arc<Flow>,
    topics: HashMap<TopicName, Arc<Flow>>,
}

impl Flows {
    pub(crate) fn new(usual: Flow) -> Self {
        Self {
            usual: Arc::new(usual),
            topics: HashMap::new(),
        }
    }

    pub(crate) fn insert(&mut self, topic: TopicName, flow: Flow) {
        self.topics.insert(topic, Arc::new(flow));
    }

    /// That of topics with no settings of their own.
    pub(crate) fn usual(&self) -> &Arc<Flow> {
        &self.usual
    }

    pub(crate) fn of(&self, topic: &TopicName) -> &Arc<Flow> {
        self.topics.get(topic).unwrap_or(&self.usual)
    }

    /// The largest batch size of any topic.
    pub(crate) fn largest_batch(&self) -> usize {
        let others = self.topics.values().map(|flow| flow.batch_size);
        others.fold(self.usual.batch_size, usize::max)
    }

    /// The longest delivery timeout of any topic.
    pub(crate) fn longest_timeout(&self) -> Duration {
        let others = self.topics.values().map(|flow| flow.rules.delivery_timeout);
        others.fold(self.usual.rules.delivery_timeout, Duration::max)
    }
}

/// Refuses a topic's settings, naming the topic.
pub(crate) fn of_topic(topic: &TopicName) -> impl Fn(Error) -> Error + '_ {
    |error| error.topic(topic.clone())
}

/// Refuses a limit of no records.
pub(crate) fn check_records(records: Option<u32>) -> Result<u32> {
    match records {
        Some(0) => Err(Error::new(
            ErrorKind::Config,
            "0 records make no batch; leave it out for no limit",
        )
        .setting("batch.records")),
        Some(records) => Ok(records),
        None => Ok(u32::MAX),
    }
}

impl fmt::Debug for TopicSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicSettings")
            .field("batching", &self.batching)
            .field("compression", &self.compression)
            .field("delivery_timeout", &self.delivery_timeout)
            .field("partitioner", &self.partitioner.is_some())
            .finish()
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow")
            .field("linger", &self.linger)
            .field("batch_size", &self.batch_size)
            .field("batch_records", &self.batch_records)
            .field("compression", &self.compression)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
