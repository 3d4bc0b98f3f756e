//! The service that makes a span of each record or each attempt.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use milena_core::{BoxError, ConsumerRecord, Incoming, Outcome, ProcessError};
use pin_project_lite::pin_project;
use tower_service::Service;
use tracing::Span;
use tracing::field::Empty;

use crate::batch;
use crate::bridge;
use crate::context::TraceContext;
use crate::current::{Part, enter, recorded};
use crate::sampling::{Decision, Ratio};

/// The service around a handler that [`TraceLayer`](crate::TraceLayer) makes.
#[derive(Clone, Debug)]
pub struct TraceProcess<S> {
    /// The handler, or the layers around it.
    inner: S,
    /// The kind of span to make.
    what: What,
    /// The share of records without a context that begin a recorded trace.
    ratio: Ratio,
    /// The consumer group to name in spans. `None` leaves the attribute out.
    group: Option<Arc<str>>,
}

/// The kind of span that a service makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// One span per record.
    Process,
    /// One span per attempt.
    Attempt,
}

impl<S> TraceProcess<S> {
    pub(crate) fn new(inner: S, what: What, ratio: Ratio, group: Option<Arc<str>>) -> Self {
        Self {
            inner,
            what,
            ratio,
            group,
        }
    }

    /// Decides on a span for the record, and returns it with the part of a trace to run in. Most
    /// records have no span, and cost next to nothing here.
    #[inline]
    fn begin(&self, incoming: &mut Incoming) -> (Option<Box<Span>>, Part) {
        match self.what {
            What::Process => {
                let parent = TraceContext::extract(&incoming.record.headers);
                match self.ratio.decide(parent) {
                    Decision::Record(parent) => self.record(incoming, parent),
                    Decision::PassOn(Some(context)) => (None, Some(context).into()),
                    Decision::PassOn(None) => (None, Part::Unrecorded),
                }
            }
            What::Attempt => match recorded() {
                Some(parent) => self.record(incoming, Some(parent)),
                // The layer further out decided for no span. The surrounding part stays the current
                // one.
                None => (None, Part::Around),
            },
        }
    }

    /// Makes a span for the record. Kept out of line, because few records are sampled.
    #[cold]
    #[inline(never)]
    fn record(
        &self,
        incoming: &mut Incoming,
        parent: Option<TraceContext>,
    ) -> (Option<Box<Span>>, Part) {
        let span = self.span(incoming);
        if span.is_disabled() {
            // The subscriber filters such spans out. The context is passed on as it came.
            return (None, parent.into());
        }
        let context = bridge::join(&span, parent);
        if let Some(context) = &context {
            batch::note(context, &mut incoming.extensions);
        }
        (Some(Box::new(span)), context.into())
    }

    /// Makes the span with its attributes.
    fn span(&self, incoming: &Incoming) -> Span {
        let record = &incoming.record;
        let topic = record.topic.as_str();
        match self.what {
            What::Process => tracing::info_span!(
                target: "milena::trace",
                parent: None,
                "process",
                otel.name = %format_args!("process {topic}"),
                otel.kind = "consumer",
                otel.status_code = Empty,
                otel.status_description = Empty,
                messaging.system = "kafka",
                messaging.operation.name = "process",
                messaging.operation.type = "process",
                messaging.destination.name = topic,
                messaging.destination.partition.id = %record.partition,
                messaging.kafka.offset = record.offset.to_wire(),
                messaging.consumer.group.name = self.group.as_deref(),
                messaging.message.body.size = body_size(record),
                messaging.kafka.message.tombstone = record.value.is_none().then_some(true),
                milena.outcome = Empty,
                error.type = Empty,
            ),
            What::Attempt => tracing::info_span!(
                target: "milena::trace",
                parent: None,
                "attempt",
                otel.name = %format_args!("attempt {topic}"),
                otel.kind = "internal",
                otel.status_code = Empty,
                otel.status_description = Empty,
                milena.attempt = incoming.attempt,
                milena.outcome = Empty,
                error.type = Empty,
            ),
        }
    }
}

/// Returns the bytes of the record's value, 0 for a tombstone.
pub(crate) fn body_size(record: &ConsumerRecord) -> u64 {
    record.value.as_ref().map_or(0, |value| value.len() as u64)
}

impl<S> Service<Incoming> for TraceProcess<S>
where
    S: Service<Incoming, Response = Outcome>,
    S::Error: Into<BoxError>,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = ProcessFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut incoming: Incoming) -> Self::Future {
        let (span, mut part) = self.begin(&mut incoming);
        let inner = {
            let _in_span = span.as_deref().map(Span::enter);
            let _entered = enter(&mut part);
            self.inner.call(incoming)
        };
        ProcessFuture { inner, span, part }
    }
}

pin_project! {
    /// The future of one record. The span ends with the answer, or when the future is dropped.
    pub struct ProcessFuture<F> {
        #[pin]
        inner: F,
        // Boxed, so that the future of a record without a span stays small.
        span: Option<Box<Span>>,
        // The part to run as. While the future is polled it holds the surrounding part.
        part: Part,
    }
}

impl<F, E> Future for ProcessFuture<F>
where
    F: Future<Output = Result<Outcome, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Outcome, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = {
            let _in_span = this.span.as_deref().map(Span::enter);
            let _entered = enter(this.part);
            ready!(this.inner.poll(cx))
        };
        // End the span now, because the caller may drop this future much later.
        match this.span.take() {
            None => Poll::Ready(answer.map_err(Into::into)),
            Some(span) => {
                let answer = answer.map_err(|error| ProcessError::from_boxed(error.into()));
                note(&span, &answer);
                Poll::Ready(answer.map_err(BoxError::from))
            }
        }
    }
}

/// Writes the outcome, or the error, into the span.
#[cold]
fn note(span: &Span, answer: &Result<Outcome, ProcessError>) {
    match answer {
        Ok(outcome) => {
            span.record("milena.outcome", outcome.name());
            let reason = match outcome {
                Outcome::Retry { reason, .. }
                | Outcome::DeadLetter(reason)
                | Outcome::DeadLettered(reason) => reason,
                _ => return,
            };
            span.record("error.type", outcome.name());
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", beginning(reason));
        }
        Err(error) => {
            span.record("error.type", error.class().name());
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", beginning(&error.chain()));
        }
    }
}

/// Returns the first [`LONGEST`] bytes of a text. The text may quote a record, so it may be of any
/// length.
fn beginning(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST))
        .unwrap_or(text)
}

/// The longest description of a failure in a span, in bytes.
const LONGEST: usize = 1 << 10;
