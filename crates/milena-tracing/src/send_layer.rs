//! The layer around a producer.

use tower_layer::Layer;

use crate::sampling::Ratio;
use crate::send::TraceSend;

/// Writes the trace context into each record that is sent, in a span that ends with the
/// acknowledgement.
///
/// A record takes the context of the code that sends it, which comes from a surrounding
/// [`TraceLayer`](crate::TraceLayer) or from a `tracing` span of the program's own. Without one it
/// keeps the context in its own headers. Without both it begins a trace.
///
/// ```
/// use milena_core::{Error, ProducerRecord, RecordMetadata};
/// use milena_tracing::TraceSendLayer;
/// use tower::{ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// // A producer is such a service.
/// let producer = service_fn(|record: ProducerRecord| async move {
///     assert!(record.record.headers.text("traceparent").is_some());
///     Ok::<_, Error>(RecordMetadata {
///         topic: record.topic,
///         partition: 0.into(),
///         offset: None,
///         timestamp: None,
///     })
/// });
/// let producer = ServiceBuilder::new()
///     .layer(TraceSendLayer::new().sample(0.01))
///     .service(producer);
/// producer.send(ProducerRecord::new("orders").value("two stamps")).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TraceSendLayer {
    /// The share of records without a context that begin a recorded trace.
    ratio: Ratio,
}

impl TraceSendLayer {
    /// Makes a `send` span for each record.
    #[must_use]
    pub fn new() -> Self {
        Self { ratio: Ratio::ALL }
    }

    /// Sets the share of the records that begin a trace that are traced, from 0 to 1. Default 1.
    #[must_use]
    pub fn sample(mut self, ratio: f64) -> Self {
        self.ratio = Ratio::new(ratio);
        self
    }
}

impl Default for TraceSendLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for TraceSendLayer {
    type Service = TraceSend<S>;

    fn layer(&self, inner: S) -> TraceSend<S> {
        TraceSend::new(inner, self.ratio)
    }
}
