//! Traces through Kafka: one record's way over all stages is one tree of spans.
//!
//! The context of a trace travels in the headers `traceparent` and `tracestate`, as W3C's Trace Context says. A [`TraceLayer`] around a
//! handler continues the trace of each record in a `process` span; a [`TraceSendLayer`] around a producer writes the context into each
//! record, in a `send` span. What the handler sends meanwhile, dead letters included, hangs below its record.
//!
//! Spans are `tracing` spans with the names and attributes of OpenTelemetry's messaging conventions. With the layer of
//! `tracing-opentelemetry` among the subscribers they become OpenTelemetry's; the module `otlp`, behind a feature, sets one up that exports. Without it a
//! context is passed on as it came.
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
//! | `process TOPIC` | consumer | a record's way through the layers inside, from its first attempt to its outcome |
//! | `attempt TOPIC` | internal | one attempt |
//!
//! Attributes: `messaging.system`, `messaging.operation.name`, `messaging.operation.type`, `messaging.destination.name`,
//! `messaging.destination.partition.id`, `messaging.kafka.offset`, `messaging.consumer.group.name`,
//! `messaging.message.body.size`, `messaging.kafka.message.tombstone`, `milena.attempt`, `milena.outcome` and, where it failed,
//! `error.type` with the status, whose description is at most 1 KiB of the error's own words. Nothing else tells of keys and values.
//!
//! # Sampling
//! A record whose context says sampled is traced, one whose context says not is not; the ratio is for records that begin a trace.
//! What is not sampled has no span at all: its context is passed on, which costs some nanoseconds.

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
