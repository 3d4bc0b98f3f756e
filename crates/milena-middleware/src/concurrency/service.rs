//! The service that is not ready until it holds a permit.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use milena_core::{BoxError, ErrorClass, ProcessError};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::permits::{Permit, Permits};

/// The service that [`ConcurrencyLayer`](super::ConcurrencyLayer) makes.
pub struct Concurrency<S> {
    inner: S,
    /// The permits, shared by all clones of the layer.
    permits: Arc<Permits>,
    /// The permit for the next call. `None` until there is one.
    permit: Option<Permit>,
    /// Waits for a permit. `None` while this lane does not wait.
    waiting: Option<Pin<Box<dyn Future<Output = Permit> + Send + Sync>>>,
}

impl<S> Concurrency<S> {
    pub(super) fn new(inner: S, permits: Arc<Permits>) -> Self {
        Self {
            inner,
            permits,
            permit: None,
            waiting: None,
        }
    }

    fn poll_permit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.permit.is_some() {
            return Poll::Ready(());
        }
        if self.waiting.is_none() {
            self.permit = self.permits.try_take();
            if self.permit.is_some() {
                return Poll::Ready(());
            }
        }
        let permits = &self.permits;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(Arc::clone(permits).take()));
        self.permit = Some(ready!(waiting.as_mut().poll(cx)));
        self.waiting = None;
        Poll::Ready(())
    }
}

impl<R, S> Service<R> for Concurrency<S>
where
    S: Service<R>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ConcurrencyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        ready!(self.poll_permit(cx));
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        ConcurrencyFuture {
            inner: self.inner.call(request),
            permits: Arc::clone(&self.permits),
            permit: self.permit.take(),
            full: self.permits.is_full(),
            began: Instant::now(),
        }
    }
}

/// Clones without the permit.
impl<S: Clone> Clone for Concurrency<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.permits))
    }
}

impl<S: fmt::Debug> fmt::Debug for Concurrency<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Concurrency")
            .field("inner", &self.inner)
            .field("limit", &self.permits.limit())
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The future that gives the permit back with the answer, or when it is dropped.
    pub struct ConcurrencyFuture<F> {
        #[pin]
        inner: F,
        permits: Arc<Permits>,
        // The permit. `None` once it was given back.
        permit: Option<Permit>,
        // True if no permit was free after this one was taken.
        full: bool,
        // The start of the attempt.
        began: Instant,
    }
}

impl<F, T, E> Future for ConcurrencyFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        let answer = answer.map_err(|error| ProcessError::from_boxed(error.into()));
        let class = answer.as_ref().err().map(ProcessError::class);
        let overloaded = matches!(
            class,
            Some(ErrorClass::Throttled | ErrorClass::Dependency | ErrorClass::Timeout)
        );
        let full = *this.full || this.permits.is_full();
        this.permits.ended(
            *this.began,
            overloaded,
            class.is_some() && !overloaded,
            full,
        );
        drop(this.permit.take());
        Poll::Ready(answer.map_err(Into::into))
    }
}
