//! The service that passes over records.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use milena_core::{BoxError, ConsumerRecord, Incoming, Outcome, Reason};
use tower_service::Service;

use crate::early::EarlyFuture;

pub(super) type Keep = Arc<dyn Fn(&ConsumerRecord) -> bool + Send + Sync>;

/// The service that [`FilterLayer`](super::FilterLayer) makes.
#[derive(Clone)]
pub struct Filter<S> {
    inner: S,
    reason: Reason,
    keep: Keep,
}

impl<S> Filter<S> {
    pub(super) fn new(inner: S, reason: Reason, keep: Keep) -> Self {
        Self {
            inner,
            reason,
            keep,
        }
    }
}

impl<S> Service<Incoming> for Filter<S>
where
    S: Service<Incoming, Response = Outcome>,
    S::Error: Into<BoxError>,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = EarlyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        if (self.keep)(&incoming.record) {
            EarlyFuture::running(self.inner.call(incoming))
        } else {
            EarlyFuture::decided(Outcome::Skip(self.reason.clone()))
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Filter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter")
            .field("inner", &self.inner)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}
