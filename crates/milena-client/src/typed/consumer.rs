//! A consumer of typed records.

use std::fmt;
use std::future::Future;

use milena_consumer::{Consumer, RunReport, ShutdownHandle};
use milena_core::{IntoOutcome, Result};
use milena_serializer::{Decoded, Decoder, Undecodable};

/// Reads records whose keys are `K` and values `V`, as a member of a group.
///
/// ```
/// # #[cfg(feature = "json")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milena_core::Result<()> {
/// use milena_client::serializer::{Decoded, JsonCodec, TextCodec};
/// use milena_client::{Client, ConsumerBuilderExt};
///
/// # let broker = milena_broker::Broker::builder().topic("stock", 2).start().await?;
/// # let client = Client::builder().bootstrap(broker.bootstrap()).connector(broker.dialer()).connect().await?;
/// # client.producer().build()?.send(milena_core::ProducerRecord::new("stock").key("ink").value("[3,5]")).await?;
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
///         stop.shutdown(); // one is enough here
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

    /// The next record of any assigned partition; waits for one.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`](milena_core::ErrorKind::Decode) for a record that cannot be decoded, with its topic, partition and offset: the
    /// next call gives the next record, and [`commit`](Self::commit) goes past this one. [`receive`](Self::receive) gives the record
    /// too. Else as [`Consumer::recv`].
    ///
    /// # Cancel safety
    /// Dropped before it resolves, no record is lost.
    pub async fn recv(&self) -> Result<Decoded<K, V>> {
        Ok(self.receive().await??)
    }

    /// As [`recv`](Self::recv), with the record that cannot be decoded in hand, to be kept elsewhere.
    ///
    /// # Errors
    /// As [`Consumer::recv`].
    ///
    /// # Cancel safety
    /// Dropped before it resolves, no record is lost.
    pub async fn receive(&self) -> Result<Result<Decoded<K, V>, Undecodable>> {
        let record = self.consumer.recv().await?;
        Ok(self.decoder.decode(record))
    }

    /// Commits what was received, as [`Consumer::commit`].
    ///
    /// # Errors
    /// As [`Consumer::commit`].
    ///
    /// # Cancel safety
    /// As [`Consumer::commit`].
    pub async fn commit(&self) -> Result<()> {
        self.consumer.commit().await
    }

    /// Processes records until the end, as [`Consumer::run`]. What cannot be decoded is poison.
    ///
    /// With layers around it, give [`Decoder::handler`] to a stack: `consumer.consumer().run(stack.handler(decoder.handler(f)))`.
    ///
    /// # Errors
    /// As [`Consumer::run`].
    ///
    /// # Cancel safety
    /// As [`Consumer::run`].
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

    /// A handle that ends the consumer in good order.
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.consumer.shutdown_handle()
    }

    /// Ends in good order, as [`Consumer::close`].
    pub async fn close(&self) {
        self.consumer.close().await;
    }

    /// The consumer below.
    #[must_use]
    pub fn consumer(&self) -> &Consumer {
        &self.consumer
    }

    /// The codecs.
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
