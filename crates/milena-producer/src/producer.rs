//! The producer that users hold. Calls place records in batches, and the sender's task does the
//! rest.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use milena_core::{
    Error, ErrorKind, Gauge, Gauges, HeadersRef, Partition, ProducerRecord, RecordMetadata, Result,
    TopicName, TopicPartition,
};
use milena_pool::{Cluster, ClusterUser};
use tokio::sync::{mpsc, oneshot};
use tower_service::Service;

use crate::builder::ProducerBuilder;
use crate::callbacks::Callbacks;
use crate::closed::closed;
use crate::deliveries::Deliveries;
use crate::delivery::Delivery;
use crate::enqueue::bell::Bell;
use crate::enqueue::draft::{RecordDraft, RecordLimits};
use crate::enqueue::entry::{Ahead, Entry};
use crate::enqueue::future::Enqueue;
use crate::enqueue::inner::Inner;
use crate::enqueue::key_value::KeyValue;
use crate::enqueue::memory::{Budget, Buffers};
use crate::enqueue::refusal::TryEnqueueError;
use crate::enqueue::shared::Shared;
use crate::enqueue::tick::Tick;
use crate::enqueue::topic::{TopicState, Topics};
use crate::network::Network;
use crate::readiness::Readiness;
use crate::send::command::Command;
use crate::send::task::SendTask;
use crate::settings::Settings;
use crate::sink::RecordSink;
use crate::user::SenderEnd;

/// Sends records. A clone is cheap and is the same producer. All clones share one buffer and one
/// order of records per partition.
///
/// If the last clone is dropped without [`close`](Self::close), the enqueued records are still
/// sent, as long as the runtime lives.
///
/// # References
/// KIP-98 (idempotence), KIP-360 (epochs), KIP-794 (sticky partitions).
#[derive(Clone)]
pub struct Producer {
    /// The state that all clones share.
    pub(crate) inner: Arc<Inner>,
    /// The state of this handle as a tower service. A clone starts with an empty one.
    pub(crate) readiness: Readiness,
}

/// One topic of a producer, which saves the lookup of the topic for each record and takes keys and
/// values as slices. A clone is cheap.
#[derive(Clone)]
pub struct Topic {
    /// The state of the producer that this topic was made from.
    inner: Arc<Inner>,
    /// The partitions of the topic, shared with every other handle for it.
    state: Arc<TopicState>,
}

impl Producer {
    /// Returns a builder of a producer on `cluster`.
    pub fn builder(cluster: Cluster) -> ProducerBuilder {
        ProducerBuilder::new(cluster)
    }

    /// Returns a [`Sink`](futures_sink::Sink) that sends to this producer.
    #[must_use]
    pub fn sink(&self) -> RecordSink {
        RecordSink::new(self.clone())
    }

