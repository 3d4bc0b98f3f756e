//! The service that sends the records of a handler.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::try_join_all;
use milena_core::{BoxError, Emitter, Incoming, Outcome, ProducerRecord, RecordMetadata};
use tower_service::Service;

use crate::readiness::classify;

/// The service that [`EmitLayer`](super::EmitLayer) makes.
#[derive(Clone)]
pub struct Emit<S, P> {
    inner: S,
    /// Writes the emitted records. Cloned for each attempt.
    sink: P,
}

impl<S, P> Emit<S, P> {
    pub(super) fn new(inner: S, sink: P) -> Self {
        Self { inner, sink }
    }
}

impl<S, P> Service<Incoming> for Emit<S, P>
where
    S: Service<Incoming, Response = Outcome>,
    S::Error: Into<BoxError> + 'static,
    S::Future: Send + 'static,
    P: Service<ProducerRecord, Response = RecordMetadata> + Clone + Send + 'static,
    P::Error: Into<BoxError> + Send,
    P::Future: Send,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Outcome, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut incoming: Incoming) -> Self::Future {
        // Each attempt gets a new list, so the records of a failed attempt are dropped.
        let emitter = Emitter::new();
        incoming.extensions.insert(emitter.clone());
        let processing = self.inner.call(incoming);
        let sink = self.sink.clone();
        Box::pin(async move {
            let outcome = processing.await.map_err(Into::into)?;
            if matches!(outcome, Outcome::Ack | Outcome::Skip(_)) {
                let records = emitter.take();
                if !records.is_empty() {
                    send(sink, records).await?;
                }
            }
            Ok(outcome)
        })
    }
}

/// Sends all records in their order, and waits until a broker has each of them.
async fn send<P>(mut sink: P, records: Vec<ProducerRecord>) -> Result<(), BoxError>
where
    P: Service<ProducerRecord, Response = RecordMetadata>,
    P::Error: Into<BoxError>,
{
    let failed = |error: P::Error| BoxError::from(classify(error));
    let mut sent = Vec::with_capacity(records.len());
    for record in records {
        poll_fn(|cx| sink.poll_ready(cx)).await.map_err(failed)?;
        sent.push(sink.call(record));
    }
    try_join_all(sent).await.map_err(failed)?;
    Ok(())
}

impl<S: fmt::Debug, P> fmt::Debug for Emit<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emit")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
