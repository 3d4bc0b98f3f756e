//! Records and batches as streams. They read the same queues as the other methods that receive.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use milena_core::{ConsumerRecord, Error, ErrorKind, Result};
use milena_fetch::FetchBatch;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::engine::Engine;
use crate::receiver::Receiver;

/// A stream of records. Made by [`Consumer::stream`](crate::Consumer::stream).
///
/// An item is a record or an error. After an error of one partition the stream continues. After an
/// error that ends the consumer the stream ends, and it ends without an error once the consumer is
/// closed. If the stream is dropped, no record is lost. The next call that receives gets the
/// records that the stream did not return.
#[must_use = "streams do nothing unless polled"]
pub struct RecordStream<'a>(Feed<'a>);

/// A stream of batches. Made by [`Consumer::batches`](crate::Consumer::batches). It ends as a
/// [`RecordStream`] does.
#[must_use = "streams do nothing unless polled"]
pub struct BatchStream<'a>(Feed<'a>);

impl<'a> RecordStream<'a> {
    pub(crate) fn new(engine: &'a Engine, receiver: &'a Receiver) -> Self {
        Self(Feed::new(engine, receiver))
    }

    /// Waits for the next item. Returns `None` at the end. For callers without an extension trait
    /// for streams.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, no record is lost.
    pub async fn next(&mut self) -> Option<Result<ConsumerRecord>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<'a> BatchStream<'a> {
    pub(crate) fn new(engine: &'a Engine, receiver: &'a Receiver) -> Self {
        Self(Feed::new(engine, receiver))
    }

    /// Waits for the next item. Returns `None` at the end. For callers without an extension trait
    /// for streams.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, no record is lost.
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
        // Yields for the same reason as `Recv`.
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
        // Yields for the same reason as `Recv`.
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

/// State that both streams have.
struct Feed<'a> {
    /// The tasks, which the first poll starts.
    engine: &'a Engine,
    /// The source of records and batches.
    receiver: &'a Receiver,
    /// The registration for wakeups.
    waiting: Wakeup<'a>,
    /// True once the stream has started the consumer.
    started: bool,
    /// True once the stream has returned its last item.
    ended: bool,
}

impl<'a> Feed<'a> {
    fn new(engine: &'a Engine, receiver: &'a Receiver) -> Self {
        Self {
            engine,
            receiver,
            waiting: Wakeup {
                ready: &receiver.core().wakes.ready,
                woken: None,
            },
            started: false,
            ended: false,
        }
    }

    /// Starts the consumer at the first poll. Returns what to answer instead of an item, if the
    /// stream has ended or the start failed.
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

/// Turns an error into an item. Returns `None`, the end of the stream, if the consumer is closed.
/// Marks the stream as ended if the consumer has ended.
#[cold]
fn tell<T>(receiver: &Receiver, ended: &mut bool, error: Error) -> Option<Result<T>> {
    let closed = error.kind() == ErrorKind::Closed;
    *ended = closed || receiver.core().lifecycle.ended().is_some();
    (!closed).then_some(Err(error))
}

/// A registration to be woken when there is something to receive.
struct Wakeup<'a> {
    /// The signal to wait for.
    ready: &'a Notify,
    /// The registered waiter. `None` until nothing is ready.
    woken: Option<Pin<Box<Notified<'a>>>>,
}

impl Wakeup<'_> {
    /// Registers the task to be woken. Returns true if the caller should look once more, since
    /// something may have come meanwhile.
    #[cold]
    fn look_again(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(woken) = &mut self.woken else {
            // Registers before the second look, so that nothing that comes in between is missed.
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