    /// Starts the sender's task on the runtime of the caller.
    pub(crate) fn start(settings: Settings, network: Arc<dyn Network>) -> Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|error| {
            let what = "no tokio runtime is running here, and a producer sends on one; build it inside a runtime";
            Error::new(ErrorKind::Config, what).with_source(error)
        })?;
        let settings = Arc::new(settings);
        let memory = settings.buffer_memory;
        let largest = settings.flows.largest_batch();
        let smallest = SMALLEST_BUFFER.min(largest);
        let shared = Arc::new(Shared {
            budget: Budget::new(memory),
            buffers: Buffers::new(smallest, largest, memory),
            bell: Bell::default(),
            clock: settings.clock.clone(),
            tick: Tick::default(),
        });
        let topics = Arc::new(Topics::new(settings.flows.clone()));
        let (commands, received) = mpsc::channel(16);
        let task = SendTask::new(
            shared.clone(),
            topics.clone(),
            settings.clone(),
            network.clone(),
            received,
        );
        let inner = Arc::new(Inner {
            shared,
            limits: RecordLimits::new(&settings),
            settings,
            network,
            topics,
            commands,
            callbacks: Callbacks::new(),
            runtime: runtime.clone(),
        });
        let end = SenderEnd::new(&inner);
        let user: Weak<dyn ClusterUser> = Arc::downgrade(&(end.clone() as Arc<dyn ClusterUser>));
        inner.network.add_user(user);
        // The task holds no `Inner`: it ends after the last handle is dropped, or after `close`.
        runtime.spawn(end.run(task));
        Ok(Self {
            inner,
            readiness: Readiness::default(),
        })
    }

    /// Returns a handle for records of one topic. No request is sent before the first record.
    #[must_use]
    pub fn topic(&self, name: impl Into<TopicName>) -> Topic {
        Topic {
            state: self.inner.topics.get(&name.into()),
            inner: self.inner.clone(),
        }
    }

    /// Sends a record and waits until the broker has acknowledged it as `acks` asks.
    ///
    /// # Errors
    /// Those of [`enqueue`](Self::enqueue) and of [`Delivery`].
    ///
    /// # Cancel safety
    /// If the future is dropped while it waits for memory or metadata, nothing was enqueued. If it
    /// is dropped later, the record is still sent.
    pub async fn send(&self, record: ProducerRecord) -> Result<RecordMetadata> {
        self.enqueue(record).await?.await
    }

    /// Places a record in the open batch of its partition. The record's order is fixed when this
    /// returns.
    ///
    /// Waits while the producer holds `buffer_memory` bytes of records without an outcome. Before
    /// the first record of a topic it also waits for the topic's metadata. Both waits together take
    /// up to `max_block`.
    ///
    /// If nothing is in flight, the record leaves at once. The sender's task runs on the caller's
    /// thread as soon as the caller awaits something, so a burst leaves in one request. A burst of
    /// more than 256 KiB to one partition does not wait for that. A caller that computes for long
    /// after its last record delays that record, unless it awaits something first. A
    /// `tokio::task::yield_now()` is enough.
    ///
    /// # Errors
    /// - [`ErrorKind::RecordTooLarge`] over `max_request_size` bytes
    /// - [`ErrorKind::Timeout`] after `max_block`
    /// - `UNKNOWN_TOPIC_OR_PARTITION` if the topic does not exist
    /// - [`ErrorKind::Closed`] after `close`
    ///
    /// With any of these errors nothing was written.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, nothing was enqueued.
    pub async fn enqueue(&self, record: ProducerRecord) -> Result<Delivery> {
        let state = self.inner.topics.get(&record.topic);
        let (draft, entry) = (
            RecordDraft::of_record(&record),
            Entry::new(record.partition),
        );
        self.inner.enqueue(&state, &draft, entry).await
    }

    /// Places a record as [`enqueue`](Self::enqueue) does, without waiting.
    ///
    /// Each call is a new attempt and asks the partitioner again. After [`TryEnqueueError::Full`],
    /// pass the record to [`enqueue`](Self::enqueue), or try again later. A partitioner that keeps
    /// state, such as a turn, has moved on in the meantime.
    ///
    /// # Errors
    /// [`TryEnqueueError`] if the record was not enqueued.
    pub fn try_enqueue(&self, record: &ProducerRecord) -> Result<Delivery, TryEnqueueError> {
        self.inner
            .try_enter(record, &mut Entry::new(record.partition))
    }

    /// Enqueues a record and calls `callback` with its outcome.
    ///
    /// The callbacks of a partition are called in the order of its records. Each partition calls
    /// them on a task of its own, so a slow callback delays only the later callbacks of its
    /// partition.
    ///
    /// Waits as [`enqueue`](Self::enqueue) does, and also while 65,536 callbacks have not been
    /// called yet. [`flush`](Self::flush) waits for the callbacks, too. A callback that panics is
    /// logged.
    ///
    /// # Errors
    /// Those of [`enqueue`](Self::enqueue). The callback is not called then.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, nothing was enqueued.
    pub async fn enqueue_then(
        &self,
        record: ProducerRecord,
        callback: impl FnOnce(Result<RecordMetadata>) + Send + 'static,
    ) -> Result<()> {
        let state = self.inner.topics.get(&record.topic);
        let (draft, entry) = (
            RecordDraft::of_record(&record),
            Entry::new(record.partition),
        );
        let callback = Box::new(callback);
        let entering = self.inner.enqueue_then(&state, &draft, entry, callback);
        entering.await
    }

    /// Enqueues records in order, and returns one awaitable of all their outcomes. Records of one
    /// topic are fastest when they stand next to each other.
    ///
    /// A record that cannot be enqueued (see [`enqueue`](Self::enqueue)) has that error as its
    /// outcome, and the other records are still enqueued.
    ///
    /// # Cancel safety
    /// If the future is dropped, the records enqueued so far are still sent, and the rest was not
    /// enqueued.
    pub async fn enqueue_all(
        &self,
        records: impl IntoIterator<Item = ProducerRecord>,
    ) -> Deliveries {
        let mut all = Deliveries::default();
        for record in records {
            match self.enqueue(record).await {
                Ok(delivery) => all.add(delivery),
                Err(error) => all.refused(error),
            }
        }
        all
    }

    /// Sends records in order and waits for all of them. The results have the order of the records.
    ///
    /// # Cancel safety
    /// If the future is dropped, the records enqueued so far are still sent, and the rest was not
    /// enqueued.
    pub async fn send_all(
        &self,
        records: impl IntoIterator<Item = ProducerRecord>,
    ) -> Vec<Result<RecordMetadata>> {
        self.enqueue_all(records).await.await
    }

    /// Sends all enqueued records without further lingering, and waits until each record enqueued
    /// before this call has its outcome.
    ///
    /// It also waits until the callbacks of those records have ended. It does not report the
    /// outcomes. Only the deliveries do.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] after `close`.
    ///
    /// # Cancel safety
    /// If the future is dropped, the records are sent all the same.
    pub async fn flush(&self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let gone = |_| closed("the producer was closed");
        let asked = self.inner.commands.send(Command::Flush(reply)).await;
        asked.map_err(|_| closed("the producer was closed"))?;
        for receipt in answer.await.map_err(gone)? {
            receipt.settled().await;
        }
        self.inner.callbacks.idle().await;
        Ok(())
    }

    /// Flushes as `flush` does, but waits only until the sender has taken the open batches.
    #[cfg(test)]
    pub(crate) async fn flush_without_waiting(&self) {
        let (reply, answer) = oneshot::channel();
        let _ = self.inner.commands.send(Command::Flush(reply)).await;
        let _ = answer.await;
    }

    #[cfg(test)]
    pub(crate) fn buffer_used(&self) -> usize {
        self.inner.shared.budget.used()
    }

    /// Refuses new records, sends the enqueued ones, and ends the producer with all its clones.
    ///
    /// A record without an outcome after `timeout` is given up. Its delivery fails with
    /// [`ErrorKind::Closed`] and says whether the record may have been written. Only the `timeout`
    /// of the first call counts for that. A later call gives nothing up. It waits for the end, up
    /// to its own `timeout`. A call after the end does nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] with the number of records that were given up. In a later call,
    /// [`ErrorKind::Timeout`] if the first call is not done yet.
    ///
    /// # Cancel safety
    /// If the future is dropped, the producer is closed all the same, at the same deadline.
    pub async fn close(&self, timeout: Duration) -> Result<()> {
        self.inner.close(timeout).await
    }

    /// Returns the partitions of a topic. Waits up to `max_block` for the topic's metadata.
    ///
    /// # Errors
    /// Those of [`enqueue`](Self::enqueue) for a topic that does not exist.
    ///
    /// # Cancel safety
    /// The future may be dropped at any time.
    pub async fn partitions_for(&self, topic: impl Into<TopicName>) -> Result<Vec<TopicPartition>> {
        let state = self.inner.topics.get(&topic.into());
        let mut entry = Entry::default();
        self.inner.partitions(&state, &mut entry).await?;
        let numbers = 0..state.count();
        let place = |number| TopicPartition::new(state.name.clone(), Partition::new(number));
        Ok(numbers.map(place).collect())
    }
}

