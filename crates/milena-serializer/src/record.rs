//! Records with a typed key and value.

use std::fmt;

use bytes::Bytes;
use milena_core::{ConsumerRecord, Error, Headers, Partition, ProcessError, Timestamp, TopicName};

/// A record to send, with key and value not yet encoded.
///
/// ```
/// # use milena_serializer::TypedRecord;
/// let record = TypedRecord::new("orders").key(7).value("two stamps").header("source", "web");
/// # let _: TypedRecord<i32, &str> = record;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypedRecord<K, V> {
    /// The topic.
    pub topic: TopicName,
    /// The partition. `None` lets the partitioner choose.
    pub partition: Option<Partition>,
    /// The key. `None` is Kafka's null.
    pub key: Option<K>,
    /// The value. `None` is a tombstone.
    pub value: Option<V>,
    /// The headers. Codecs may add to them.
    pub headers: Headers,
    /// The time at which the record was created. `None` means the time of sending.
    pub timestamp: Option<Timestamp>,
}

impl<K, V> TypedRecord<K, V> {
    /// Creates a record for `topic`, without key and value.
    pub fn new(topic: impl Into<TopicName>) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
            key: None,
            value: None,
            headers: Headers::new(),
            timestamp: None,
        }
    }

    /// Sets the key.
    #[must_use]
    pub fn key(mut self, key: K) -> Self {
        self.key = Some(key);
        self
    }

    /// Sets the value.
    #[must_use]
    pub fn value(mut self, value: V) -> Self {
        self.value = Some(value);
        self
    }

    /// Adds a header at the end.
    #[must_use]
    pub fn header(mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.headers.push(key, value);
        self
    }

    /// Sets the partition. The partitioner is not asked.
    #[must_use]
    pub fn partition(mut self, partition: impl Into<Partition>) -> Self {
        self.partition = Some(partition.into());
        self
    }

    /// Sets the time at which the record was created. Default is the time of sending.
    #[must_use]
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }
}

/// A consumed record with its key and value decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decoded<K, V> {
    /// The key.
    pub key: K,
    /// The value.
    pub value: V,
    /// The record as it was consumed.
    pub record: ConsumerRecord,
}

/// A record that cannot be decoded. It is poison, so it is not retried.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Undecodable {
    /// The record as it was consumed, so that it can be stored elsewhere.
    pub record: Box<ConsumerRecord>,
    /// The reason, with topic, partition, offset and path.
    pub error: Error,
}

impl From<Undecodable> for Error {
    fn from(undecodable: Undecodable) -> Self {
        undecodable.error
    }
}

// This type is not a standard error itself, because `?` would turn it into a transient error.
impl From<Undecodable> for ProcessError {
    fn from(undecodable: Undecodable) -> Self {
        Self::poison(undecodable.error)
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}
