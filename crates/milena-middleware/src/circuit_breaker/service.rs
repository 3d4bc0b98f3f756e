//! The service that is not ready while its breaker is open.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use milena_core::{BoxError, ErrorClass, Incoming, Outcome, ProcessError, SharedRecord};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::breaker::{Admission, CircuitBreaker, Ended, Failed, Permit};

/// What [`CircuitBreakerLayer`](super::CircuitBreakerLayer) makes.
pub struct CircuitBreakerService<S> {
    inner: S,
    breaker: CircuitBreaker,
    permit: Option<Permit>,
    /// Whether the layers inside were asked since the last call, and may have got something.
    asked: bool,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl<S> CircuitBreakerService<S> {
    pub(super) fn new(inner: S, breaker: CircuitBreaker) -> Self {
        Self {
            inner,
            breaker,
            permit: None,
            asked: false,
            waiting: None,
        }
    }

    /// Waits for a change of the breaker. Also ready when asked for the first time, so that the caller looks once more and no change
    /// falls between.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.waiting {
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
        Poll::Ready(())
    }

    /// What the layers inside have got or queue for goes back: it may be what a probe waits for.
    fn release(&mut self)
    where
        S: Clone,
    {
        if std::mem::take(&mut self.asked) {
            self.inner = self.inner.clone();
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
        // One from before the breaker's last change is worth nothing.
        if self
            .permit
            .as_ref()
            .is_some_and(|known| !known.is_current())
        {
            self.permit = None;
            self.release();
        }
        loop {
            if let Some(permit) = &self.permit {
                let probe = permit.is_probe();
                self.asked = true;
                let ready = self.inner.poll_ready(cx).map_err(Into::into);
                if ready.is_ready() || !probe {
                    return ready;
                }
                self.permit = None;
            }
            match self.breaker.admission() {
                Admission::Free => self.permit = self.breaker.admit(),
                Admission::Not => {
                    self.release();
                    ready!(self.poll_turn(cx));
                }
                // A probe is taken once it can begin: held while a gate or a limit inside keeps this lane waiting, it would keep all
                // others waiting too.
                Admission::Probe => {
                    self.asked = true;
                    match self.inner.poll_ready(cx) {
                        Poll::Pending => ready!(self.poll_turn(cx)),
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                        Poll::Ready(Ok(())) => {
                            self.permit = self.breaker.admit();
                            if self.permit.is_some() {
                                return Poll::Ready(Ok(()));
                            }
                        }
                    }
                }
            }
        }
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        let permit = self.permit.take();
        // Kept only where it may come to a probe.
        let kept = permit.as_ref().is_some_and(|known| !known.is_smooth());
        self.asked = false;
        self.waiting = None;
        BreakerFuture {
            record: kept.then(|| incoming.record.clone()),
            permit,
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
        record: Option<SharedRecord>,
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
        let counts = this.permit.take().is_none_or(|permit| match &answer {
            Err(error) if ended == Ended::Badly => {
                let failed = Failed {
                    record: this.record.as_deref(),
                    why: &error.chain(),
                };
                permit.end(ended, Some(&failed))
            }
            _ => permit.end(ended, None),
        });
        Poll::Ready(answer.map_err(|error| {
            // Whether it opened the breaker, was its probe or came late: the record only waits for the dependency.
            let waits = ended == Ended::Badly && error.class() == ErrorClass::Dependency && !counts;
            if waits { error.uncounted() } else { error }.into()
        }))
    }
}
