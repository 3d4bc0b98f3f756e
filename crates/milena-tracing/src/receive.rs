//! Tracing of records that are received one by one, without a handler.

use milena_core::ConsumerRecord;
use tracing::Span;
use tracing::instrument::{Instrument, Instrumented};

use crate::bridge;
use crate::context::TraceContext;
use crate::current::InTrace;
use crate::process::body_size;
use crate::sampling::{Decision, Ratio};

/// A received record as a part of its trace. Its span ends once this value, and every future that
/// it runs, is dropped.
#[derive(Debug)]
#[must_use = "the span ends when this is dropped"]
pub struct Received {
    /// The `receive` span. Disabled if the record is not sampled.
    span: Span,
    /// The context for everything below the span. `None` if the record begins a trace and no layer
    /// makes OpenTelemetry spans.
    context: Option<TraceContext>,
}

/// Continues the trace of a record that was received without a handler, in a `receive` span. A
/// record without a context begins a trace.
///
/// ```
/// use milena_core::ConsumerRecord;
/// use milena_tracing::receive;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let record = ConsumerRecord::new("orders", 0, 7); // from `consumer.recv().await?`
/// let received = receive(&record);
/// received.run(async {
///     // What is sent here belongs to the record's trace.
/// }).await;
/// # }
/// ```
pub fn receive(record: &ConsumerRecord) -> Received {
    let parent = match Ratio::ALL.decide(TraceContext::extract(&record.headers)) {
        Decision::Record(parent) => parent,
        Decision::PassOn(context) => {
            return Received {
                span: Span::none(),
                context: Some(context.unwrap_or_else(TraceContext::unsampled)),
            };
        }
    };
    let topic = record.topic.as_str();
    let span = tracing::info_span!(
        target: "milena::trace",
        parent: None,
        "receive",
        otel.name = %format_args!("receive {topic}"),
        otel.kind = "client",
        messaging.system = "kafka",
        messaging.operation.name = "receive",
        messaging.operation.type = "receive",
        messaging.destination.name = topic,
        messaging.destination.partition.id = %record.partition,
        messaging.kafka.offset = record.offset.to_wire(),
        messaging.message.body.size = body_size(record),
        messaging.kafka.message.tombstone = record.value.is_none().then_some(true),
    );
    let context = bridge::join(&span, parent);
    Received { span, context }
}

impl Received {
    /// Runs `future` as a part of the record's trace, below the `receive` span.
    pub fn run<F: Future>(&self, future: F) -> Instrumented<InTrace<F>> {
        InTrace::new(self.context.clone(), future).instrument(self.span.clone())
    }

    /// Returns the context of everything below the span.
    #[must_use]
    pub fn context(&self) -> Option<&TraceContext> {
        self.context.as_ref()
    }

    /// Returns the span, to add attributes to it.
    #[must_use]
    pub fn span(&self) -> &Span {
        &self.span
    }
}
