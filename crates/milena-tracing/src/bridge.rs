//! Conversion between contexts in headers and the spans of `tracing-opentelemetry`.

use std::str::FromStr;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::context::TraceContext;

/// Makes a new span a child of `parent`, and returns the context for everything below the span.
/// Returns the parent's context if no subscriber layer makes OpenTelemetry spans.
pub(crate) fn join(span: &Span, parent: Option<TraceContext>) -> Option<TraceContext> {
    if let Some(parent) = &parent {
        hang(span, parent);
    }
    context(span).or(parent)
}

/// Makes a new span a child of `parent`. Does nothing if no layer makes an OpenTelemetry span of
/// it.
fn hang(span: &Span, parent: &TraceContext) {
    let _ = span.set_parent(Context::new().with_remote_span_context(told(parent)));
}

/// Links a new span with another one that caused it but is not its parent.
pub(crate) fn link(span: &Span, other: &TraceContext) {
    span.add_link(told(other));
}

/// Converts a context to OpenTelemetry's form. Drops a `tracestate` that OpenTelemetry cannot
/// parse.
fn told(context: &TraceContext) -> SpanContext {
    let state = context
        .state()
        .and_then(|state| TraceState::from_str(state).ok());
    SpanContext::new(
        TraceId::from_bytes(context.trace_id().to_be_bytes()),
        SpanId::from_bytes(context.span_id().to_be_bytes()),
        if context.is_sampled() {
            TraceFlags::SAMPLED
        } else {
            TraceFlags::default()
        },
        true,
        state.unwrap_or_default(),
    )
}

/// Returns the context of a span, or `None` if no layer makes an OpenTelemetry span of it.
pub(crate) fn context(span: &Span) -> Option<TraceContext> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    let known = span.span_context();
    let trace = u128::from_be_bytes(known.trace_id().to_bytes());
    let id = u64::from_be_bytes(known.span_id().to_bytes());
    let context = TraceContext::new(trace, id, known.is_sampled())?;
    Some(context.with_state(&known.trace_state().header()))
}
