//! The service that is not ready while its breaker is open.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use milena_core::{BoxError, ErrorClass, Incoming, Outcome, ProcessError};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::breaker::{CircuitBreaker, Ended, Permit};

/// What [`CircuitBreakerLayer`](super::CircuitBreakerLayer) makes.
pub struct CircuitBreakerService<S> {
    inner: S,
    breaker: CircuitBreaker,
    permit: Option<Permit>,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl<S> CircuitBreakerService<S> {
    pub(super) fn new(inner: S, breaker: CircuitBreaker) -> Self {
        Self {
            inner,
            breaker,
            permit: None,
            waiting: None,
        }
    }

    /// Waits for the right to a call.
    fn poll_permit(&mut self, cx: &mut Context<'_>) -> Poll<()>
    where
        S: Clone,
    {
        if self.permit.as_ref().is_some_and(Permit::is_current) {
            return Poll::Ready(());
        }
        // One from before the breaker's last change is worth nothing. What the layers inside have got or queue for meanwhile goes back:
        // it may be what the probe waits for.
        if self.permit.take().is_some() {
            self.inner = self.inner.clone();
        }
        loop {
            if let Some(permit) = self.breaker.admit() {
                self.permit = Some(permit);
                self.waiting = None;
                return Poll::Ready(());
            }
            match &mut self.waiting {
                // Asked once more after this, so that no change falls between.
                None => {
                    let mut turns = self.breaker.turns();
                    self.waiting = Some(Box::pin(async move {
                        // The breaker lives as long as this service.
                        let _ = turns.changed().await;
                    }));
                }
                Some(waiting) => {
                    ready!(waiting.as_mut().poll(cx));
                    self.waiting = None;
                }
            }
        }
    }
}

impl<S> Service<Incoming> for CircuitBreakerService<S>
where
    S: Service<Incoming, Response = Outcome> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = BreakerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        ready!(self.poll_permit(cx));
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        BreakerFuture {
            permit: self.permit.take(),
            inner: self.inner.call(incoming),
        }
    }
}

/// A clone carries no permit.
impl<S: Clone> Clone for CircuitBreakerService<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.breaker.clone())
    }
}

impl<S> fmt::Debug for CircuitBreakerService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerService")
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The answer, once the breaker has counted it. Dropped before, a probe is given back.
    pub struct BreakerFuture<F> {
        #[pin]
        inner: F,
        permit: Option<Permit>,
    }
}

impl<F, E> Future for BreakerFuture<F>
where
    F: Future<Output = Result<Outcome, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Outcome, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (ended, answer) = match ready!(this.inner.poll(cx)) {
            // The handler could not do it yet, for whatever reason.
            Ok(outcome @ (Outcome::Retry { .. } | Outcome::Hold(_))) => {
                (Ended::Neither, Ok(outcome))
            }
            Ok(outcome) => (Ended::Well, Ok(outcome)),
            Err(error) => {
                let error = ProcessError::from_boxed(error.into());
                let counts = this
                    .permit
                    .as_ref()
                    .is_some_and(|permit| permit.counts(error.class()));
                let ended = if counts { Ended::Badly } else { Ended::Neither };
                (ended, Err(error))
            }
        };
        let closed = this.permit.take().is_none_or(|permit| permit.end(ended));
        Poll::Ready(answer.map_err(|error| {
            // Whether it opened the breaker, was its probe or came late: the record only waits for the dependency.
            let waits = ended == Ended::Badly && error.class() == ErrorClass::Dependency && !closed;
            if waits { error.uncounted() } else { error }.into()
        }))
    }
}
