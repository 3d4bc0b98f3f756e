//! The next record as a future of its own: it gives a record without moving it through layers of others.

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
    /// The next record; made by [`Consumer::recv`](crate::Consumer::recv), where its errors are told.
    ///
    /// # Cancel safety
    /// Dropped before it resolves, no record is lost.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Recv<'a> {
        engine: &'a Engine,
        receiver: &'a Receiver,
        // Made only where there is nothing to give at once.
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
            // A loop over `recv` that always finds something would keep its worker, and the fetcher that it woke last with it.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        receiver.poll_recv(
            |record| record,
            || look_again(receiver, &mut this.woken, cx),
        )
    }
}

/// Nothing was there: whether to look once more, since something may have come meanwhile; else the task is woken when something comes.
#[cold]
fn look_again<'a>(
    receiver: &'a Receiver,
    woken: &mut Pin<&mut Option<Notified<'a>>>,
    cx: &mut Context<'_>,
) -> bool {
    match woken.as_mut().as_pin_mut() {
        // Waited for first, looked again after: what comes in between is not missed.
        None => {
            woken.set(Some(receiver.core().ready.notified()));
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
