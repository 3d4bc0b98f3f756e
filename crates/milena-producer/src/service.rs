//! The producer as a tower service: ready while the buffer has room, so that layers can hold callers back.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use milena_core::{Error, ProducerRecord, RecordMetadata, Result};
use parking_lot::Mutex;
use tower_service::Service;

use crate::network::BoxFuture;
use crate::producer::Producer;

/// The wait for room in the buffer, while a handle has one; a clone starts without.
#[derive(Default)]
pub(crate) struct Readiness(Option<Mutex<BoxFuture<()>>>);

/// Ready while `buffer_memory` has room for a batch; a call [sends](Producer::send) the record and waits for its outcome.
///
/// Readiness reserves nothing: `call` waits for memory again where another caller was quicker.
impl Service<ProducerRecord> for Producer {
    type Response = RecordMetadata;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<RecordMetadata>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let desk = &self.inner.desk;
        if let Some(error) = desk.ready.closed() {
            return Poll::Ready(Err(error));
        }
        let waiting = self.readiness.0.get_or_insert_with(|| {
            let desk = desk.clone();
            Mutex::new(Box::pin(async move {
                let room = desk.buffers.size_for(1);
                drop(desk.budget.take(room, || desk.ready.ring()).await);
            }))
        });
        let polled = waiting.get_mut().as_mut().poll(cx);
        if polled.is_ready() {
            self.readiness.0 = None;
        }
        polled.map(Ok)
    }

    fn call(&mut self, record: ProducerRecord) -> Self::Future {
        let producer = self.clone();
        Box::pin(async move { producer.send(record).await })
    }
}

impl Clone for Readiness {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Readiness").field(&self.0.is_some()).finish()
    }
}
