//! The service that makes a span of each record, or of each attempt.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use milena_core::{BoxError, ConsumerRecord, Incoming, Outcome, ProcessError};
use pin_project_lite::pin_project;
use tower_service::Service;
use tracing::Span;
use tracing::field::Empty;

use crate::bridge;
use crate::context::TraceContext;
use crate::current::{current, enter};
use crate::sampling::{Decision, Ratio};

/// What [`TraceLayer`](crate::TraceLayer) makes.
#[derive(Clone, Debug)]
pub struct TraceProcess<S> {
    inner: S,
    what: What,
    ratio: Ratio,
    group: Option<Arc<str>>,
}

/// What a span is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Process,
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

    fn begin(&self, incoming: &Incoming) -> (Span, Option<TraceContext>) {
        let record = &incoming.record;
        let parent = match self.what {
            What::Process => match self.ratio.decide(TraceContext::extract(&record.headers)) {
                Decision::Record(parent) => parent,
                Decision::PassOn(context) => return (Span::none(), Some(context)),
            },
            What::Attempt => match current() {
                Some(parent) if parent.is_sampled() => Some(parent),
                // As the layer further out decided.
                same => return (Span::none(), same),
            },
        };
        let span = self.span(incoming);
        if let Some(parent) = &parent {
            bridge::hang(&span, parent);
        }
        // Without OpenTelemetry the context is passed on as it came.
        let context = bridge::context(&span).or(parent);
        (span, context)
    }

    fn span(&self, incoming: &Incoming) -> Span {
        let record = &incoming.record;
        let topic = record.topic.as_str();
        match self.what {
            What::Process => tracing::info_span!(
                target: "milena::trace",
                parent: None,
                "process",
                otel.name = format!("process {topic}"),
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
                otel.name = format!("attempt {topic}"),
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

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        let (span, mut context) = self.begin(&incoming);
        let inner = {
            let _in_span = span.enter();
            let _entered = enter(&mut context);
            self.inner.call(incoming)
        };
        ProcessFuture {
            inner,
            span,
            context,
        }
    }
}

pin_project! {
    /// The answer; the span ends with it, or where it is dropped.
    pub struct ProcessFuture<F> {
        #[pin]
        inner: F,
        span: Span,
        context: Option<TraceContext>,
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
            let _in_span = this.span.enter();
            let _entered = enter(this.context);
            ready!(this.inner.poll(cx))
        };
        if this.span.is_none() {
            return Poll::Ready(answer.map_err(Into::into));
        }
        let answer = answer.map_err(|error| ProcessError::from_boxed(error.into()));
        note(this.span, &answer);
        // The span ends now, and not when the future is dropped.
        *this.span = Span::none();
        Poll::Ready(answer.map_err(BoxError::from))
    }
}

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
            span.record("otel.status_description", &**reason);
        }
        Err(error) => {
            span.record("error.type", error.class().name());
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", &*error.chain());
        }
    }
}
