//! A consumer of typed records.

use std::fmt;
use std::future::Future;

use milena_consumer::{Consumer, RunReport, ShutdownHandle};
use milena_core::{IntoOutcome, Result};
use milena_serializer::{Decoded, Decoder, Undecodable};

/// A group member that reads records with keys of type `K` and values of type `V`.
///
/// ```
/// # #[cfg(feature = "json")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milena_core::Result<()> {
/// use milena_client::serializer::{Decoded, JsonCodec, TextCodec};
/// use milena_client::{Client, ConsumerBuilderExt};
///
/// # let broker = milena_broker::Broker::builder().topic("stock", 2).start().await?;
/// # let client = Client::builder()
/// #     .bootstrap(broker.bootstrap())
/// #     .connector(broker.dialer())
/// #     .connect()
/// #     .await?;
/// # let stock = milena_core::ProducerRecord::new("stock").key("ink").value("[3,5]");
/// # client.producer().build()?.send(stock).await?;
/// let consumer = client
///     .consumer("counting")
///     .topics(["stock"])
///     .key::<String>(TextCodec)
///     .value::<Option<Vec<u32>>>(JsonCodec) // tombstones are `None`
///     .build()?;
/// let stop = consumer.shutdown_handle();
/// consumer
///     .run(move |counted: Decoded<String, Option<Vec<u32>>>| {
///         assert_eq!((counted.key.as_str(), counted.value), ("ink", Some(vec![3, 5])));
///         stop.shutdown(); // one record is enough here
///         async {}
///     })
///     .await?;
/// # client.close().await;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "json"))]
/// # fn main() {}
/// ```
pub struct TypedConsumer<K, V> {
    consumer: Consumer,
    decoder: Decoder<K, V>,
}

impl<K, V> TypedConsumer<K, V> {
    pub(crate) fn new(consumer: Consumer, decoder: Decoder<K, V>) -> Self {
        Self { consumer, decoder }
    }

    /// Returns the next record of any assigned partition. Waits for one.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`](milena_core::ErrorKind::Decode) for a record that cannot be decoded,
    /// with its topic, partition and offset. The next call returns the next record, and
    /// [`commit`](Self::commit) includes this one. [`receive`](Self::receive) also returns the
    /// undecodable record. For other errors see [`Consumer::recv`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, no record is lost.
    pub async fn recv(&self) -> Result<Decoded<K, V>> {
        Ok(self.receive().await??)
    }

    /// Returns the next record like [`recv`](Self::recv). A record that cannot be decoded is
    /// returned too, so that it can be stored elsewhere.
    ///
    /// # Errors
    /// The same as [`Consumer::recv`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, no record is lost.
    pub async fn receive(&self) -> Result<Result<Decoded<K, V>, Undecodable>> {
        let record = self.consumer.recv().await?;
        Ok(self.decoder.decode(record))
    }

    /// Commits the received records, like [`Consumer::commit`].
    ///
    /// # Errors
    /// The same as [`Consumer::commit`].
    ///
    /// # Cancel safety
    /// The same as [`Consumer::commit`].
    pub async fn commit(&self) -> Result<()> {
        self.consumer.commit().await
    }

    /// Processes records until the consumer ends, like [`Consumer::run`]. A record that cannot be
    /// decoded is poison.
    ///
    /// To add layers, give [`Decoder::handler`] to a stack, as in
    /// `consumer.consumer().run(stack.handler(decoder.handler(f)))`.
    ///
    /// # Errors
    /// The same as [`Consumer::run`].
    ///
    /// # Cancel safety
    /// The same as [`Consumer::run`].
    pub async fn run<F, Fut>(&self, handler: F) -> Result<RunReport>
    where
        F: Fn(Decoded<K, V>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: IntoOutcome,
        K: 'static,
        V: 'static,
    {
        self.consumer.run(self.decoder.handler(handler)).await
    }

    /// Returns a handle that shuts the consumer down in order.
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.consumer.shutdown_handle()
    }

    /// Shuts the consumer down in order, like [`Consumer::close`].
    pub async fn close(&self) {
        self.consumer.close().await;
    }

    /// Returns the inner consumer.
    #[must_use]
    pub fn consumer(&self) -> &Consumer {
        &self.consumer
    }

    /// Returns the codecs.
    #[must_use]
    pub fn decoder(&self) -> &Decoder<K, V> {
        &self.decoder
    }
}

impl<K, V> fmt::Debug for TypedConsumer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedConsumer")
            .field("consumer", &self.consumer)
            .field("decoder", &self.decoder)
            .finish()
    }
}
