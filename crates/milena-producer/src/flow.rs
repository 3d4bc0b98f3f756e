//! The settings that apply to the records of one topic. They are the producer's settings, replaced
//! by those set for the topic.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Compression, Error, ErrorKind, Result, TopicName};

use crate::enqueue::adaptive::Spread;
use crate::partitioner::Partitioner;
use crate::rules::Rules;

/// The limits at which a batch leaves. It leaves at the first one that it reaches.
///
/// ```
/// use std::time::Duration;
/// use milena_producer::Batching;
///
/// // At most 64 KiB or 500 records, and never older than 100 ms.
/// let batching = Batching::new().bytes(64 << 10).records(500);
/// let batching = batching.interval(Duration::from_millis(100));
/// # let _ = batching;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "it is given to `ProducerBuilder::batching` or `TopicSettings::batching`"]
pub struct Batching {
    /// The most bytes before compression. `None` keeps the value set before, or the default.
    pub(crate) bytes: Option<usize>,
    /// The most records. `None` keeps the value set before, or no limit.
    pub(crate) records: Option<u32>,
    /// The linger time. `None` keeps the value set before, or zero.
    pub(crate) interval: Option<Duration>,
}

impl Batching {
    /// Returns limits that leave everything at its default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the most bytes of a batch before compression (`batch.size`).
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Sets the most records of a batch, at least 1. Default no limit.
    pub fn records(mut self, records: u32) -> Self {
        self.records = Some(records);
        self
    }

    /// Sets the time after which a batch leaves that is not full (`linger.ms`). With zero the time
    /// adapts, see [`ProducerBuilder::linger`](crate::ProducerBuilder::linger).
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }
}

/// Settings of one topic that differ from the producer's.
///
/// `acks` and idempotence cannot differ. A request carries batches of many topics, with one value
/// of `acks` for all.
#[derive(Clone, Default)]
#[must_use = "it is given to `ProducerBuilder::topic_settings`"]
pub struct TopicSettings {
    /// The limits of batches. A part that is left out is the producer's.
    pub(crate) batching: Batching,
    /// The codec. `None` is the producer's.
    pub(crate) compression: Option<Compression>,
    /// The delivery timeout. `None` is the producer's.
    pub(crate) delivery_timeout: Option<Duration>,
    /// The partitioner. `None` is the producer's.
    pub(crate) partitioner: Option<Arc<dyn Partitioner>>,
}

impl TopicSettings {
    /// Returns settings that do not differ from the producer's.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets batch bytes, batch records and flush interval at once. A part that `batching` leaves
    /// out keeps its value.
    pub fn batching(mut self, batching: Batching) -> Self {
        self.batching = self.batching.or(batching);
        self
    }

    /// Sets the batch size, see
    /// [`ProducerBuilder::batch_size`](crate::ProducerBuilder::batch_size).
    pub fn batch_size(self, bytes: usize) -> Self {
        self.batching(Batching::new().bytes(bytes))
    }

    /// Sets the most records of a batch, see
    /// [`ProducerBuilder::batch_records`](crate::ProducerBuilder::batch_records).
    pub fn batch_records(self, records: u32) -> Self {
        self.batching(Batching::new().records(records))
    }

    /// Sets the linger time, see [`ProducerBuilder::linger`](crate::ProducerBuilder::linger).
    pub fn linger(self, linger: Duration) -> Self {
        self.batching(Batching::new().interval(linger))
    }

    /// Sets the codec, see [`ProducerBuilder::compression`](crate::ProducerBuilder::compression).
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Sets the delivery timeout, see
    /// [`ProducerBuilder::delivery_timeout`](crate::ProducerBuilder::delivery_timeout).
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.delivery_timeout = Some(timeout);
        self
    }

    /// Sets the partitioner, see
    /// [`ProducerBuilder::partitioner`](crate::ProducerBuilder::partitioner).
    pub fn partitioner(mut self, partitioner: impl Partitioner + 'static) -> Self {
        self.partitioner = Some(Arc::new(partitioner));
        self
    }
}

impl Batching {
    /// Returns these limits, each replaced by that of `newer` if `newer` has one.
    pub(crate) fn or(self, newer: Self) -> Self {
        Self {
            bytes: newer.bytes.or(self.bytes),
            records: newer.records.or(self.records),
            interval: newer.interval.or(self.interval),
        }
    }
}

/// The checked settings for the records of one topic.
#[derive(Clone)]
pub(crate) struct Flow {
    /// The time that a partial batch waits. Zero adapts to the load.
    pub(crate) linger: Duration,
    /// The most bytes of an uncompressed batch of more than one record, header included.
    pub(crate) batch_size: usize,
    /// The most records of a batch, at least 1.
    pub(crate) batch_records: u32,
    /// The codec of batches.
    pub(crate) compression: Compression,
    /// The partitioner for records that name no partition.
    pub(crate) partitioner: Arc<dyn Partitioner>,
    /// The way in which records without a key spread over the partitions.
    pub(crate) spread: Spread,
    /// The rules for sending and retrying.
    pub(crate) rules: Rules,
}

/// The flows of all topics.
#[derive(Clone)]
pub(crate) struct Flows {
    /// The flow of topics without settings of their own.
    usual: Arc<Flow>,
    /// The flows of topics with settings of their own.
    topics: HashMap<TopicName, Arc<Flow>>,
}

impl Flows {
    pub(crate) fn new(usual: Flow) -> Self {
        Self {
            usual: Arc::new(usual),
            topics: HashMap::new(),
        }
    }

    /// Sets the flow of one topic.
    pub(crate) fn insert(&mut self, topic: TopicName, flow: Flow) {
        self.topics.insert(topic, Arc::new(flow));
    }

    /// Returns the flow of topics without settings of their own.
    pub(crate) fn usual(&self) -> &Arc<Flow> {
        &self.usual
    }

    /// Returns the flow of a topic.
    pub(crate) fn of(&self, topic: &TopicName) -> &Arc<Flow> {
        self.topics.get(topic).unwrap_or(&self.usual)
    }

    /// Returns the largest batch size of any topic, in bytes.
    pub(crate) fn largest_batch(&self) -> usize {
        let others = self.topics.values().map(|flow| flow.batch_size);
        others.fold(self.usual.batch_size, usize::max)
    }

    /// Returns the longest delivery timeout of any topic.
    pub(crate) fn longest_timeout(&self) -> Duration {
        let others = self.topics.values().map(|flow| flow.rules.delivery_timeout);
        others.fold(self.usual.rules.delivery_timeout, Duration::max)
    }
}

/// Returns a function that adds the topic to an error about its settings.
pub(crate) fn of_topic(topic: &TopicName) -> impl Fn(Error) -> Error + '_ {
    |error| error.topic(topic.clone())
}

/// Returns the most records of a batch, and refuses a limit of 0.
pub(crate) fn check_records(records: Option<u32>) -> Result<u32> {
    match records {
        Some(0) => Err(Error::new(
            ErrorKind::Config,
            "a batch holds at least 1 record, but 0 was set; leave the setting out for no limit",
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
