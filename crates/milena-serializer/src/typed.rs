//! Records with a typed key and value, and the pair of codecs that makes them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use milena_core::{
    ConsumerRecord, Error, Headers, Partition, ProcessError, ProducerRecord, Record, Result,
    Timestamp, TopicName,
};

use crate::codec::{Deserializer, Part, Serializer, decode};

/// A record to be sent, its key and value not encoded yet.
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
    /// The partition; `None` leaves the choice to the partitioner.
    pub partition: Option<Partition>,
    /// The key; `None` is Kafka's null.
    pub key: Option<K>,
    /// The value; `None` is a tombstone.
    pub value: Option<V>,
    /// The headers; the codecs may add to them.
    pub headers: Headers,
    /// When it was made; `None` is the time of sending.
    pub timestamp: Option<Timestamp>,
}

impl<K, V> TypedRecord<K, V> {
    /// A record for `topic` with neither key nor value yet.
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

    /// Chooses the partition, past the partitioner.
    #[must_use]
    pub fn partition(mut self, partition: impl Into<Partition>) -> Self {
        self.partition = Some(partition.into());
        self
    }

    /// Sets the time at which it was made; default is the time of sending.
    #[must_use]
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }
}

/// A record that was read, with its key and value decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decoded<K, V> {
    /// The key.
    pub key: K,
    /// The value.
    pub value: V,
    /// The record as it was read.
    pub record: ConsumerRecord,
}

/// A record that could not be decoded: it is poison, no further attempt will succeed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Undecodable {
    /// The record as it was read, to be kept elsewhere.
    pub record: Box<ConsumerRecord>,
    /// What is wrong, with topic, partition, offset and path.
    pub error: Error,
}

/// The codecs of a key and a value, to write records. A clone shares them.
pub struct Encoder<K: ?Sized, V: ?Sized> {
    key: Arc<dyn Serializer<K> + Send + Sync>,
    value: Arc<dyn Serializer<V> + Send + Sync>,
}

/// The codecs of a key and a value, to read records. A clone shares them.
pub struct Decoder<K, V> {
    key: Arc<dyn Deserializer<K> + Send + Sync>,
    value: Arc<dyn Deserializer<V> + Send + Sync>,
}

impl<K: ?Sized, V: ?Sized> Encoder<K, V> {
    /// A pair of codecs.
    pub fn new(
        key: impl Serializer<K> + Send + Sync + 'static,
        value: impl Serializer<V> + Send + Sync + 'static,
    ) -> Self {
        Self {
            key: Arc::new(key),
            value: Arc::new(value),
        }
    }

    /// The record of a key and a value. The key's codec sees the headers first.
    ///
    /// # Errors
    /// What a codec failed with, naming the topic.
    pub fn encode_parts(
        &self,
        topic: &TopicName,
        mut headers: Headers,
        key: Option<&K>,
        value: Option<&V>,
    ) -> Result<Record> {
        let named = |error: Error| error.topic(topic);
        let key = match key {
            Some(key) => self
                .key
                .serialize(topic, &mut headers, key)
                .map_err(named)?,
            None => None,
        };
        let value = match value {
            Some(value) => self
                .value
                .serialize(topic, &mut headers, value)
                .map_err(named)?,
            None => None,
        };
        Ok(Record {
            key,
            value,
            headers,
            timestamp: None,
        })
    }
}

impl<K, V> Encoder<K, V> {
    /// The record in bytes.
    ///
    /// # Errors
    /// What a codec failed with, naming the topic.
    pub fn encode(&self, record: TypedRecord<K, V>) -> Result<ProducerRecord> {
        let TypedRecord {
            topic,
            partition,
            key,
            value,
            headers,
            timestamp,
        } = record;
        let mut encoded = self.encode_parts(&topic, headers, key.as_ref(), value.as_ref())?;
        encoded.timestamp = timestamp;
        Ok(ProducerRecord {
            topic,
            partition,
            record: encoded,
        })
    }
}

impl<K, V> Decoder<K, V> {
    /// A pair of codecs.
    pub fn new(
        key: impl Deserializer<K> + Send + Sync + 'static,
        value: impl Deserializer<V> + Send + Sync + 'static,
    ) -> Self {
        Self {
            key: Arc::new(key),
            value: Arc::new(value),
        }
    }

    /// The record with its key and value decoded.
    ///
    /// # Errors
    /// [`Undecodable`], with the record and what is wrong with it.
    pub fn decode(&self, record: ConsumerRecord) -> Result<Decoded<K, V>, Undecodable> {
        let parts = decode(&*self.key, &record, Part::Key)
            .and_then(|key| Ok((key, decode(&*self.value, &record, Part::Value)?)));
        match parts {
            Ok((key, value)) => Ok(Decoded { key, value, record }),
            Err(error) => Err(Undecodable {
                record: Box::new(record),
                error,
            }),
        }
    }
}

impl From<Undecodable> for Error {
    fn from(undecodable: Undecodable) -> Self {
        undecodable.error
    }
}

// It is no standard error itself: `?` would make it a transient one.
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

impl<K: ?Sized, V: ?Sized> Clone for Encoder<K, V> {
    fn clone(&self) -> Self {
        Self {
            key: Arc::clone(&self.key),
            value: Arc::clone(&self.value),
        }
    }
}

impl<K, V> Clone for Decoder<K, V> {
    fn clone(&self) -> Self {
        Self {
            key: Arc::clone(&self.key),
            value: Arc::clone(&self.value),
        }
    }
}

impl<K: ?Sized, V: ?Sized> fmt::Debug for Encoder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (std::any::type_name::<K>(), std::any::type_name::<V>());
        write!(f, "Encoder<{key}, {value}>")
    }
}

impl<K, V> fmt::Debug for Decoder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (std::any::type_name::<K>(), std::any::type_name::<V>());
        write!(f, "Decoder<{key}, {value}>")
    }
}
