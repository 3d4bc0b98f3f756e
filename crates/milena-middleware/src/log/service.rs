//! The service that logs.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use milena_core::{BoxError, ErrorClass, Incoming, Outcome, ProcessError, SharedRecord};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

/// The service that [`LogLayer`](super::LogLayer) makes.
#[derive(Clone, Debug)]
pub struct Log<S> {
    inner: S,
}

impl<S> Log<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Incoming> for Log<S>
where
    S: Service<Incoming, Response = Outcome>,
    S::Error: Into<BoxError>,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = LogFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        // Reading the clock costs time, so it is skipped while no subscriber wants the lines.
        let heard = tracing::enabled!(target: "milena::process", tracing::Level::ERROR);
        let place = heard.then(|| Place {
            record: incoming.record.clone(),
            attempt: incoming.attempt,
            began: Instant::now(),
        });
        LogFuture {
            inner: self.inner.call(incoming),
            place,
        }
    }
}

pin_project! {
    /// The future that logs the answer before it returns it.
    pub struct LogFuture<F> {
        #[pin]
        inner: F,
        // The details for the log line. `None` if no subscriber wants it, or after it was written.
        place: Option<Place>,
    }
}

struct Place {
    /// The record, for its place and its attempts.
    record: SharedRecord,
    /// The attempt at this layer's place, counted from 1.
    attempt: u32,
    /// The time of the call.
    began: Instant,
}

impl<F, E> Future for LogFuture<F>
where
    F: Future<Output = Result<Outcome, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Outcome, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        let Some(place) = this.place.take() else {
            return Poll::Ready(answer.map_err(Into::into));
        };
        Poll::Ready(match answer {
            Ok(outcome) => {
                place.ended(&outcome);
                Ok(outcome)
            }
            Err(error) => {
                let error = ProcessError::from_boxed(error.into());
                place.failed(&error);
                Err(error.into())
            }
        })
    }
}

macro_rules! line {
    ($level:ident, $place:ident, $($rest:tt)*) => {
        tracing::$level!(
            target: "milena::process",
            topic = $place.record.topic.as_str(),
            partition = %$place.record.partition,
            offset = %$place.record.offset,
            attempt = $place.attempt.max($place.record.attempts()),
            elapsed = ?$place.began.elapsed(),
            $($rest)*
        )
    };
}

impl Place {
    fn ended(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Ack => line!(debug, self, "done"),
            Outcome::Skip(reason) => line!(info, self, %reason, "skipped"),
            Outcome::Retry { reason, .. } => line!(warn, self, %reason, "to be tried again"),
            Outcome::DeadLetter(reason) => line!(warn, self, %reason, "a dead letter"),
            Outcome::DeadLettered(reason) => {
                line!(warn, self, outcome = outcome.name(), %reason, "ended");
            }
            Outcome::Forwarded(reason) => {
                line!(warn, self, outcome = outcome.name(), %reason, "ended");
            }
            Outcome::Hold(until) => line!(debug, self, ?until, "held"),
            Outcome::Stop(reason) => line!(warn, self, %reason, "the consumer stops"),
            other => line!(info, self, outcome = other.name(), "ended"),
        }
    }

    fn failed(&self, error: &ProcessError) {
        let (class, why) = (error.class(), error.chain());
        match class {
            ErrorClass::Fatal => line!(error, self, %class, error = %why, "failed for good"),
            _ => line!(warn, self, %class, error = %why, "failed"),
        }
    }
}
