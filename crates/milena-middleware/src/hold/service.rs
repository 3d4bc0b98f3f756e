//! The service that is not ready while its gate is closed.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use milena_core::{BoxError, Gate, GateState};
use tower_service::Service;

/// The service that [`HoldLayer`](super::HoldLayer) makes.
pub struct Hold<S> {
    inner: S,
    gate: Gate,
    /// Waits for the gate to open. `None` while this lane does not wait.
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl<S> Hold<S> {
    pub(super) fn new(inner: S, gate: Gate) -> Self {
        Self {
            inner,
            gate,
            waiting: None,
        }
    }
}

impl<R, S> Service<R> for Hold<S>
where
    S: Service<R> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if self.waiting.is_some() || !self.gate.is_open() {
            if self.waiting.is_none() {
                // A clone holds no permits or tokens of the layers inside, so other lanes can use
                // them while this one waits.
                self.inner = self.inner.clone();
            }
            let gate = &self.gate;
            let waiting = self.waiting.get_or_insert_with(|| {
                let mut watch = gate.watch();
                let mut state = gate.state();
                Box::pin(async move {
                    while state != GateState::Open {
                        state = watch.changed().await;
                    }
                })
            });
            ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
        }
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.inner.call(request)
    }
}

impl<S: Clone> Clone for Hold<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.gate.clone())
    }
}

impl<S: fmt::Debug> fmt::Debug for Hold<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold")
            .field("inner", &self.inner)
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}
