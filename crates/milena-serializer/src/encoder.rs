//! Two codecs that encode the keys and values of records.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use milena_core::{Error, Headers, ProducerRecord, Record, Result, TopicName};

use crate::codec::Serializer;
use crate::plain::BytesCodec;
use crate::record::TypedRecord;

/// The codecs for keys and values of records to send. Clones share them.
pub struct Encoder<K: ?Sized, V: ?Sized> {
    /// The codec of the key.
    key: Arc<dyn Serializer<K> + Send + Sync>,
    /// The codec of the value.
    value: Arc<dyn Serializer<V> + Send + Sync>,
}

impl<K: ?Sized, V: ?Sized> Encoder<K, V> {
    /// Creates an encoder from two codecs.
    pub fn new(
        key: impl Serializer<K> + Send + Sync + 'static,
        value: impl Serializer<V> + Send + Sync + 'static,
    ) -> Self {
        Self {
            key: Arc::new(key),
            value: Arc::new(value),
        }
    }

    /// Returns the encoder with another codec for keys.
    #[must_use]
    pub fn with_key<L: ?Sized>(
        self,
        codec: impl Serializer<L> + Send + Sync + 'static,
    ) -> Encoder<L, V> {
        Encoder {
            key: Arc::new(codec),
            value: self.value,
        }
    }

    /// Returns the encoder with another codec for values.
    #[must_use]
    pub fn with_value<W: ?Sized>(
        self,
        codec: impl Serializer<W> + Send + Sync + 'static,
    ) -> Encoder<K, W> {
        Encoder {
            key: self.key,
            value: Arc::new(codec),
        }
    }

    /// Encodes a key and a value. The codec of the key may add headers first, then the codec of the
    /// value.
    ///
    /// # Errors
    /// The error of a codec, with the topic.
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

impl Encoder<Bytes, Bytes> {
    /// Creates an encoder for keys and values that are bytes.
    #[must_use]
    pub fn bytes() -> Self {
        Self::new(BytesCodec, BytesCodec)
    }
}

impl<K, V> Encoder<K, V> {
    /// Encodes key and value of a record.
    ///
    /// # Errors
    /// The error of a codec, with the topic.
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

impl<K: ?Sized, V: ?Sized> Clone for Encoder<K, V> {
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
