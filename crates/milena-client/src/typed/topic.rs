//! One topic of a typed producer.

use std::fmt;

use milena_core::{Headers, ProducerRecord, RecordMetadata, Result, TopicName};
use milena_producer::{Delivery, Producer, Topic};
use milena_serializer::Encoder;

/// One topic of a [`TypedProducer`](super::TypedProducer). Takes keys and values by reference. A
/// clone is cheap.
pub struct TypedTopic<K: ?Sized, V: ?Sized> {
    /// The producer, for records with headers.
    producer: Producer,
    /// Encodes keys and values.
    encoder: Encoder<K, V>,
    /// The topic's handle, for records without headers.
    topic: Topic,
}

impl<K: ?Sized, V: ?Sized> TypedTopic<K, V> {
    pub(super) fn new(producer: Producer, encoder: Encoder<K, V>, topic: Topic) -> Self {
        Self {
            producer,
            encoder,
            topic,
        }
    }

    /// Returns the topic's name.
    #[must_use]
    pub fn name(&self) -> &TopicName {
        self.topic.name()
    }

    /// Places a record in its partition's open batch, like [`Producer::enqueue`]. A value of `None`
    /// is a tombstone.
    ///
    /// # Errors
    /// The error of a codec, with the topic. For other errors see [`Producer::enqueue`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, nothing was enqueued.
    pub async fn enqueue(&self, key: Option<&K>, value: Option<&V>) -> Result<Delivery> {
        let headers = Headers::new();
        let record = self
            .encoder
            .encode_parts(self.name(), headers, key, value)?;
        if record.headers.is_empty() {
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            return self.topic.enqueue(key, value).await;
        }
        let topic = self.name().clone();
        let record = ProducerRecord {
            topic,
            partition: None,
            record,
        };
        self.producer.enqueue(record).await
    }

    /// Sends a record and waits for its outcome, like [`Producer::send`].
    ///
    /// # Errors
    /// The same as [`enqueue`](Self::enqueue) and [`Producer::send`].
    ///
    /// # Cancel safety
    /// The same as [`Producer::send`].
    pub async fn send(&self, key: Option<&K>, value: Option<&V>) -> Result<RecordMetadata> {
        self.enqueue(key, value).await?.await
    }
}

impl<K: ?Sized, V: ?Sized> Clone for TypedTopic<K, V> {
    fn clone(&self) -> Self {
        Self::new(
            self.producer.clone(),
            self.encoder.clone(),
            self.topic.clone(),
        )
    }
}

impl<K: ?Sized, V: ?Sized> fmt::Debug for TypedTopic<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedTopic")
            .field("topic", &self.topic)
            .field("encoder", &self.encoder)
            .finish()
    }
}
