//! The service that writes the trace context into each record.

use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use milena_core::{ProducerRecord, RecordMetadata};
use pin_project_lite::pin_project;
use tower_service::Service;
use tracing::Span;
use tracing::field::Empty;

use crate::bridge;
use crate::context::TraceContext;
use crate::current::current;
use crate::sampling::{Decision, Ratio};

/// The service around a producer that [`TraceSendLayer`](crate::TraceSendLayer) makes. It is a
/// producer itself, for handlers and for dead letters.
#[derive(Clone, Debug)]
pub struct TraceSend<S> {
    /// The producer.
    inner: S,
    /// The share of records without a context that begin a recorded trace.
    ratio: Ratio,
}

impl<S> TraceSend<S> {
    pub(crate) fn new(inner: S, ratio: Ratio) -> Self {
        Self { inner, ratio }
    }

    /// Returns the producer inside.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Sends a record once the producer has room, and waits for its outcome.
    ///
    /// # Errors
    /// The errors of the producer.
    ///
    /// # Cancel safety
    /// The same as that of the producer's own `send`.
    pub async fn send(&self, record: ProducerRecord) -> Result<RecordMetadata, S::Error>
    where
        S: Service<ProducerRecord, Response = RecordMetadata> + Clone,
        S::Error: Display,
    {
        let mut ready = self.clone();
        poll_fn(|cx| ready.poll_ready(cx)).await?;
        ready.call(record).await
    }

    /// Writes the context into a record that is sent in another way, for example by `enqueue`.
    ///
    /// Returns the span of the send, to be dropped once the record was sent. The span is disabled
    /// if the record is not sampled.
    pub fn start(&self, record: &mut ProducerRecord) -> Span {
        let (span, context) = self.begin(record);
        if let Some(context) = context {
            context.inject(&mut record.record.headers);
        }
        span
    }

    /// Returns the span to send the record in, and the context to write into the record.
    fn begin(&self, record: &ProducerRecord) -> (Span, Option<TraceContext>) {
        let around = around();
        let is_its_own = around.is_none();
        let parent = around.or_else(|| TraceContext::extract(&record.record.headers));
        match self.ratio.decide(parent) {
            Decision::Record(parent) => Self::record(record, parent),
            // The record's own headers hold this context already.
            Decision::PassOn(Some(_)) if is_its_own => (Span::none(), None),
            Decision::PassOn(context) => {
                let context = context.unwrap_or_else(TraceContext::unsampled);
                (Span::none(), Some(context))
            }
        }
    }

    /// Makes the span of a sampled record. Kept out of line, because few records are sampled.
    #[cold]
    #[inline(never)]
    fn record(
        record: &ProducerRecord,
        parent: Option<TraceContext>,
    ) -> (Span, Option<TraceContext>) {
        let topic = record.topic.as_str();
        let value = record.record.value.as_ref();
        let span = tracing::info_span!(
            target: "milena::trace",
            parent: None,
            "send",
            otel.name = %format_args!("send {topic}"),
            otel.kind = "producer",
            otel.status_code = Empty,
            otel.status_description = Empty,
            messaging.system = "kafka",
            messaging.operation.name = "send",
            messaging.operation.type = "send",
            messaging.destination.name = topic,
            messaging.destination.partition.id = Empty,
            messaging.kafka.offset = Empty,
            messaging.message.body.size = value.map_or(0, |value| value.len() as u64),
            messaging.kafka.message.tombstone = value.is_none().then_some(true),
            error.type = Empty,
        );
        let context = bridge::join(&span, parent);
        (span, context)
    }
}

/// Returns the context of the code that runs now.
///
/// It is the innermost `tracing` span if milena has set no trace, or that span's trace. A record
/// that is sent in a span of the handler's own then hangs below that span.
fn around() -> Option<TraceContext> {
    let own = current();
    // The innermost span is looked up only if the trace is recorded, because the lookup costs more.
    if own.as_ref().is_some_and(|own| !own.is_sampled()) {
        return own;
    }
    let span = bridge::context(&Span::current());
    match (own, span) {
        (Some(own), Some(span)) if span.trace_id() == own.trace_id() => Some(span),
        (own, span) => own.or(span),
    }
}

impl<S> Service<ProducerRecord> for TraceSend<S>
where
    S: Service<ProducerRecord, Response = RecordMetadata>,
    S::Error: Display,
{
    type Response = RecordMetadata;
    type Error = S::Error;
    type Future = SendFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut record: ProducerRecord) -> Self::Future {
        let span = self.start(&mut record);
        let inner = span.in_scope(|| self.inner.call(record));
        SendFuture { inner, span }
    }
}

pin_project! {
    /// The future of one send. The span ends with the outcome, or when the future is dropped.
    pub struct SendFuture<F> {
        #[pin]
        inner: F,
        // The span of the send. Disabled once it has ended, or if the record is not sampled.
        span: Span,
    }
}

impl<F, E: Display> Future for SendFuture<F>
where
    F: Future<Output = Result<RecordMetadata, E>>,
{
    type Output = Result<RecordMetadata, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let sent = {
            let _in_span = this.span.enter();
            ready!(this.inner.poll(cx))
        };
        match &sent {
            Ok(written) => {
                let partition = tracing::field::display(written.partition);
                this.span
                    .record("messaging.destination.partition.id", partition);
                if let Some(offset) = written.offset {
                    this.span.record("messaging.kafka.offset", offset.to_wire());
                }
            }
            Err(error) => {
                this.span.record("error.type", "send");
                this.span.record("otel.status_code", "ERROR");
                let what = tracing::field::display(error);
                this.span.record("otel.status_description", what);
            }
        }
        // End the span now, because the caller may drop this future much later.
        *this.span = Span::none();
        Poll::Ready(sent)
    }
}
