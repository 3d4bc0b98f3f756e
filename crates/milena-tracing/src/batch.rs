//! A span for one handler call that takes several records, linked with the span of each record.

use milena_core::{BatchScope, BatchWrap, Extensions, Incoming};
use tracing::Instrument;
use tracing::field::Empty;

use crate::bridge;
use crate::context::TraceContext;

/// The trace context of a record, kept in its extensions until its batch begins.
struct Spanned(TraceContext);

/// Stores the record's context, and a hook that makes the span of the batch it becomes a part of.
pub(crate) fn note(context: &TraceContext, extensions: &mut Extensions) {
    extensions.insert(Spanned(context.clone()));
    extensions.insert(BatchScope::new(around));
}

/// Makes the span around one handler call for `records`.
///
/// The span begins a trace of its own, because no single record is its parent. Records that the
/// handler sends during the call hang below this span.
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
