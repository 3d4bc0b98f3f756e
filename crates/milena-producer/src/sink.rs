//! The producer as a `Sink`, into which streams can be forwarded.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;
use milena_core::{Error, ProducerRecord, Result};

use crate::delivery::Delivery;
use crate::enqueue::entry::Entry;
use crate::enqueue::refusal::TryEnqueueError;
use crate::network::BoxFuture;
use crate::producer::Producer;

/// A [`Sink`] of records over a producer, made by [`Producer::sink`].
///
/// It takes records while the producer's buffer has room. A flush waits until each record that it
/// took was delivered. Closing the sink is a flush, and the producer stays open.
///
/// ```
/// # use milena_broker::Broker;
/// # use milena_pool::Cluster;
/// # use milena_producer::Producer;
/// use futures_util::{SinkExt, StreamExt, stream};
/// use milena_core::ProducerRecord;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milena_core::Result<()> {
/// # let broker = Broker::builder().topic("orders", 3).start().await?;
/// # let cluster = Cluster::builder(broker.bootstrap()).connector(broker.dialer());
/// # let cluster = cluster.connect().await?;
/// # let producer = Producer::builder(cluster).build()?;
/// let orders = stream::iter(0..100)
///     .map(|id| Ok(ProducerRecord::new("orders").value(format!("{id}"))));
/// orders.forward(producer.sink()).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of [`Producer::enqueue`] and of [`Delivery`]. Each record that fails causes one error, at
/// a later call. The sink can still be used after that.
pub struct RecordSink {
    /// The producer that records go to.
    producer: Producer,
    /// The record that waits for room. `None` while none waits.
    entering: Option<BoxFuture<Result<Delivery>>>,
    /// The state of the flush.
    flushing: Flushing,
    /// The records without a reported outcome, oldest first.
    open: VecDeque<Delivery>,
}

/// The state of the request to the producer to send the batches that linger.
enum Flushing {
    /// The producer was not asked since the last record.
    NotAsked,
    /// The producer was asked and has not finished.
    Asked(BoxFuture<Result<()>>),
    /// The producer has sent them.
    Done,
}

impl RecordSink {
    pub(crate) fn new(producer: Producer) -> Self {
        Self {
            producer,
            entering: None,
            flushing: Flushing::NotAsked,
            open: VecDeque::new(),
        }
    }

    /// Finishes the record that waits for room.
    fn poll_entered(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some(entering) = &mut self.entering {
            let entered = ready!(entering.as_mut().poll(cx));
            self.entering = None;
            self.open.push_back(entered?);
        }
        Poll::Ready(Ok(()))
    }

    /// Removes the oldest records as far as their outcomes are known. Pending while any record has
    /// no outcome.
    fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while let Some(oldest) = self.open.front_mut() {
            let outcome = ready!(Pin::new(oldest).poll(cx));
            self.open.pop_front();
            outcome?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Sink<ProducerRecord> for RecordSink {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        ready!(this.poll_entered(cx))?;
        if let Poll::Ready(Err(error)) = this.poll_settled(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, record: ProducerRecord) -> Result<()> {
        let this = &mut *self;
        this.flushing = Flushing::NotAsked;
        let mut entry = Entry::new(record.partition);
        match this.producer.inner.try_enter(&record, &mut entry) {
            Ok(delivery) => this.open.push_back(delivery),
            Err(TryEnqueueError::Refused(error)) => return Err(error),
            Err(_) => {
                let inner = this.producer.inner.clone();
                this.entering = Some(Box::pin(async move { inner.enter(record, entry).await }));
            }
        }
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        ready!(this.poll_entered(cx))?;
        if !this.open.is_empty() {
            // The producer sends the lingering batches now. The outcomes come from the deliveries.
            if matches!(this.flushing, Flushing::NotAsked) {
                let producer = this.producer.clone();
                this.flushing = Flushing::Asked(Box::pin(async move { producer.flush().await }));
            }
            if let Flushing::Asked(flush) = &mut this.flushing
                && flush.as_mut().poll(cx).is_ready()
            {
                this.flushing = Flushing::Done;
            }
        }
        ready!(this.poll_settled(cx))?;
        this.flushing = Flushing::NotAsked;
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_flush(cx)
    }
}

impl fmt::Debug for RecordSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordSink")
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}
