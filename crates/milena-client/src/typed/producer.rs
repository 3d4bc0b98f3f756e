//! A producer of typed records.

use std::fmt;
use std::time::Duration;

use milena_core::{RecordMetadata, Result, TopicName};
use milena_producer::{Delivery, Producer, TryEnqueueError};
use milena_serializer::{Encoder, TypedRecord};

use super::topic::TypedTopic;

/// Sends records whose keys are `K` and values `V`. A clone is the same producer.
///
/// ```
/// # #[cfg(feature = "json")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milena_core::Result<()> {
/// use milena_client::serializer::{JsonCodec, TextCodec, TypedRecord};
/// use milena_client::{Client, ProducerBuilderExt};
///
/// # let broker = milena_broker::Broker::builder().topic("stock", 2).start().await?;
/// # let client = Client::builder().bootstrap(broker.bootstrap()).connector(broker.dialer()).connect().await?;
/// let producer = client.producer().key::<String>(TextCodec).value::<Vec<u32>>(JsonCodec).build()?;
/// producer.send(TypedRecord::new("stock").key("ink".into()).value(vec![3, 5]).header("source", "till")).await?;
///
/// // Many of one topic, by reference; without a value, a tombstone.
/// let stock = producer.topic("stock");
/// stock.enqueue(Some(&"pen".into()), Some(&vec![7])).await?.await?;
/// stock.send(Some(&"ink".into()), None).await?;
/// # client.close().await;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "json"))]
/// # fn main() {}
/// ```
pub struct TypedProducer<K: ?Sized, V: ?Sized> {
    producer: Producer,
    encoder: Encoder<K, V>,
}

impl<K: ?Sized, V: ?Sized> TypedProducer<K, V> {
    pub(crate) fn new(producer: Producer, encoder: Encoder<K, V>) -> Self {
        Self { producer, encoder }
    }

    /// A handle for records of one topic.
    #[must_use]
    pub fn topic(&self, name: impl Into<TopicName>) -> TypedTopic<K, V> {
        TypedTopic::new(
            self.producer.clone(),
            self.encoder.clone(),
            self.producer.topic(name),
        )
    }

    /// The producer below, for records in bytes.
    #[must_use]
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// As [`Producer::flush`].
    ///
    /// # Errors
    /// As [`Producer::flush`].
    ///
    /// # Cancel safety
    /// As [`Producer::flush`].
    pub async fn flush(&self) -> Result<()> {
        self.producer.flush().await
    }

    /// As [`Producer::close`].
    ///
    /// # Errors
    /// As [`Producer::close`].
    ///
    /// # Cancel safety
    /// As [`Producer::close`].
    pub async fn close(&self, timeout: Duration) -> Result<()> {
        self.producer.close(timeout).await
    }
}

impl<K, V> TypedProducer<K, V> {
    /// Sends a record and waits until the broker has acknowledged it as `acks` asks.
    ///
    /// # Errors
    /// What a codec failed with, naming the topic; nothing was sent then. Else as [`Producer::send`].
    ///
    /// # Cancel safety
    /// As [`Producer::send`].
    pub async fn send(&self, record: TypedRecord<K, V>) -> Result<RecordMetadata> {
        self.producer.send(self.encoder.encode(record)?).await
    }

    /// Places a record in its partition's open batch, as [`Producer::enqueue`].
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// Dropped before it resolves, nothing was enqueued.
    pub async fn enqueue(&self, record: TypedRecord<K, V>) -> Result<Delivery> {
        self.producer.enqueue(self.encoder.encode(record)?).await
    }

    /// As [`enqueue`](Self::enqueue), without waiting.
    ///
    /// # Errors
    /// [`TryEnqueueError`], `Refused` also for what a codec failed with; the record was not enqueued.
    pub fn try_enqueue(&self, record: TypedRecord<K, V>) -> Result<Delivery, TryEnqueueError> {
        let record = self.encoder.encode(record);
        self.producer
            .try_enqueue(&record.map_err(TryEnqueueError::Refused)?)
    }
}

impl<K: ?Sized, V: ?Sized> Clone for TypedProducer<K, V> {
    fn clone(&self) -> Self {
        Self::new(self.producer.clone(), self.encoder.clone())
    }
}

impl<K: ?Sized, V: ?Sized> fmt::Debug for TypedProducer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedProducer")
            .field("producer", &self.producer)
            .field("encoder", &self.encoder)
            .finish()
    }
}
