//! Traces through Kafka. One record's way over all stages is one tree of spans.
//!
//! The context of a trace travels in the headers `traceparent` and `tracestate`, as W3C Trace
//! Context says. A [`TraceLayer`] around a handler continues the trace of each record in a
//! `process` span. A [`TraceSendLayer`] around a producer writes the context into each record, in a
//! `send` span. Records that the handler sends meanwhile, dead letters included, hang below the
//! handled record.
//!
//! Spans are `tracing` spans with the names and attributes of OpenTelemetry's messaging
//! conventions. The subscriber layer of `tracing-opentelemetry` turns them into OpenTelemetry
//! spans. The module `otlp`, behind the feature of that name, sets up one that exports. Without
//! such a layer a context is passed on as it came.
//!
//! ```
//! use milena_core::{Backoff, Incoming, Outcome, ProcessError};
//! use milena_middleware::{RetryLayer, Stack};
//! use milena_tracing::TraceLayer;
//!
//! let stack = Stack::new()
//!     .layer(TraceLayer::new().group("billing").sample(0.01)) // outermost: a span per record
//!     .layer(RetryLayer::new(Backoff::default()))
//!     .layer(TraceLayer::attempts()) // inside retry: a span per attempt
//!     .handler(async || ());
//! # let _ = stack;
//! ```
//!
//! # Spans
//! | Span | Kind | When |
//! |---|---|---|
//! | `send TOPIC` | producer | from the call of the producer to the acknowledgement |
//! | `receive TOPIC` | client | a record that was received without a handler, by [`receive`] |
//! | `process TOPIC` | consumer | from a record's first attempt to its outcome |
//! | `attempt TOPIC` | internal | one attempt |
//!
//! Attributes: `messaging.system`, `messaging.operation.name`, `messaging.operation.type`,
//! `messaging.destination.name`, `messaging.destination.partition.id`, `messaging.kafka.offset`,
//! `messaging.consumer.group.name`, `messaging.message.body.size`,
//! `messaging.kafka.message.tombstone`, `milena.attempt`, `milena.outcome`. A span that failed has
//! `error.type` and a status whose description is at most 1 KiB of the error's own text. No other
//! attribute shows keys or values.
//!
//! # Sampling
//! A record's context decides whether the record is traced. The ratio applies only to records
//! without a context, which begin a trace. A record that is not sampled has no span. Its context is
//! passed on, which costs some nanoseconds.

mod batch;
mod bridge;
mod context;
mod current;
mod layer;
#[cfg(feature = "otlp")]
pub mod otlp;
mod process;
mod receive;
mod sampling;
mod send;
mod send_layer;

pub use context::TraceContext;
pub use current::InTrace;
pub use layer::TraceLayer;
pub use process::{ProcessFuture, TraceProcess};
pub use receive::{Received, receive};
pub use send::{SendFuture, TraceSend};
pub use send_layer::TraceSendLayer;
