//! Records and batches as streams, over the same queues as every other way to receive.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use milena_core::{ConsumerRecord, Error, ErrorKind, Result};
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
        let feed = &mut self.0;
        if let Some(over) = feed.begin() {
            return Poll::Ready(over);
        }
        if feed.receiver.is_to_rest() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let (receiver, waiting, ended) = (feed.receiver, &mut feed.waiting, &mut feed.ended);
        receiver.poll_recv(
            |record| match record {
                Ok(record) => Some(Ok(record)),
                Err(error) => tell(receiver, ended, error),
            },
            || waiting.look_again(cx),
        )
    }
}

impl Stream for BatchStream<'_> {
    type Item = Result<FetchBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let feed = &mut self.0;
        if let Some(over) = feed.begin() {
            return Poll::Ready(over);
        }
        if feed.receiver.is_to_rest() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            match feed.receiver.try_recv_batch() {
                Some(Ok(batch)) => return Poll::Ready(Some(Ok(batch))),
                Some(Err(error)) => {
                    return Poll::Ready(tell(feed.receiver, &mut feed.ended, error));
                }
                None if feed.waiting.look_again(cx) => {}
                None => return Poll::Pending,
            }
        }
    }
}

/// What both streams share: whom to ask, and whether they wait.
struct Feed<'a> {
    engine: &'a Engine,
    receiver: &'a Receiver,
    waiting: Waiting<'a>,
    started: bool,
    ended: bool,
}

impl<'a> Feed<'a> {
    fn new(engine: &'a Engine, receiver: &'a Receiver) -> Self {
        Self {
            engine,
            receiver,
            waiting: Waiting {
                ready: &receiver.core().ready,
                woken: None,
            },
            started: false,
            ended: false,
        }
    }

    /// Starts the consumer at the first poll; what to give instead of items, where there are none.
    fn begin<T>(&mut self) -> Option<Option<Result<T>>> {
        if self.ended {
            return Some(None);
        }
        if !self.started {
            if let Err(error) = self.engine.start() {
                self.ended = true;
                return Some(Some(Err(error)));
            }
            self.started = true;
        }
        None
    }
}

/// An error as an item: none of a consumer that was closed, and the last one of a consumer that ended.
#[cold]
fn tell<T>(receiver: &Receiver, ended: &mut bool, error: Error) -> Option<Result<T>> {
    let closed = error.kind() == ErrorKind::Closed;
    *ended = closed || receiver.core().ended().is_some();
    (!closed).then_some(Err(error))
}

struct Waiting<'a> {
    ready: &'a Notify,
    /// Made only where there is nothing to give at once.
    woken: Option<Pin<Box<Notified<'a>>>>,
}

impl Waiting<'_> {
    /// Nothing was there: whether to look once more, since something may have come meanwhile; else the task is woken.
    #[cold]
    fn look_again(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(woken) = &mut self.woken else {
            // Waited for first, looked again after: what comes in between is not missed.
            let mut woken = Box::pin(self.ready.notified());
            woken.as_mut().enable();
            self.woken = Some(woken);
            return true;
        };
        let told = woken.as_mut().poll(cx).is_ready();
        if told {
            self.woken = None;
        }
        told
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
