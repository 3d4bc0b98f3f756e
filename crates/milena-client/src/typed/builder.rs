//! The builders of typed producers and consumers.

use std::fmt;

use milena_consumer::ConsumerBuilder;
use milena_core::Result;
use milena_producer::ProducerBuilder;
use milena_serializer::{Decoder, Deserializer, Encoder, Serializer};

use super::consumer::TypedConsumer;
use super::producer::TypedProducer;

/// A builder of a [`TypedProducer`]. Made by [`ProducerBuilderExt`](crate::ProducerBuilderExt).
#[must_use = "nothing happens before `build`"]
pub struct TypedProducerBuilder<K: ?Sized, V: ?Sized> {
    builder: ProducerBuilder,
    encoder: Encoder<K, V>,
}

/// A builder of a [`TypedConsumer`]. Made by [`ConsumerBuilderExt`](crate::ConsumerBuilderExt).
#[must_use = "nothing happens before `build`"]
pub struct TypedConsumerBuilder<K, V> {
    builder: ConsumerBuilder,
    decoder: Decoder<K, V>,
}

impl<K: ?Sized, V: ?Sized> TypedProducerBuilder<K, V> {
    pub(crate) fn new(builder: ProducerBuilder, encoder: Encoder<K, V>) -> Self {
        Self { builder, encoder }
    }

    /// Sets the codec of keys. Default keys are `Bytes`.
    pub fn key<L: ?Sized>(
        self,
        codec: impl Serializer<L> + Send + Sync + 'static,
    ) -> TypedProducerBuilder<L, V> {
        TypedProducerBuilder::new(self.builder, self.encoder.with_key(codec))
    }

    /// Sets the codec of values. Default values are `Bytes`.
    pub fn value<W: ?Sized>(
        self,
        codec: impl Serializer<W> + Send + Sync + 'static,
    ) -> TypedProducerBuilder<K, W> {
        TypedProducerBuilder::new(self.builder, self.encoder.with_value(codec))
    }

    /// Changes a setting of the inner producer.
    pub fn with(mut self, change: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> Self {
        self.builder = change(self.builder);
        self
    }

    /// Checks the settings and starts the producer.
    ///
    /// # Errors
    /// The same as [`ProducerBuilder::build`].
    pub fn build(self) -> Result<TypedProducer<K, V>> {
        let producer = self.builder.build()?;
        Ok(TypedProducer::new(producer, self.encoder))
    }
}

impl<K, V> TypedConsumerBuilder<K, V> {
    pub(crate) fn new(builder: ConsumerBuilder, decoder: Decoder<K, V>) -> Self {
        Self { builder, decoder }
    }

    /// Sets the codec of keys. Default keys are `Option<Bytes>`.
    pub fn key<L>(
        self,
        codec: impl Deserializer<L> + Send + Sync + 'static,
    ) -> TypedConsumerBuilder<L, V> {
        TypedConsumerBuilder::new(self.builder, self.decoder.with_key(codec))
    }

    /// Sets the codec of values. Default values are `Option<Bytes>`.
    pub fn value<W>(
        self,
        codec: impl Deserializer<W> + Send + Sync + 'static,
    ) -> TypedConsumerBuilder<K, W> {
        TypedConsumerBuilder::new(self.builder, self.decoder.with_value(codec))
    }

    /// Changes a setting of the inner consumer.
    pub fn with(mut self, change: impl FnOnce(ConsumerBuilder) -> ConsumerBuilder) -> Self {
        self.builder = change(self.builder);
        self
    }

    /// Builds the consumer. It joins the group at its first use.
    ///
    /// # Errors
    /// The same as [`ConsumerBuilder::build`].
    pub fn build(self) -> Result<TypedConsumer<K, V>> {
        let consumer = self.builder.build()?;
        Ok(TypedConsumer::new(consumer, self.decoder))
    }
}

impl<K: ?Sized, V: ?Sized> fmt::Debug for TypedProducerBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedProducerBuilder")
            .field("builder", &self.builder)
            .field("encoder", &self.encoder)
            .finish()
    }
}

impl<K, V> fmt::Debug for TypedConsumerBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedConsumerBuilder")
            .field("builder", &self.builder)
            .field("decoder", &self.decoder)
            .finish()
    }
}
