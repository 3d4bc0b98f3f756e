//! Two codecs that decode the keys and values of records.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use milena_core::{ConsumerRecord, Incoming, IntoOutcome, Outcome, ProcessError, Result};

use crate::codec::{Deserializer, Part, decode};
use crate::plain::BytesCodec;
use crate::record::{Decoded, Undecodable};

/// The codecs for keys and values of consumed records. Clones share them.
pub struct Decoder<K, V> {
    /// The codec of the key.
    key: Arc<dyn Deserializer<K> + Send + Sync>,
    /// The codec of the value.
    value: Arc<dyn Deserializer<V> + Send + Sync>,
}

impl Decoder<Option<Bytes>, Option<Bytes>> {
    /// Creates a decoder that leaves keys and values as bytes.
    #[must_use]
    pub fn bytes() -> Self {
        Self::new(BytesCodec, BytesCodec)
    }
}

impl<K, V> Decoder<K, V> {
    /// Creates a decoder from two codecs.
    pub fn new(
        key: impl Deserializer<K> + Send + Sync + 'static,
        value: impl Deserializer<V> + Send + Sync + 'static,
    ) -> Self {
        Self {
            key: Arc::new(key),
            value: Arc::new(value),
        }
    }

    /// Returns the decoder with another codec for keys.
    #[must_use]
    pub fn with_key<L>(self, codec: impl Deserializer<L> + Send + Sync + 'static) -> Decoder<L, V> {
        Decoder {
            key: Arc::new(codec),
            value: self.value,
        }
    }

    /// Returns the decoder with another codec for values.
    #[must_use]
    pub fn with_value<W>(
        self,
        codec: impl Deserializer<W> + Send + Sync + 'static,
    ) -> Decoder<K, W> {
        Decoder {
            key: self.key,
            value: Arc::new(codec),
        }
    }

    /// Wraps a handler of decoded records into a handler of records. A record that cannot be
    /// decoded is poison, and the wrapped handler is not called.
    ///
    /// ```
    /// use milena_serializer::{BigEndianCodec, Decoded, Decoder, TextCodec};
    ///
    /// let decoder = Decoder::<i64, String>::new(BigEndianCodec, TextCodec);
    /// let handler = decoder.handler(async |payment: Decoded<i64, String>| {
    ///     println!("{} paid {}", payment.key, payment.value);
    /// });
    /// # fn check<A>(_: impl milena_core::Handler<A>) {}
    /// # check(handler); // give it to `consumer.run` or `Stack::handler`
    /// ```
    pub fn handler<F, Fut>(
        &self,
        handler: F,
    ) -> impl Fn(Incoming) -> Handling + Clone + Send + Sync + 'static + use<F, Fut, K, V>
    where
        F: Fn(Decoded<K, V>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: IntoOutcome,
        K: 'static,
        V: 'static,
    {
        let decoder = self.clone();
        move |incoming: Incoming| match decoder.decode(incoming.record.into_inner()) {
            Ok(decoded) => {
                let running = handler(decoded);
                Box::pin(async move { running.await.into_outcome() })
            }
            Err(undecodable) => Box::pin(ready(Err(undecodable.into()))),
        }
    }

    /// Decodes key and value of a record.
    ///
    /// # Errors
    /// [`Undecodable`] with the record and the reason.
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

impl<K, V> Clone for Decoder<K, V> {
    fn clone(&self) -> Self {
        Self {
            key: Arc::clone(&self.key),
            value: Arc::clone(&self.value),
        }
    }
}

impl<K, V> fmt::Debug for Decoder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (std::any::type_name::<K>(), std::any::type_name::<V>());
        write!(f, "Decoder<{key}, {value}>")
    }
}

/// The future of a wrapped handler.
type Handling = Pin<Box<dyn Future<Output = Result<Outcome, ProcessError>> + Send>>;
