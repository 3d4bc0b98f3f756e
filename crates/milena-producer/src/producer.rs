//! The producer: what users hold. Calls place records; the sender does the rest.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use milena_core::{
    Error, ErrorKind, Gauge, Gauges, HeadersRef, Partition, Persistence, ProducerRecord,
    RecordMetadata, Result, TopicName, TopicPartition,
};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::callbacks::Callbacks;
use crate::deliveries::Deliveries;
use crate::delivery::Delivery;
use crate::ending::closed;
use crate::enqueue::{Inner, TryEnqueueError};
use crate::enqueueing::Enqueue;
use crate::entry::{Ahead, Entry};
use crate::key_value::KeyValue;
use crate::memory::{Budget, Buffers};
use crate::network::Network;
use crate::partition::{Desk, Draft};
use crate::ready::Ready;
use crate::sender::{Command, Sender};
use crate::service::Readiness;
use crate::settings::{FOR_EVER, Settings};
use crate::tick::Tick;
use crate::topic::{TopicState, Topics};
use crate::user::SenderEnd;
use crate::within::within;

/// Sends records. A clone is cheap and is the same producer; all clones share one buffer and one order per partition.
///
/// Dropped without [`close`](Self::close), what was enqueued is still sent, as long as the runtime lives.
///
/// # References
/// KIP-98 (idempotence), KIP-360 (epochs), KIP-794 (sticky partitions).
#[derive(Clone)]
pub struct Producer {
    pub(crate) inner: Arc<Inner>,
    pub(crate) readiness: Readiness,
}

/// One topic of a producer: spares looking it up for each record, and takes keys and values as slices. A clone is cheap.
#[derive(Clone)]
pub struct Topic {
    inner: Arc<Inner>,
    state: Arc<TopicState>,
}

