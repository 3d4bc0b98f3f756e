//! A codec for keys and one for values, to read records.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use milena_core::{ConsumerRecord, Incoming, IntoOutcome, Outcome, ProcessError, Result};

use crate::codec::{Deserializer, Part, decode};
use crate::plain::BytesCodec;
use crate::record::{Decoded, Undecodable};

/// The codecs of a key and a value, to read records. A clone shares them.
pub struct Decoder<K, V> {
    key: Arc<dyn Deserializer<K> + Send + Sync>,
    value: Arc<dyn Deserializer<V> + Send + Sync>,
}

impl Decoder<Option<Bytes>, Option<Bytes>> {
    /// Leaves keys and values as they are.
    #[must_use]
    pub fn bytes() -> Self {
        Self::new(BytesCodec, BytesCodec)
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

    /// The same with another codec of keys.
    #[must_use]
    pub fn with_key<L>(self, codec: impl Deserializer<L> + Send + Sync + 'static) -> Decoder<L, V> {
        Decoder {
            key: Arc::new(codec),
            value: self.value,
        }
    }

    /// The same with another codec of values.
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

    /// A handler of whole records from one of decoded records; what cannot be decoded is poison and does not reach it.
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

/// What a handler of whole records returns.
type Handling = Pin<Box<dyn Future<Output = Result<Outcome, ProcessError>> + Send>>;