impl Topic {
    /// Returns the topic's name.
    #[must_use]
    pub fn name(&self) -> &TopicName {
        &self.state.name
    }

    /// Enqueues a key and a value as [`Producer::enqueue`] does. Both stay with the caller: they
    /// are encoded in place, and nothing is allocated per record. A value of `None` is a tombstone.
    ///
    /// # Errors
    /// Those of [`Producer::enqueue`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, nothing was enqueued.
    #[inline]
    pub fn enqueue<'a>(
        &'a self,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
    ) -> impl Future<Output = Result<Delivery>> + Send + use<'a> {
        Enqueue::new(&self.inner, &self.state, key, value)
    }

    /// Enqueues values, or pairs of key and value ([`KeyValue`]), in order, and returns one
    /// awaitable of all their outcomes.
    ///
    /// This is the fastest way to send many records. Records without a key are placed many at a
    /// time, and not one by one.
    ///
    /// A record that cannot be enqueued (see [`Producer::enqueue`]) has that error as its outcome,
    /// and the other records are still enqueued.
    ///
    /// Up to 64 records are taken from `records` before the first of them is enqueued. The iterator
    /// may enqueue records itself, and it may block, for example on a file. While it blocks, the
    /// records that it returned just before are not enqueued yet.
    ///
    /// # Cancel safety
    /// If the future is dropped, the records enqueued so far are still sent, and the rest was not
    /// enqueued. Up to 64 records that were taken from `records` are dropped with it.
    pub async fn enqueue_all<R: KeyValue>(
        &self,
        records: impl IntoIterator<Item = R>,
    ) -> Deliveries {
        let mut all = Deliveries::default();
        let records = Ahead::new(records);
        self.inner.enqueue_all(&self.state, records, &mut all).await;
        all
    }

    /// Places a record as [`enqueue`](Self::enqueue) does, without waiting.
    ///
    /// # Errors
    /// [`TryEnqueueError`] if the record was not enqueued.
    pub fn try_enqueue(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Delivery, TryEnqueueError> {
        let draft = RecordDraft::new(key, value, HeadersRef::empty(), None);
        let mut entry = Entry::default();
        self.inner.try_enqueue(&self.state, &draft, &mut entry)
    }

    /// Sends a record and waits for its outcome, as [`Producer::send`] does.
    ///
    /// # Errors
    /// Those of [`Producer::send`].
    ///
    /// # Cancel safety
    /// That of [`Producer::send`].
    pub async fn send(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<RecordMetadata> {
        self.enqueue(key, value).await?.await
    }
}

/// The size of a batch's first buffer, in bytes. It grows from there to the batch size.
const SMALLEST_BUFFER: usize = 16 * 1024;

impl Gauges for Producer {
    fn read(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
        self.inner.read_gauges(sink);
    }
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

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("settings", &self.inner.settings)
            .field("buffer_used", &self.inner.shared.budget.used())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic")
            .field("name", &self.state.name)
            .field("partitions", &self.state.count())
            .finish_non_exhaustive()
    }
}
