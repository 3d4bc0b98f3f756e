//! The service that encodes records.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use milena_core::{Error, ProducerRecord};
use tower_service::Service;

use crate::encoder::Encoder;
use crate::record::TypedRecord;

/// The service made by [`EncodeLayer`](super::EncodeLayer). It fails for a record that cannot be
/// encoded, without calling the inner service.
pub struct Encode<S, K, V> {
    /// The service of encoded records.
    inner: S,
    /// The codecs.
    encoder: Encoder<K, V>,
}

impl<S, K, V> Encode<S, K, V> {
    pub(super) fn new(inner: S, encoder: Encoder<K, V>) -> Self {
        Self { inner, encoder }
    }
}

impl<S, K, V> Service<TypedRecord<K, V>> for Encode<S, K, V>
where
    S: Service<ProducerRecord>,
    S::Error: From<Error> + Send + 'static,
    S::Response: Send + 'static,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, record: TypedRecord<K, V>) -> Self::Future {
        match self.encoder.encode(record) {
            Ok(record) => Box::pin(self.inner.call(record)),
            Err(error) => Box::pin(ready(Err(error.into()))),
        }
    }
}

impl<S: Clone, K, V> Clone for Encode<S, K, V> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.encoder.clone())
    }
}

impl<S: fmt::Debug, K, V> fmt::Debug for Encode<S, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encode")
            .field("inner", &self.inner)
            .field("encoder", &self.encoder)
            .finish()
    }
}
