//! The producer as a tower service. It is ready while the buffer has room, so that layers can hold
//! callers back.

use std::future::{Future, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use milena_core::{Error, ProducerRecord, RecordMetadata, Result};
use tower_service::Service;

use crate::closed::closed;
use crate::enqueue::entry::Entry;
use crate::enqueue::refusal::TryEnqueueError;
use crate::producer::Producer;

/// Is ready while `buffer_memory` has room for a batch. A call enqueues the record and waits for
/// its outcome.
///
/// Readiness reserves nothing. `call` waits for memory again if another caller took it first. The
/// records of one handle have the order of its calls, however their futures are polled.
impl Service<ProducerRecord> for Producer {
    type Response = RecordMetadata;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<RecordMetadata>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some(error) = self.inner.topics.registry().closed() {
            return Poll::Ready(Err(error));
        }
        let polled = self.readiness.poll_room(&self.inner.shared, cx);
        polled.map(Ok)
    }

    fn call(&mut self, record: ProducerRecord) -> Self::Future {
        let mut entry = Entry::new(record.partition);
        // While an earlier call waits, this record must not overtake that call's record.
        if !self.readiness.is_busy() {
            match self.inner.try_enter(&record, &mut entry) {
                Ok(delivery) => return Box::pin(delivery),
                Err(TryEnqueueError::Refused(error)) => return Box::pin(ready(Err(error))),
                Err(TryEnqueueError::Full | TryEnqueueError::NotReady) => {}
            }
        }
        let entered = self.readiness.enter_in_turn(&self.inner, record, entry);
        Box::pin(async move {
            match entered.await {
                Ok(delivery) => delivery?.await,
                Err(_) => Err(closed("the producer's runtime ended")),
            }
        })
    }
}
