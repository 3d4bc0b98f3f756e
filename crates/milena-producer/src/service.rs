//! The producer as a tower service. It is ready while the buffer has room, so that layers can hold
//! callers back.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use milena_core::{Error, ProducerRecord, RecordMetadata, Result};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tower_service::Service;

use crate::closed::closed;
use crate::delivery::Delivery;
use crate::enqueue::entry::Entry;
use crate::enqueue::inner::TryEnqueueError;
use crate::network::BoxFuture;
use crate::producer::Producer;

/// The state of one handle as a service. A clone starts with an empty one.
#[derive(Default)]
pub(crate) struct Readiness {
    /// The wait for room in the buffer. `None` while the handle does not wait.
    room: Option<Mutex<BoxFuture<()>>>,
    /// Resolves once the last call that had to wait has placed its record. `None` if no call had to
    /// wait.
    last: Option<oneshot::Receiver<()>>,
}

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
        let shared = &self.inner.shared;
        if let Some(error) = self.inner.topics.registry().closed() {
            return Poll::Ready(Err(error));
        }
        let room = self.readiness.room.get_or_insert_with(|| {
            let shared = shared.clone();
            Mutex::new(Box::pin(async move {
                let room = shared.buffers.size_for(1);
                shared.budget.room(room, || shared.bell.hurry()).await;
            }))
        });
        let polled = room.get_mut().as_mut().poll(cx);
        if polled.is_ready() {
            self.readiness.room = None;
        }
        polled.map(Ok)
    }

    fn call(&mut self, record: ProducerRecord) -> Self::Future {
        let mut entry = Entry::new(record.partition);
        // While an earlier call waits, this record must not overtake that call's record.
        if !self.readiness.is_busy() {
            match self.try_enter(&record, &mut entry) {
                Ok(delivery) => return Box::pin(delivery),
                Err(TryEnqueueError::Refused(error)) => return Box::pin(ready(Err(error))),
                Err(TryEnqueueError::Full | TryEnqueueError::NotReady) => {}
            }
        }
        let entered = self.enter_in_turn(record, entry);
        Box::pin(async move {
            match entered.await {
                Ok(delivery) => delivery?.await,
                Err(_) => Err(closed("the producer's runtime ended")),
            }
        })
    }
}

impl Producer {
    /// Enqueues a record after the waiting ones of earlier calls of this handle.
    ///
    /// This runs in a task of its own. If the future of a call did it, one that is never polled
    /// would block all later calls.
    fn enter_in_turn(
        &mut self,
        record: ProducerRecord,
        entry: Entry,
    ) -> oneshot::Receiver<Result<Delivery>> {
        let (placed, waits) = oneshot::channel();
        let before = self.readiness.last.replace(waits);
        let (mut reply, entered) = oneshot::channel();
        let producer = self.clone();
        self.inner.runtime.spawn(async move {
            // Held until this record is placed, or its call was dropped. Its drop lets the next
            // call go on.
            let _placed: oneshot::Sender<()> = placed;
            if let Some(before) = before {
                let _ = before.await;
            }
            let delivery = tokio::select! {
                biased;
                () = reply.closed() => return,
                delivery = producer.enter(record, entry) => delivery,
            };
            let _ = reply.send(delivery);
        });
        entered
    }
}

impl Readiness {
    /// Returns true if an earlier call waits to place its record.
    fn is_busy(&mut self) -> bool {
        let waiting = self.last.as_mut().map(oneshot::Receiver::try_recv);
        let busy = matches!(waiting, Some(Err(oneshot::error::TryRecvError::Empty)));
        if !busy {
            self.last = None;
        }
        busy
    }
}

impl Clone for Readiness {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field("waits", &self.room.is_some())
            .finish_non_exhaustive()
    }
}