impl Producer {
    /// Starts the sender on the runtime of the caller.
    pub(crate) fn start(settings: Settings, network: Arc<dyn Network>) -> Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|error| {
            let what = "a producer is built within a tokio runtime, on which it sends";
            Error::new(ErrorKind::Config, what).with_source(error)
        })?;
        let settings = Arc::new(settings);
        let memory = settings.buffer_memory;
        let largest = settings.flows.largest_batch();
        let smallest = SMALLEST_BUFFER.min(largest);
        let desk = Arc::new(Desk {
            budget: Budget::new(memory),
            buffers: Buffers::new(smallest, largest, memory),
            ready: Ready::default(),
            clock: settings.clock.clone(),
            tick: Tick::default(),
        });
        let topics = Arc::new(Topics::new(settings.flows.clone()));
        let (commands, received) = mpsc::channel(16);
        let sender = Sender::new(
            desk.clone(),
            settings.clone(),
            network.clone(),
            topics.clone(),
            received,
        );
        let inner = Arc::new(Inner {
            desk,
            settings,
            network,
            topics,
            commands,
            callbacks: Callbacks::new(),
            runtime: runtime.clone(),
        });
        let end = SenderEnd::new(&inner);
        let user: Weak<SenderEnd> = Arc::downgrade(&end);
        inner.network.add_user(user);
        // Owned by the handles: it ends after the last one is dropped, or by `close`.
        runtime.spawn(end.run(sender));
        Ok(Self {
            inner,
            readiness: Readiness::default(),
        })
    }

    /// A handle for records of one topic; nothing is asked of the cluster before the first record.
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
    /// As [`enqueue`](Self::enqueue) and [`Delivery`].
    ///
    /// # Cancel safety
    /// Dropped while it waits for memory or metadata, nothing was enqueued; dropped later, the record goes its way.
    pub async fn send(&self, record: ProducerRecord) -> Result<RecordMetadata> {
        self.enqueue(record).await?.await
    }

    /// Places a record in its partition's open batch; its order is fixed when this returns.
    ///
    /// Waits while the producer holds `buffer_memory` bytes of records without an outcome, and for the topic's metadata before the
    /// first record; together up to `max_block`.
    ///
    /// At rest it leaves at once, from a task of the runtime, which runs on the caller's thread as soon as the caller awaits something:
    /// so a burst leaves whole. A burst of more than 256 KiB to a partition does not wait for that. A caller that computes for long after its
    /// last record holds that record back for as long, unless it awaits before, if only `tokio::task::yield_now()`.
    ///
    /// # Errors
    /// [`ErrorKind::RecordTooLarge`] over `max_request_size` bytes; [`ErrorKind::Timeout`] after `max_block`;
    /// `UNKNOWN_TOPIC_OR_PARTITION` where the topic is not there; [`ErrorKind::Closed`] after `close`. In all of them nothing was
    /// written.
    ///
    /// # Cancel safety
    /// Dropped before it resolves, nothing was enqueued.
    pub async fn enqueue(&self, record: ProducerRecord) -> Result<Delivery> {
        let state = self.inner.topics.get(&record.topic);
        let (draft, entry) = (draft(&record), Entry::new(record.partition));
        self.inner.enqueue(&state, &draft, entry).await
    }

    /// As [`enqueue`](Self::enqueue), without waiting.
    ///
    /// Each call is an attempt of its own, for which the partitioner is asked: after [`TryEnqueueError::Full`] hand the record to
    /// [`enqueue`](Self::enqueue), or try again later and know that a partitioner with a state has moved on.
    ///
    /// # Errors
    /// [`TryEnqueueError`]; the record was not enqueued.
    pub fn try_enqueue(&self, record: &ProducerRecord) -> Result<Delivery, TryEnqueueError> {
        self.try_enter(record, &mut Entry::new(record.partition))
    }

    /// As [`try_enqueue`](Self::try_enqueue); what was decided for the record stays in `entry`.
    pub(crate) fn try_enter(
        &self,
        record: &ProducerRecord,
        entry: &mut Entry,
    ) -> Result<Delivery, TryEnqueueError> {
        let state = self.inner.topics.get(&record.topic);
        self.inner.try_enqueue(&state, &draft(record), entry)
    }

    /// As [`enqueue`](Self::enqueue), after an attempt that left `entry`.
    pub(crate) async fn enter(&self, record: ProducerRecord, entry: Entry) -> Result<Delivery> {
        let state = self.inner.topics.get(&record.topic);
        self.inner.enqueue(&state, &draft(&record), entry).await
    }

    /// Enqueues a record and calls `callback` with its outcome; the callbacks of a partition are called in the order of its
    /// records, on tasks of their own, so that a slow one delays its partition's callbacks and nothing else.
    ///
    /// Waits as [`enqueue`](Self::enqueue) does, and while 65,536 callbacks were not called yet. [`flush`](Self::flush) waits for the
    /// callbacks, too. A callback that panics is logged.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue); then the callback is not called.
    ///
    /// # Cancel safety
    /// Dropped before it resolves, nothing was enqueued.
    pub async fn enqueue_then(
        &self,
        record: ProducerRecord,
        callback: impl FnOnce(Result<RecordMetadata>) + Send + 'static,
    ) -> Result<()> {
        let state = self.inner.topics.get(&record.topic);
        let (draft, entry) = (draft(&record), Entry::new(record.partition));
        let callback = Box::new(callback);
        let entering = self.inner.enqueue_then(&state, &draft, entry, callback);
        entering.await
    }

    /// Enqueues records in order, as one awaitable of all their outcomes. Records of one topic are best kept together.
    ///
    /// A record that cannot be enqueued (see [`enqueue`](Self::enqueue)) has that error as its outcome; the others go on.
    ///
    /// # Cancel safety
    /// Dropped, the records enqueued so far go their way and the rest was not enqueued.
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

    /// Sends records, in order, and waits for all; the results are in the order of the records.
    ///
    /// # Cancel safety
    /// Dropped, the records enqueued so far go their way and the rest was not enqueued.
    pub async fn send_all(
        &self,
        records: impl IntoIterator<Item = ProducerRecord>,
    ) -> Vec<Result<RecordMetadata>> {
        self.enqueue_all(records).await.await
    }

    /// Sends what is enqueued without further waiting, and waits until each record enqueued before this call has its outcome.
    ///
    /// The outcomes are told by the deliveries alone. The callbacks of those records have ended, too.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] after `close`.
    ///
    /// # Cancel safety
    /// Dropped, the records are sent all the same.
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

    /// As `flush`, but waits only until the sender took what is there.
    #[cfg(test)]
    pub(crate) async fn flush_without_waiting(&self) {
        let (reply, answer) = oneshot::channel();
        let _ = self.inner.commands.send(Command::Flush(reply)).await;
        let _ = answer.await;
    }

    #[cfg(test)]
    pub(crate) fn buffer_used(&self) -> usize {
        self.inner.desk.budget.used()
    }

    /// Refuses new records, sends what is enqueued, and ends the producer, all clones of it.
    ///
    /// What has no outcome after `timeout` is given up: its deliveries fail with [`ErrorKind::Closed`] and say whether the records
    /// may have been written. The first call's `timeout` counts: a later call gives nothing up, and only waits for the end, for as long as
    /// its own `timeout`. After the end a call does nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] naming how many records were given up; or, in a later call, that the first one is not done yet.
    ///
    /// # Cancel safety
    /// Dropped, the producer is closed all the same, at the same deadline.
    pub async fn close(&self, timeout: Duration) -> Result<()> {
        self.inner
            .desk
            .ready
            .close(&closed("the producer was closed").with_persistence(Persistence::NotWritten));
        let (reply, answer) = oneshot::channel();
        let deadline = Instant::now() + timeout.min(FOR_EVER);
        let command = Command::Close { deadline, reply };
        match self.inner.commands.try_send(command) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => return Ok(()),
            // In a task: the producer is closed even where this call is dropped while it waits for its turn.
            Err(TrySendError::Full(command)) => {
                let commands = self.inner.commands.clone();
                let sent = async move { drop(commands.send(command).await) };
                drop(self.inner.runtime.spawn(sent));
            }
        }
        let Ok(ended) = answer.await else {
            return Ok(());
        };
        let Some(given_up) = ended else {
            let what = format!(
                "another call closes the producer within a timeout of its own; records without an outcome are left after {timeout:?}"
            );
            return Err(Error::new(ErrorKind::Timeout, what));
        };
        // A callback that does not end must not keep the producer open.
        let idle = async { timeout_at(deadline, self.inner.callbacks.idle()).await };
        let _ = within(&self.inner.runtime, idle).await;
        let (unsent, doubtful) = (given_up.not_written, given_up.possibly_written);
        if unsent + doubtful == 0 {
            return Ok(());
        }
        let what = format!(
            "{unsent} records were not written and {doubtful} possibly written when the close timed out after {timeout:?}"
        );
        let persistence = match doubtful {
            0 => Persistence::NotWritten,
            _ => Persistence::PossiblyWritten,
        };
        Err(Error::new(ErrorKind::Timeout, what).with_persistence(persistence))
    }

    /// The partitions of a topic.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue) where the topic is not there.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
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
    /// The topic's name.
    #[must_use]
    pub fn name(&self) -> &TopicName {
        &self.state.name
    }

    /// As [`Producer::enqueue`], for a key and a value that stay with the caller: they are encoded in place, nothing is allocated
    /// per record. A value of `None` is a tombstone.
    ///
    /// # Errors
    /// As [`Producer::enqueue`].
    ///
    /// # Cancel safety
    /// Dropped before it resolves, nothing was enqueued.
    #[inline]
    pub fn enqueue<'a>(
        &'a self,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
    ) -> impl Future<Output = Result<Delivery>> + Send + use<'a> {
        Enqueue::new(&self.inner, &self.state, key, value)
    }

    /// Enqueues values, or pairs of key and value ([`KeyValue`]), in order, as one awaitable of all their outcomes: the fastest way to send many, since records without a
    /// key are placed by the run and not one by one.
    ///
    /// A record that cannot be enqueued (see [`Producer::enqueue`]) has that error as its outcome; the others go on.
    ///
    /// The next record is taken from `records` while a lock of the producer is held: an iterator that blocks, as on a file, holds up the
    /// partition, and one that enqueues to the same topic would wait for itself. Collect such records first.
    ///
    /// # Cancel safety
    /// Dropped, the records enqueued so far go their way and the rest was not enqueued.
    pub async fn enqueue_all<R: KeyValue>(
        &self,
        records: impl IntoIterator<Item = R>,
    ) -> Deliveries {
        let mut all = Deliveries::default();
        let records = Ahead::new(records);
        self.inner.enqueue_all(&self.state, records, &mut all).await;
        all
    }

    /// As [`enqueue`](Self::enqueue), without waiting.
    ///
    /// # Errors
    /// [`TryEnqueueError`]; the record was not enqueued.
    pub fn try_enqueue(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Delivery, TryEnqueueError> {
        let draft = Draft::new(key, value, HeadersRef::empty(), None);
        let mut entry = Entry::default();
        self.inner.try_enqueue(&self.state, &draft, &mut entry)
    }

    /// Sends a record and waits for its outcome, as [`Producer::send`].
    ///
    /// # Errors
    /// As [`Producer::send`].
    ///
    /// # Cancel safety
    /// As [`Producer::send`].
    pub async fn send(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<RecordMetadata> {
        self.enqueue(key, value).await?.await
    }
}

/// The first buffer of a batch.
const SMALLEST_BUFFER: usize = 16 * 1024;

impl Gauges for Producer {
    fn read(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
        self.inner.read_gauges(sink);
    }
}

impl Inner {
    /// Shows the producer's figures.
    pub(crate) fn read_gauges(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
        sink(Gauge::BufferUsed {
            buffer: "producer",
            used: self.desk.budget.used() as u64,
            limit: self.desk.budget.limit() as u64,
            waited: self.desk.budget.waited(),
        });
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("settings", &self.inner.settings)
            .field("buffer_used", &self.inner.desk.budget.used())
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

fn draft(record: &ProducerRecord) -> Draft<'_> {
    let content = &record.record;
    Draft::new(
        content.key.as_deref(),
        content.value.as_deref(),
        content.headers.view(),
        content.timestamp,
    )
}
