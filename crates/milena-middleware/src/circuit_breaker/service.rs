//! The service that is not ready while its breaker is open.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use milena_core::{BoxError, ErrorClass, Incoming, Outcome, ProcessError, SharedRecord};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::breaker::{Admission, BreakerPermit, CallEnd, CircuitBreaker, Failed};

/// The service that [`CircuitBreakerLayer`](super::CircuitBreakerLayer) makes.
pub struct CircuitBreakerService<S> {
    inner: S,
    breaker: CircuitBreaker,
    /// The permission for the next call. `None` until the breaker gives one.
    permit: Option<BreakerPermit>,
    /// True if the layers inside were polled since the last call, so that they may hold a permit or
    /// a token.
    asked: bool,
    /// Waits for a change of the breaker. `None` while this lane does not wait.
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

    /// Waits for a change of the breaker.
    ///
    /// The first poll subscribes and returns ready. The caller then checks the breaker once more,
    /// so it misses no change.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.waiting {
            None => {
                let mut turns = self.breaker.turns();
                self.waiting = Some(Box::pin(async move {
                    // The breaker lives as long as this service, so the sender is never dropped.
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

    /// Gives back the permits and tokens of the layers inside, by replacing them with a clone. A
    /// probe of another lane may wait for them.
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
        // A permission from before the breaker's last change is no longer valid.
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
                // A probe's place is taken only when its call can begin. If a gate or a limit
                // inside made this lane wait with the place, all other lanes would wait too.
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
        // The record is kept only if it may become a probe.
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

/// Clones without the permission.
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
    /// The future that counts the answer before it returns it. A probe that is dropped before its
    /// end gives its place back.
    pub struct BreakerFuture<F> {
        #[pin]
        inner: F,
        // The permission. `None` once the end was counted.
        permit: Option<BreakerPermit>,
        // The record, for the reason of the gate. `None` in a time without failures.
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
            // The handler asked for a later try, which says nothing about the dependency.
            Ok(outcome @ (Outcome::Retry { .. } | Outcome::Hold(_))) => {
                (CallEnd::Neither, Ok(outcome))
            }
            Ok(outcome) => (CallEnd::Well, Ok(outcome)),
            Err(error) => {
                let error = ProcessError::from_boxed(error.into());
                let counts = this
                    .permit
                    .as_ref()
                    .is_some_and(|permit| permit.counts(error.class()));
                let ended = if counts {
                    CallEnd::Badly
                } else {
                    CallEnd::Neither
                };
                (ended, Err(error))
            }
        };
        let counts = this.permit.take().is_none_or(|permit| match &answer {
            Err(error) if ended == CallEnd::Badly => {
                let failed = Failed {
                    record: this.record.as_deref(),
                    why: &error.chain(),
                };
                permit.end(ended, Some(&failed))
            }
            _ => permit.end(ended, None),
        });
        Poll::Ready(answer.map_err(|error| {
            // The record only waits for the dependency. This holds if it opened the breaker, was
            // its probe, or ended late.
            let waits =
                ended == CallEnd::Badly && error.class() == ErrorClass::Dependency && !counts;
            if waits { error.uncounted() } else { error }.into()
        }))
    }
}
