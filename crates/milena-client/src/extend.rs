//! Extension methods of producer and consumer builders that need codecs and layers.

use bytes::Bytes;
use milena_consumer::ConsumerBuilder;
use milena_middleware::{Stack, StackLayer};
use milena_producer::{Compression, ProducerBuilder};
use milena_serializer::{Decoder, Deserializer, Encoder, Serializer};
use tower_layer::{Identity, Stack as Nested};

use crate::layered::LayeredConsumerBuilder;
use crate::typed::{TypedConsumerBuilder, TypedProducerBuilder};

/// Codecs and short forms for a [`ProducerBuilder`]. Part of the prelude.
pub trait ProducerBuilderExt: Sized {
    /// Compresses with gzip at its default level, 6.
    #[must_use]
    fn gzip(self) -> Self;

    /// Compresses with Snappy.
    #[must_use]
    fn snappy(self) -> Self;

    /// Compresses with lz4.
    #[must_use]
    fn lz4(self) -> Self;

    /// Compresses with zstd at level 1.
    #[must_use]
    fn zstd(self) -> Self;

    /// Sets the codec of keys. Values are `Bytes` until they have a codec.
    fn key<K: ?Sized>(
        self,
        codec: impl Serializer<K> + Send + Sync + 'static,
    ) -> TypedProducerBuilder<K, Bytes>;

    /// Sets the codec of values. Keys are `Bytes` until they have a codec.
    ///
    /// ```
    /// # use milena_client::{Client, ProducerBuilderExt};
    /// # use milena_client::serializer::{BigEndianCodec, TextCodec};
    /// # async fn build(client: Client) -> milena_core::Result<()> {
    /// let payments = client
    ///     .producer()
    ///     .lz4()
    ///     .key::<i64>(BigEndianCodec)
    ///     .value::<str>(TextCodec)
    ///     .build()?;
    /// payments.topic("payments").send(Some(&7), Some("two stamps")).await?;
    /// # Ok(())
    /// # }
    /// ```
    fn value<V: ?Sized>(
        self,
        codec: impl Serializer<V> + Send + Sync + 'static,
    ) -> TypedProducerBuilder<Bytes, V>;
}

/// Codecs and layers for a [`ConsumerBuilder`]. Part of the prelude.
pub trait ConsumerBuilderExt: Sized {
    /// Sets the codec of keys. Values are `Option<Bytes>` until they have a codec.
    fn key<K>(
        self,
        codec: impl Deserializer<K> + Send + Sync + 'static,
    ) -> TypedConsumerBuilder<K, Option<Bytes>>;

    /// Sets the codec of values. Keys are `Option<Bytes>` until they have a codec.
    fn value<V>(
        self,
        codec: impl Deserializer<V> + Send + Sync + 'static,
    ) -> TypedConsumerBuilder<Option<Bytes>, V>;

    /// Puts a layer around the handlers that the consumer runs. The first layer is the outermost,
    /// as in a [`Stack`].
    fn layer<N: StackLayer>(self, layer: N) -> LayeredConsumerBuilder<Nested<N, Identity>>;

    /// Puts these layers around the handlers that the consumer runs.
    fn stack<L, T>(self, stack: Stack<L, T>) -> LayeredConsumerBuilder<L, T>;
}

impl ProducerBuilderExt for ProducerBuilder {
    fn gzip(self) -> Self {
        self.compression(Compression::GZIP)
    }

    fn snappy(self) -> Self {
        self.compression(Compression::Snappy)
    }

    fn lz4(self) -> Self {
        self.compression(Compression::LZ4)
    }

    fn zstd(self) -> Self {
        self.compression(Compression::ZSTD)
    }

    fn key<K: ?Sized>(
        self,
        codec: impl Serializer<K> + Send + Sync + 'static,
    ) -> TypedProducerBuilder<K, Bytes> {
        TypedProducerBuilder::new(self, Encoder::bytes().with_key(codec))
    }

    fn value<V: ?Sized>(
        self,
        codec: impl Serializer<V> + Send + Sync + 'static,
    ) -> TypedProducerBuilder<Bytes, V> {
        TypedProducerBuilder::new(self, Encoder::bytes().with_value(codec))
    }
}

impl ConsumerBuilderExt for ConsumerBuilder {
    fn key<K>(
        self,
        codec: impl Deserializer<K> + Send + Sync + 'static,
    ) -> TypedConsumerBuilder<K, Option<Bytes>> {
        TypedConsumerBuilder::new(self, Decoder::bytes().with_key(codec))
    }

    fn value<V>(
        self,
        codec: impl Deserializer<V> + Send + Sync + 'static,
    ) -> TypedConsumerBuilder<Option<Bytes>, V> {
        TypedConsumerBuilder::new(self, Decoder::bytes().with_value(codec))
    }

    fn layer<N: StackLayer>(self, layer: N) -> LayeredConsumerBuilder<Nested<N, Identity>> {
        self.stack(Stack::new().layer(layer))
    }

    fn stack<L, T>(self, stack: Stack<L, T>) -> LayeredConsumerBuilder<L, T> {
        LayeredConsumerBuilder::new(self, stack)
    }
}
