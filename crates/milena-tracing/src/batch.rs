//! A span for a handler's call for several records, linked with the span of each.

use milena_core::{BatchScope, BatchWrap, Extensions, Incoming};
use tracing::Instrument;
use tracing::field::Empty;

use crate::bridge;
use crate::context::TraceContext;

/// The span of a record, for the batch that it becomes a part of.
struct Spanned(TraceContext);

/// Has a batch that the record becomes a part of know its span.
pub(crate) fn note(context: &TraceContext, extensions: &mut Extensions) {
    extensions.insert(Spanned(context.clone()));
    extensions.insert(BatchScope::new(around));
}

/// What such a call sends belongs to no single record: it hangs below a span of the call, in a trace of its own.
fn around(records: &[Incoming]) -> BatchWrap {
    let topic = records
        .first()
        .map_or("", |first| first.record.topic.as_str());
    let span = tracing::info_span!(
        target: "milena::trace",
        parent: None,
        "process",
        otel.name = %format_args!("process {topic}"),
        otel.kind = "consumer",
        otel.status_code = Empty,
        messaging.system = "kafka",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = topic,
        messaging.batch.message_count = records.len() as u64,
    );
    for record in records {
        if let Some(Spanned(context)) = record.extensions.get() {
            bridge::link(&span, context);
        }
    }
    let context = bridge::context(&span);
    Box::new(move |answers| match context {
        Some(context) => Box::pin(context.in_trace(answers.instrument(span))),
        None => answers,
    })
}
