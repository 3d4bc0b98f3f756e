//! The service that decodes records.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use milena_core::{BoxError, Incoming, Outcome, ProcessError};
use tower_service::Service;

use crate::decoder::Decoder;

/// The service made by [`DecodeLayer`](super::DecodeLayer).
pub struct Decode<S, K, V> {
    /// The handler's service, called with decoded records.
    inner: S,
    /// The codecs.
    decoder: Decoder<K, V>,
}

impl<S, K, V> Decode<S, K, V> {
    pub(super) fn new(inner: S, decoder: Decoder<K, V>) -> Self {
        Self { inner, decoder }
    }
}

impl<S, K, V> Service<Incoming> for Decode<S, K, V>
where
    S: Service<Incoming, Response = Outcome>,
    S::Error: Into<BoxError> + 'static,
    S::Future: Send + 'static,
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Outcome, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut incoming: Incoming) -> Self::Future {
        match self.decoder.decode(incoming.record.clone().into_inner()) {
            Ok(decoded) => {
                incoming.extensions.insert(decoded);
                let calling = self.inner.call(incoming);
                Box::pin(async move { calling.await.map_err(Into::into) })
            }
            Err(undecodable) => Box::pin(ready(Err(ProcessError::from(undecodable).into()))),
        }
    }
}

impl<S: Clone, K, V> Clone for Decode<S, K, V> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.decoder.clone())
    }
}

impl<S: fmt::Debug, K, V> fmt::Debug for Decode<S, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decode")
            .field("inner", &self.inner)
            .field("decoder", &self.decoder)
            .finish()
    }
}
