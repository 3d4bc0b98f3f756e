//! Records and batches as streams, over the same queues as every other way to receive.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use milena_core::{ConsumerRecord, ErrorKind, Result};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::batch::FetchBatch;
use crate::engine::Engine;
use crate::receiver::Receiver;

/// Records, one by one; made by [`Consumer::stream`](crate::Consumer::stream).
///
/// An item is a record or an error; after an error of one place the stream goes on, after one that ends the consumer, and once it is
/// closed, it ends. Dropped, nothing is lost: what it has not given is given by the next way to receive.
#[must_use = "streams do nothing unless polled"]
pub struct RecordStream<'a>(Feed<'a>);

/// Batches, one by one; made by [`Consumer::batches`](crate::Consumer::batches). Ends as a [`RecordStream`] does.
#[must_use = "streams do nothing unless polled"]
pub struct BatchStream<'a>(Feed<'a>);

impl<'a> RecordStream<'a> {
    pub(crate) fn new(engine: &'a Engine, receiver: &'a Receiver) -> Self {
        Self(Feed::new(engine, receiver))
    }

    /// The next item; waits for one, and gives `None` at the end. For those who have no extension trait of streams at hand.
    ///
    /// # Cancel safety
    /// Dropped before it resolves, nothing is lost.
    pub async fn next(&mut self) -> Option<Result<ConsumerRecord>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<'a> BatchStream<'a> {
    pub(crate) fn new(engine: &'a Engine, receiver: &'a Receiver) -> Self {
        Self(Feed::new(engine, receiver))
    }

    /// The next item; waits for one, and gives `None` at the end. For those who have no extension trait of streams at hand.
    ///
    /// # Cancel safety
    /// Dropped before it resolves, nothing is lost.
    pub async fn next(&mut self) -> Option<Result<FetchBatch>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for RecordStream<'_> {
    type Item = Result<ConsumerRecord>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(cx, Receiver::try_recv)
    }
}

impl Stream for BatchStream<'_> {
    type Item = Result<FetchBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(cx, Receiver::try_recv_batch)
    }
}

/// What both streams share: whom to ask, and whether they wait.
struct Feed<'a> {
    engine: &'a Engine,
    receiver: &'a Receiver,
    ready: &'a Notify,
    /// Made only where there is nothing to give at once.
    woken: Option<Pin<Box<Notified<'a>>>>,
    started: bool,
    ended: bool,
}

impl<'a> Feed<'a> {
    fn new(engine: &'a Engine, receiver: &'a Receiver) -> Self {
        Self {
            engine,
            receiver,
            ready: &receiver.core().ready,
            woken: None,
            started: false,
            ended: false,
        }
    }

    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl Fn(&Receiver) -> Option<Result<T>>,
    ) -> Poll<Option<Result<T>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if !self.started {
            if let Err(error) = self.engine.start() {
                self.ended = true;
                return Poll::Ready(Some(Err(error)));
            }
            self.started = true;
        }
        loop {
            match take(self.receiver) {
                Some(Ok(taken)) => return Poll::Ready(Some(Ok(taken))),
                None => {}
                Some(Err(error)) => {
                    let over = self.receiver.core().ended().is_some();
                    self.ended = over || error.kind() == ErrorKind::Closed;
                    if error.kind() == ErrorKind::Closed {
                        return Poll::Ready(None);
                    }
                    return Poll::Ready(Some(Err(error)));
                }
            }
            // Waited for first, looked again after: what comes in between is not missed.
            let fresh = self.woken.is_none();
            let ready = self.ready;
            let woken = self.woken.get_or_insert_with(|| {
                let mut woken = Box::pin(ready.notified());
                woken.as_mut().enable();
                woken
            });
            if fresh {
                continue;
            }
            match woken.as_mut().poll(cx) {
                Poll::Ready(()) => self.woken = None,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl fmt::Debug for RecordStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordStream").finish_non_exhaustive()
    }
}

impl fmt::Debug for BatchStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchStream").finish_non_exhaustive()
    }
}
