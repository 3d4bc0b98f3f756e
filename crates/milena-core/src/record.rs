//! Records: on their way out, on their way in, and borrowed from fetched bytes.

use bytes::Bytes;

use crate::{
    Headers, HeadersRef, LeaderEpoch, Offset, Partition, Timestamp, TimestampType, TopicName,
    TopicPartition,
};

/// What a record says, without where it goes. A `None` value is a tombstone, which deletes its key from a compacted topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The key; records of one key go to one partition.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Headers,
    /// When it was made; `None` is the time of sending.
    pub timestamp: Option<Timestamp>,
}

impl Record {
    /// A record with nothing in it.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            key: None,
            value: None,
            headers: Headers::new(),
            timestamp: None,
        }
    }

    /// Addresses it to a topic; the partition follows from the key.
    pub fn to(self, topic: impl Into<TopicName>) -> ProducerRecord {
        ProducerRecord {
            topic: topic.into(),
            partition: None,
            record: self,
        }
    }
}

/// A record and where it is to go.
///
/// ```
/// # use milena_core::ProducerRecord;
/// let record = ProducerRecord::new("orders").key("order-7").value(r#"{"id":7}"#).header("source", "web");
/// assert_eq!(record.topic, "orders");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerRecord {
    /// The topic.
    pub topic: TopicName,
    /// The partition; `None` leaves the choice to the partitioner.
    pub partition: Option<Partition>,
    /// What it says.
    pub record: Record,
}

impl ProducerRecord {
    /// A record for `topic` with neither key nor value yet.
    pub fn new(topic: impl Into<TopicName>) -> Self {
        Record::new().to(topic)
    }

    /// Sets the key: records of one key keep their order, in one partition.
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

    /// Chooses the partition, past the partitioner.
    #[must_use]
    pub fn partition(mut self, partition: impl Into<Partition>) -> Self {
        self.partition = Some(partition.into());
        self
    }

    /// Sets the time at which it was made; default is the time of sending.
    #[must_use]
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.record.timestamp = Some(timestamp);
        self
    }
}

/// Where a broker put a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: Partition,
    /// The offset; `None` with `acks=0`, where no broker answers, and for a duplicate that the broker no longer has on record.
    pub offset: Option<Offset>,
    /// The time at which the broker appended it, where the topic keeps that; `None` where the record kept its own.
    pub timestamp: Option<Timestamp>,
}

/// A record from a partition, owned: key, value and headers are slices of the fetched bytes, which live as long as any of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: Partition,
    /// The offset.
    pub offset: Offset,
    /// The epoch of the leader that appended it, where known.
    pub leader_epoch: Option<LeaderEpoch>,
    /// When it was made or appended, as `timestamp_type` says; `None` in logs from before timestamps.
    pub timestamp: Option<Timestamp>,
    /// Who set the timestamp.
    pub timestamp_type: TimestampType,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Headers,
}

impl ConsumerRecord {
    /// A record at that place, without key, value, headers and timestamp; set its fields. For tests of handlers and layers.
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

    /// Topic and partition.
    #[must_use]
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition {
            topic: self.topic.clone(),
            partition: self.partition,
        }
    }

    /// A copy that holds no fetched bytes: keep this where a record outlives its neighbours.
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

    /// What it says, to be sent on; its timestamp goes with it.
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

/// A record borrowed from fetched bytes: nothing is copied or allocated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecordRef<'a> {
    /// The offset.
    pub offset: Offset,
    /// When it was made or appended, as `timestamp_type` says; `None` in logs from before timestamps.
    pub timestamp: Option<Timestamp>,
    /// Who set the timestamp.
    pub timestamp_type: TimestampType,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers, read as they are asked for.
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
