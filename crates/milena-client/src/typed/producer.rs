//! A producer of typed records.

use std::fmt;
use std::time::Duration;

use milena_core::{RecordMetadata, Result, TopicName};
use milena_producer::{Delivery, Producer, TryEnqueueError};
use milena_serializer::{Encoder, TypedRecord};

use super::topic::TypedTopic;

/// A producer of records with keys of type `K` and values of type `V`. A clone is the same
/// producer.
///
/// ```
/// # #[cfg(feature = "json")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milena_core::Result<()> {
/// use milena_client::serializer::{JsonCodec, TextCodec, TypedRecord};
/// use milena_client::{Client, ProducerBuilderExt};
///
/// # let broker = milena_broker::Broker::builder().topic("stock", 2).start().await?;
/// # let client = Client::builder()
/// #     .bootstrap(broker.bootstrap())
/// #     .connector(broker.dialer())
/// #     .connect()
/// #     .await?;
/// let producer = client.producer().key::<String>(TextCodec).value::<Vec<u32>>(JsonCodec).build()?;
/// let record = TypedRecord::new("stock").key("ink".into()).value(vec![3, 5]);
/// producer.send(record.header("source", "till")).await?;
///
/// // Records of one topic, by reference. Without a value it is a tombstone.
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

    /// Returns a handle for records of one topic.
    #[must_use]
    pub fn topic(&self, name: impl Into<TopicName>) -> TypedTopic<K, V> {
        TypedTopic::new(
            self.producer.clone(),
            self.encoder.clone(),
            self.producer.topic(name),
        )
    }

    /// Returns the inner producer, for records in bytes.
    #[must_use]
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// Sends all enqueued records, like [`Producer::flush`].
    ///
    /// # Errors
    /// The same as [`Producer::flush`].
    ///
    /// # Cancel safety
    /// The same as [`Producer::flush`].
    pub async fn flush(&self) -> Result<()> {
        self.producer.flush().await
    }

    /// Closes the producer, like [`Producer::close`].
    ///
    /// # Errors
    /// The same as [`Producer::close`].
    ///
    /// # Cancel safety
    /// The same as [`Producer::close`].
    pub async fn close(&self, timeout: Duration) -> Result<()> {
        self.producer.close(timeout).await
    }
}

impl<K, V> TypedProducer<K, V> {
    /// Sends a record and waits until the broker has acknowledged it as `acks` asks.
    ///
    /// # Errors
    /// The error of a codec, with the topic. Nothing was sent then. For other errors see
    /// [`Producer::send`].
    ///
    /// # Cancel safety
    /// The same as [`Producer::send`].
    pub async fn send(&self, record: TypedRecord<K, V>) -> Result<RecordMetadata> {
        self.producer.send(self.encoder.encode(record)?).await
    }

    /// Places a record in its partition's open batch, like [`Producer::enqueue`].
    ///
    /// # Errors
    /// The same as [`send`](Self::send).
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, nothing was enqueued.
    pub async fn enqueue(&self, record: TypedRecord<K, V>) -> Result<Delivery> {
        self.producer.enqueue(self.encoder.encode(record)?).await
    }

    /// Places a record in its partition's open batch like [`enqueue`](Self::enqueue), without
    /// waiting.
    ///
    /// # Errors
    /// [`TryEnqueueError`]. It is `Refused` for the error of a codec too. The record was not
    /// enqueued.
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
