//! Records to produce, consumed records, and records borrowed from fetched bytes.

use bytes::Bytes;

use crate::{
    Headers, HeadersRef, LeaderEpoch, Offset, Partition, Timestamp, TimestampType, TopicName,
    TopicPartition,
};

/// The content of a record, without its destination.
///
/// A `None` value is a tombstone, which deletes its key from a compacted topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The key. Records with the same key go to the same partition. `None` is a record without key.
    pub key: Option<Bytes>,
    /// The value. `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Headers,
    /// The time at which the record was created. `None` means the time of sending.
    pub timestamp: Option<Timestamp>,
}

impl Record {
    /// Creates a record without key, value, headers and timestamp.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            key: None,
            value: None,
            headers: Headers::new(),
            timestamp: None,
        }
    }

    /// Sets the topic. The partitioner chooses the partition.
    pub fn to(self, topic: impl Into<TopicName>) -> ProducerRecord {
        ProducerRecord {
            topic: topic.into(),
            partition: None,
            record: self,
        }
    }
}

/// A record and its destination.
///
/// ```
/// # use milena_core::ProducerRecord;
/// let record = ProducerRecord::new("orders")
///     .key("order-7")
///     .value(r#"{"id":7}"#)
///     .header("source", "web");
/// assert_eq!(record.topic, "orders");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerRecord {
    /// The topic.
    pub topic: TopicName,
    /// The partition. `None` lets the partitioner choose.
    pub partition: Option<Partition>,
    /// The content of the record.
    pub record: Record,
}

impl ProducerRecord {
    /// Creates a record for `topic`, without key and value.
    pub fn new(topic: impl Into<TopicName>) -> Self {
        Record::new().to(topic)
    }

    /// Sets the key. Records with the same key go to the same partition and keep their order.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.record.key = Some(key.into());
        self
    }

    /// Sets the value.
    #[must_use]
    pub fn value(mut self, value: impl Into<Bytes>) -> Self {
        self.record.value = Some(value.into());
        self
    }

    /// Adds a header at the end.
    #[must_use]
    pub fn header(mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.record.headers.push(key, value);
        self
    }

    /// Sets all headers.
    #[must_use]
    pub fn headers(mut self, headers: Headers) -> Self {
        self.record.headers = headers;
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
        self.record.timestamp = Some(timestamp);
        self
    }
}

/// The place at which a broker stored a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: Partition,
    /// The offset. `None` with `acks=0`, where the broker does not answer, and for a duplicate that
    /// the broker no longer remembers.
    pub offset: Option<Offset>,
    /// The time at which the broker appended the record, if the topic has
    /// `message.timestamp.type=LogAppendTime`. `None` if the record kept its own timestamp.
    pub timestamp: Option<Timestamp>,
}

/// A consumed record, owned.
///
/// Key, value and headers are slices of the fetched bytes. Those bytes stay in memory as long as
/// any slice of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: Partition,
    /// The offset.
    pub offset: Offset,
    /// The epoch of the leader that appended the record. `None` if unknown.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The time at which the record was created or appended, as `timestamp_type` says. `None` in
    /// logs from before Kafka had timestamps.
    pub timestamp: Option<Timestamp>,
    /// The side that set the timestamp, the producer or the broker.
    pub timestamp_type: TimestampType,
    /// The key. `None` if the record has none.
    pub key: Option<Bytes>,
    /// The value. `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Headers,
}

impl ConsumerRecord {
    /// Creates a record at this place, without key, value, headers and timestamp. For tests of
    /// handlers and layers, which set the fields that they need.
    pub fn new(
        topic: impl Into<TopicName>,
        partition: impl Into<Partition>,
        offset: impl Into<Offset>,
    ) -> Self {
        Self {
            topic: topic.into(),
            partition: partition.into(),
            offset: offset.into(),
            leader_epoch: None,
            timestamp: None,
            timestamp_type: TimestampType::Create,
            key: None,
            value: None,
            headers: Headers::new(),
        }
    }

    /// Returns topic and partition.
    #[must_use]
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition {
            topic: self.topic.clone(),
            partition: self.partition,
        }
    }

    /// Returns a copy that holds no fetched bytes. Use it for a record that is kept for long, since
    /// one record otherwise keeps its whole fetched frame in memory.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self {
            topic: self.topic.clone(),
            key: self.key.as_deref().map(Bytes::copy_from_slice),
            value: self.value.as_deref().map(Bytes::copy_from_slice),
            headers: self.headers.detach(),
            ..*self
        }
    }

    /// Returns the content, to be sent to another topic. The timestamp is kept.
    #[must_use]
    pub fn into_record(self) -> Record {
        Record {
            key: self.key,
            value: self.value,
            headers: self.headers,
            timestamp: self.timestamp,
        }
    }
}

/// A record borrowed from fetched bytes. Nothing is copied or allocated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecordRef<'a> {
    /// The offset.
    pub offset: Offset,
    /// The time at which the record was created or appended, as `timestamp_type` says. `None` in
    /// logs from before Kafka had timestamps.
    pub timestamp: Option<Timestamp>,
    /// The side that set the timestamp, the producer or the broker.
    pub timestamp_type: TimestampType,
    /// The key. `None` if the record has none.
    pub key: Option<&'a [u8]>,
    /// The value. `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers, decoded on access.
    pub headers: HeadersRef<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detached_record_shares_no_bytes() {
        let frame = Bytes::from(vec![b'v'; 64]);
        let record = ConsumerRecord {
            topic: "orders".into(),
            partition: 1.into(),
            offset: 7.into(),
            leader_epoch: None,
            timestamp: None,
            timestamp_type: TimestampType::Create,
            key: None,
            value: Some(frame.slice(1..9)),
            headers: Headers::new(),
        };
        let detached = record.detach();
        assert_eq!(record, detached);
        drop(record);
        assert!(frame.is_unique());
    }
}
