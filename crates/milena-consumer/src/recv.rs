//! The future of `recv`. It is a type of its own, so that a record is not moved through nested
//! futures.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use milena_core::{ConsumerRecord, Result};
use pin_project_lite::pin_project;
use tokio::sync::futures::Notified;

use crate::engine::Engine;
use crate::receiver::Receiver;

pin_project! {
    /// The future of the next record. [`Consumer::recv`](crate::Consumer::recv) returns it and
    /// lists its errors.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, no record is lost.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Recv<'a> {
        // The tasks, which the first poll starts.
        engine: &'a Engine,
        // The source of the record.
        receiver: &'a Receiver,
        // The registered waiter. `None` until no record is ready.
        #[pin]
        woken: Option<Notified<'a>>,
    }
}

impl<'a> Recv<'a> {
    #[inline]
    pub(crate) fn new(engine: &'a Engine, receiver: &'a Receiver) -> Self {
        Self {
            engine,
            receiver,
            woken: None,
        }
    }
}

impl Future for Recv<'_> {
    type Output = Result<ConsumerRecord>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Err(error) = this.engine.start() {
            return Poll::Ready(Err(error));
        }
        let receiver = *this.receiver;
        if receiver.is_to_rest() {
            // A loop over `recv` that always finds a record would never yield. The fetcher that it
            // woke last waits in the LIFO slot of the same worker thread, where no other thread can
            // take it.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        receiver.poll_recv(
            |record| record,
            || look_again(receiver, &mut this.woken, cx),
        )
    }
}

/// Registers the task to be woken once there is something to receive. Returns true if the caller
/// should look once more, since something may have come meanwhile.
#[cold]
fn look_again<'a>(
    receiver: &'a Receiver,
    woken: &mut Pin<&mut Option<Notified<'a>>>,
    cx: &mut Context<'_>,
) -> bool {
    match woken.as_mut().as_pin_mut() {
        // Registers before the second look, so that nothing that comes in between is missed.
        None => {
            woken.set(Some(receiver.core().wakes.ready.notified()));
            if let Some(fresh) = woken.as_mut().as_pin_mut() {
                fresh.enable();
            }
            true
        }
        Some(waiting) => {
            let told = waiting.poll(cx).is_ready();
            if told {
                woken.set(None);
            }
            told
        }
    }
}

impl fmt::Debug for Recv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").finish_non_exhaustive()
    }
}
