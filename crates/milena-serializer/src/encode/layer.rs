//! The layer that encodes records.

use std::fmt;

use tower_layer::Layer;

use super::service::Encode;
use crate::codec::Serializer;
use crate::encoder::Encoder;

/// Wraps a service of [`ProducerRecord`](milena_core::ProducerRecord)s into a service of
/// [`TypedRecord`](crate::TypedRecord)s.
pub struct EncodeLayer<K, V> {
    /// The codecs, shared by all services.
    encoder: Encoder<K, V>,
}

impl<K, V> EncodeLayer<K, V> {
    /// Creates a layer from a codec for keys and a codec for values.
    pub fn new(
        key: impl Serializer<K> + Send + Sync + 'static,
        value: impl Serializer<V> + Send + Sync + 'static,
    ) -> Self {
        Self {
            encoder: Encoder::new(key, value),
        }
    }
}

impl<S, K, V> Layer<S> for EncodeLayer<K, V> {
    type Service = Encode<S, K, V>;

    fn layer(&self, inner: S) -> Encode<S, K, V> {
        Encode::new(inner, self.encoder.clone())
    }
}

impl<K, V> Clone for EncodeLayer<K, V> {
    fn clone(&self) -> Self {
        Self {
            encoder: self.encoder.clone(),
        }
    }
}

impl<K, V> fmt::Debug for EncodeLayer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EncodeLayer").field(&self.encoder).finish()
    }
}
