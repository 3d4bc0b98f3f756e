//! The layer that decodes records.

use std::fmt;

use bytes::Bytes;
use tower_layer::Layer;

use super::service::Decode;
use crate::codec::Deserializer;
use crate::decoder::Decoder;
use crate::plain::BytesCodec;

/// Decodes key and value of each record. Puts them into its extensions as [`Decoded<K,
/// V>`](crate::Decoded).
pub struct DecodeLayer<K, V> {
    /// The codecs, shared by all services.
    decoder: Decoder<K, V>,
}

impl<K, V> DecodeLayer<K, V> {
    /// Creates a layer from a codec for keys and a codec for values.
    pub fn new(
        key: impl Deserializer<K> + Send + Sync + 'static,
        value: impl Deserializer<V> + Send + Sync + 'static,
    ) -> Self {
        Self {
            decoder: Decoder::new(key, value),
        }
    }
}

impl<V> DecodeLayer<Option<Bytes>, V> {
    /// Creates a layer that decodes values and leaves keys as bytes.
    pub fn value(value: impl Deserializer<V> + Send + Sync + 'static) -> Self {
        Self::new(BytesCodec, value)
    }
}

impl<S, K, V> Layer<S> for DecodeLayer<K, V> {
    type Service = Decode<S, K, V>;

    fn layer(&self, inner: S) -> Decode<S, K, V> {
        Decode::new(inner, self.decoder.clone())
    }
}

impl<K, V> Clone for DecodeLayer<K, V> {
    fn clone(&self) -> Self {
        Self {
            decoder: self.decoder.clone(),
        }
    }
}

impl<K, V> fmt::Debug for DecodeLayer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DecodeLayer").field(&self.decoder).finish()
    }
}
