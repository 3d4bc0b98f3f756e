//! The state of a producer handle as a tower service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use milena_core::{ProducerRecord, Result};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::delivery::Delivery;
use crate::enqueue::entry::Entry;
use crate::enqueue::inner::Inner;
use crate::enqueue::shared::Shared;
use crate::network::BoxFuture;

/// The state of one handle as a service. A clone starts with an empty one.
#[derive(Default)]
pub(crate) struct Readiness {
    /// The wait for room in the buffer. `None` while the handle does not wait.
    room: Option<Mutex<BoxFuture<()>>>,
    /// Resolves once the last call that had to wait has placed its record. `None` if no call had to
    /// wait.
    last: Option<oneshot::Receiver<()>>,
}

impl Readiness {
    /// Waits until the buffer has room for a batch.
    pub(crate) fn poll_room(&mut self, shared: &Arc<Shared>, cx: &mut Context<'_>) -> Poll<()> {
        let room = self.room.get_or_insert_with(|| {
            let shared = shared.clone();
            Mutex::new(Box::pin(async move {
                let room = shared.buffers.size_for(1);
                shared.budget.room(room, || shared.bell.hurry()).await;
            }))
        });
        let polled = room.get_mut().as_mut().poll(cx);
        if polled.is_ready() {
            self.room = None;
        }
        polled
    }

    /// Enqueues a record after the waiting ones of earlier calls of this handle.
    ///
    /// This runs in a task of its own. If the future of a call did it, one that is never polled
    /// would block all later calls.
    pub(crate) fn enter_in_turn(
        &mut self,
        inner: &Arc<Inner>,
        record: ProducerRecord,
        entry: Entry,
    ) -> oneshot::Receiver<Result<Delivery>> {
        let (placed, waits) = oneshot::channel();
        let before = self.last.replace(waits);
        let (mut reply, entered) = oneshot::channel();
        let producer = inner.clone();
        inner.runtime.spawn(async move {
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

    /// Returns true if an earlier call waits to place its record.
    pub(crate) fn is_busy(&mut self) -> bool {
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
