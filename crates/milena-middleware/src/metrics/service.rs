//! The service that counts attempts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use milena_core::{BoxError, Incoming, Outcome, ProcessError, Recording};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

/// The service that [`MetricsLayer`](super::MetricsLayer) makes.
#[derive(Clone, Debug)]
pub struct Measured<S> {
    inner: S,
}

impl<S> Measured<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Incoming> for Measured<S>
where
    S: Service<Incoming, Response = Outcome>,
    S::Error: Into<BoxError>,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = MeasuredFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        let attempt = incoming.attempt;
        let recording = incoming.extensions.shared();
        MeasuredFuture {
            measure: recording.map(|recording| Measure {
                recording,
                attempt,
                began: Instant::now(),
            }),
            inner: self.inner.call(incoming),
        }
    }
}

struct Measure {
    /// The consumer's recorder.
    recording: Arc<Recording>,
    /// The attempt at this layer's place, counted from 1.
    attempt: u32,
    /// The time of the call.
    began: Instant,
}

pin_project! {
    /// The future that counts the attempt before it returns the answer. An attempt that is dropped
    /// before its end does not count.
    pub struct MeasuredFuture<F> {
        #[pin]
        inner: F,
        // The attempt to count. `None` without a recorder, or once counted.
        measure: Option<Measure>,
    }
}

impl<F, E> Future for MeasuredFuture<F>
where
    F: Future<Output = Result<Outcome, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Outcome, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer =
            ready!(this.inner.poll(cx)).map_err(|error| ProcessError::from_boxed(error.into()));
        // A held record was not tried.
        let held = matches!(answer, Ok(Outcome::Hold(_)));
        if let Some(measure) = this.measure.take().filter(|_| !held) {
            let end = match &answer {
                Ok(outcome) => Ok(outcome.name()),
                Err(error) => Err(error.class()),
            };
            let recorder = &measure.recording.0;
            recorder.attempt(measure.attempt, measure.began.elapsed(), end);
        }
        Poll::Ready(answer.map_err(BoxError::from))
    }
}
