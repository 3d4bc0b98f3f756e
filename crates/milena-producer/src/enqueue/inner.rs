//! Enqueueing, with the checks and waits before a record is placed.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, ErrorKind, Gauge, Partition, Persistence, ProducerRecord, Result};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::callbacks::{Callback, Callbacks};
use crate::closed::closed;
use crate::deliveries::Deliveries;
use crate::delivery::{Delivery, Receipt};
use crate::enqueue::draft::{RecordDraft, RecordLimits};
use crate::enqueue::entry::{Ahead, Decide, Entry, KeyValueRef, LONGEST_RUN};
use crate::enqueue::key_value::KeyValue;
use crate::enqueue::memory::Charge;
use crate::enqueue::partition::{Placed, Placing};
use crate::enqueue::refusal::{TryEnqueueError, unwritten};
use crate::enqueue::shared::Shared;
use crate::enqueue::sticky::Slot;
use crate::enqueue::topic::{Chosen, Route, TopicState, Topics};
use crate::enqueue::within::within;
use crate::network::Network;
use crate::send::command::Command;
use crate::settings::{FOR_EVER, Settings};

/// The state that all handles of a producer share. Its drop tells the sender that no caller is
/// left.
pub(crate) struct Inner {
    /// The memory, bell and clock, shared with the sender.
    pub(crate) shared: Arc<Shared>,
    /// The sizes over which a record is refused.
    pub(crate) limits: RecordLimits,
    /// The checked settings.
    pub(crate) settings: Arc<Settings>,
    /// The cluster that metadata comes from.
    pub(crate) network: Arc<dyn Network>,
    /// The topics that records were sent to.
    pub(crate) topics: Arc<Topics>,
    /// The channel for requests to the sender, such as flush and close.
    pub(crate) commands: mpsc::Sender<Command>,
    /// The callbacks that have not been called yet.
    pub(crate) callbacks: Callbacks,
    /// The runtime of the sender. Callers may run elsewhere, and their waits need its timers.
    pub(crate) runtime: Handle,
}

impl Inner {
    /// Places a record without waiting. Keeps in `entry` what was decided for it.
    #[inline(always)]
    pub(crate) fn try_enqueue(
        &self,
        topic: &TopicState,
        draft: &RecordDraft<'_>,
        entry: &mut Entry,
    ) -> Result<Delivery, TryEnqueueError> {
        self.check(draft, topic).map_err(TryEnqueueError::Refused)?;
        if topic.count() == 0 {
            return Err(self.not_ready());
        }
        match self.place(topic, draft, entry) {
            Ok(Placed::Here(delivery)) => Ok(delivery),
            Ok(_) => {
                // The sender frees memory by sending the open batches, even if they linger.
                self.shared.bell.hurry();
                Err(TryEnqueueError::Full)
            }
            Err(error) => Err(TryEnqueueError::Refused(self.unplaced(error))),
        }
    }

    /// Places a record, and waits for metadata and memory first if needed.
    pub(crate) async fn enqueue(
        &self,
        topic: &TopicState,
        draft: &RecordDraft<'_>,
        mut entry: Entry,
    ) -> Result<Delivery> {
        self.check(draft, topic)?;
        self.partitions(topic, &mut entry).await?;
        loop {
            match self.place(topic, draft, &mut entry) {
                Ok(Placed::Here(delivery)) => return Ok(delivery),
                other => self.make_way(other, topic, &mut entry).await?,
            }
        }
    }

    /// Places an owned record without waiting. Keeps in `entry` what was decided for it.
    pub(crate) fn try_enter(
        &self,
        record: &ProducerRecord,
        entry: &mut Entry,
    ) -> Result<Delivery, TryEnqueueError> {
        let topic = self.topics.get(&record.topic);
        self.try_enqueue(&topic, &RecordDraft::of_record(record), entry)
    }

    /// Places an owned record, and waits if needed, after an earlier attempt that left `entry`.
    pub(crate) async fn enter(&self, record: ProducerRecord, entry: Entry) -> Result<Delivery> {
        let topic = self.topics.get(&record.topic);
        self.enqueue(&topic, &RecordDraft::of_record(&record), entry)
            .await
    }

    /// Enqueues as `enqueue` does. `callback` joins the partition's callbacks in the same step in
    /// which the record joins its batch.
    pub(crate) async fn enqueue_then(
        &self,
        topic: &TopicState,
        draft: &RecordDraft<'_>,
        mut entry: Entry,
        callback: Callback,
    ) -> Result<()> {
        self.check(draft, topic)?;
        let Some(room) = self.callbacks.room().await else {
            return Err(closed("the producer was closed"));
        };
        self.partitions(topic, &mut entry).await?;
        // Decided before the lanes are locked, since a partitioner is the user's code.
        let named = entry.named;
        entry
            .route
            .get_or_insert_with(|| topic.decide(draft, named));
        loop {
            // The clock too is the user's code, so it is read before the lanes are locked.
            let timestamp = draft.timestamp.unwrap_or_else(|| (self.shared.clock)());
            let draft = RecordDraft {
                timestamp: Some(timestamp),
                ..*draft
            };
            let other = {
                let mut lanes = self.callbacks.lanes();
                match self.place(topic, &draft, &mut entry) {
                    Ok(Placed::Here(delivery)) => {
                        lanes.add(&self.runtime, delivery, room, callback);
                        return Ok(());
                    }
                    other => other,
                }
            };
            self.make_way(other, topic, &mut entry).await?;
        }
    }

    /// Removes what kept a record from being placed, so that the next attempt may succeed. Fails if
    /// it cannot.
    #[cold]
    async fn make_way(
        &self,
        placed: Result<Placed>,
        topic: &TopicState,
        entry: &mut Entry,
    ) -> Result<()> {
        match placed {
            Ok(Placed::NeedsMemory(bytes)) => {
                // A charge that does not suffice is returned before the wait. Two callers could
                // otherwise wait for each other's.
                drop(entry.spare.take());
                entry.spare = Some(self.memory(bytes, topic, entry).await?);
                Ok(())
            }
            // `place` follows `Elsewhere` itself, so this is not reached. The next attempt decides.
            Ok(Placed::Here(_) | Placed::Elsewhere) => Ok(()),
            Err(error) => {
                let deadline = self.deadline(entry);
                if self.found_since(topic, entry.named, deadline).await {
                    return Ok(());
                }
                Err(self.unplaced(error))
            }
        }
    }

    /// Returns the time until which a record may wait, counted from its first wait.
    fn deadline(&self, entry: &mut Entry) -> Instant {
        let limit = self.settings.max_block;
        *entry.deadline.get_or_insert_with(|| Instant::now() + limit)
    }

    /// Places a record that names no partition, in the common case in which nothing is missing.
    /// `None` is any other case, in which nothing was placed. `route` keeps what was decided.
    #[inline(always)]
    pub(crate) fn enqueue_quickly(
        &self,
        topic: &TopicState,
        draft: &RecordDraft<'_>,
        route: &mut Option<Route>,
    ) -> Option<(Arc<Receipt>, u32)> {
        if !self.is_usual(topic, draft) {
            return None;
        }
        let decided = match *route {
            Some(decided) => decided,
            None => topic.decide(draft, None),
        };
        let placed = self.place_decided(topic, draft, decided);
        if placed.is_none() {
            *route = Some(decided);
        }
        placed
    }

    /// Returns true if a record can be taken, and its topic is known.
    #[inline(always)]
    pub(crate) fn is_usual(&self, topic: &TopicState, draft: &RecordDraft<'_>) -> bool {
        self.limits.fits(draft) && topic.count() > 0
    }

    /// Places a record by a decided route, if the open batch has room.
    #[inline(always)]
    pub(crate) fn place_decided(
        &self,
        topic: &TopicState,
        draft: &RecordDraft<'_>,
        route: Route,
    ) -> Option<(Arc<Receipt>, u32)> {
        let chosen = topic.find(route).ok()?;
        let placed = chosen.partition.place_quickly(draft, &self.shared)?;
        if let Some(slot) = chosen.slot {
            slot.route(draft.size);
        }
        Some(placed)
    }

    /// Places records in order, each with an outcome of its own.
    pub(crate) async fn enqueue_all<R: KeyValue>(
        &self,
        topic: &TopicState,
        mut records: Ahead<impl Iterator<Item = R>, R>,
        into: &mut Deliveries,
    ) {
        while records.refill() {
            if let Some(run) = self.place_run(topic, &mut records) {
                into.placed(run.receipt, run.first, run.count);
                continue;
            }
            // This record is placed alone. It has a partition of its own, needs a new batch, or has
            // to wait.
            let Some((record, mut route)) = records.first() else {
                return;
            };
            let draft = RecordDraft::of(record);
            if let Some((receipt, index)) = self.enqueue_quickly(topic, &draft, &mut route) {
                into.placed(receipt, index, 1);
            } else {
                match self.enqueue(topic, &draft, Entry::decided(route)).await {
                    Ok(delivery) => into.add(delivery),
                    Err(error) => into.refused(error),
                }
            }
            records.advance(1);
        }
    }

    /// Places records that may go to any partition into one batch, as far as they fit. `None` if
    /// not even the next one fits.
    fn place_run<R: KeyValue>(
        &self,
        topic: &TopicState,
        records: &mut Ahead<impl Iterator<Item = R>, R>,
    ) -> Option<Placing> {
        if topic.count() == 0 {
            return None;
        }
        let by = Deciding { inner: self, topic };
        if !records.is_sticky(&by) {
            return None;
        }
        let mut lines = [KeyValueRef::EMPTY; LONGEST_RUN];
        let run = records.run(&mut lines, &by);
        let Chosen { partition, slot } = topic.find(Route::Sticky).ok()?;
        let slot = slot?;
        let mut batch = partition.lock_open(&self.shared)?;
        for line in run {
            if !batch.append(&line.draft()) {
                break;
            }
        }
        let run = batch.placed()?;
        slot.route(run.bytes);
        records.advance(run.count as usize);
        Some(run)
    }

    /// Places a record by the route in `entry`, which is decided here on the first attempt.
    #[inline(always)]
    fn place(
        &self,
        topic: &TopicState,
        draft: &RecordDraft<'_>,
        entry: &mut Entry,
    ) -> Result<Placed> {
        let Entry {
            named,
            route,
            spare,
            ..
        } = entry;
        let route = *route.get_or_insert_with(|| topic.decide(draft, *named));
        let chosen = topic.find(route)?;
        let may_leave = topic.may_leave(&chosen);
        if let Some(slot) = chosen.slot {
            slot.route(draft.size);
        }
        match chosen
            .partition
            .place(draft, &self.shared, spare, may_leave)
        {
            Ok(Placed::Elsewhere) => self.place_elsewhere(topic, chosen.slot, draft, spare),
            placed => placed,
        }
    }

    /// Places a record in the next partition, since the batch in the last one ended.
    #[cold]
    #[inline(never)]
    fn place_elsewhere(
        &self,
        topic: &TopicState,
        slot: Option<&Slot>,
        draft: &RecordDraft<'_>,
        spare: &mut Option<Charge>,
    ) -> Result<Placed> {
        let chosen = topic.move_on(slot)?;
        chosen.partition.place(draft, &self.shared, spare, false)
    }

    /// Waits for `bytes` of the budget. The sender is woken to send open batches meanwhile.
    async fn memory(&self, bytes: usize, topic: &TopicState, entry: &mut Entry) -> Result<Charge> {
        if let Some(error) = self.topics.registry().closed() {
            return Err(error);
        }
        let deadline = self.deadline(entry);
        let waiting = self.shared.budget.take(bytes, || self.shared.bell.ring());
        let waited = within(&self.runtime, async { timeout_at(deadline, waiting).await });
        match waited.await {
            Ok(charge) => Ok(charge),
            Err(_) => {
                let limit = self.shared.budget.limit();
                let waited = self.settings.max_block;
                let what = format!(
                    "{bytes} bytes of buffer.memory = {limit} bytes did not become free within {waited:?}"
                );
                Err(unwritten(
                    Error::new(ErrorKind::Timeout, what)
                        .setting("max.block.ms")
                        .topic(topic.name.clone()),
                ))
            }
        }
    }

    /// Waits until the topic's partitions are known.
    pub(crate) async fn partitions(&self, topic: &TopicState, entry: &mut Entry) -> Result<()> {
        if topic.count() > 0 {
            return Ok(());
        }
        let deadline = self.deadline(entry);
        if let Some(error) = self.topics.registry().closed() {
            return Err(error);
        }
        if let Some(defect) = topic.name.defect() {
            let error = Error::new(ErrorKind::Config, defect).topic(topic.name.clone());
            return Err(unwritten(error));
        }
        let limit = deadline.saturating_duration_since(Instant::now());
        let asked = async { self.network.topic(topic.name.clone(), limit).await };
        let asked = within(&self.runtime, asked).await;
        let shape = asked.map_err(|error| unwritten(error.topic(topic.name.clone())))?;
        topic.take(&shape, self.topics.registry());
        if topic.count() == 0 {
            let error = Error::broker(milena_core::ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
            return Err(unwritten(error.topic(topic.name.clone())));
        }
        Ok(())
    }

    /// Returns the error of a record that was not placed. If the producer is closed, that comes
    /// first.
    #[cold]
    fn unplaced(&self, error: Error) -> Error {
        self.topics.registry().closed().unwrap_or(error)
    }

    /// Requests metadata once more if the record names an unknown partition, which may have been
    /// added since. Returns true if the partition is known now.
    #[cold]
    async fn found_since(
        &self,
        topic: &TopicState,
        named: Option<Partition>,
        deadline: Instant,
    ) -> bool {
        let Some(named) = named else { return false };
        let known = || (named.index() as u64) < u64::from(topic.count());
        if known() || self.topics.registry().closed().is_some() {
            return false;
        }
        // Without an answer in time the partition counts as missing.
        let renewal = async { timeout_at(deadline, self.network.renew()).await };
        let _ = within(&self.runtime, renewal).await;
        self.topics.refresh(&*self.network);
        known()
    }

    /// Refuses a record that can never be sent.
    #[inline]
    fn check(&self, draft: &RecordDraft<'_>, topic: &TopicState) -> Result<()> {
        if self.limits.fits(draft) {
            return Ok(());
        }
        Err(self.limits.refusal(draft, &topic.name))
    }

    /// Refuses new records, sends the enqueued ones, and ends the producer. Gives up the rest after
    /// `timeout`.
    pub(crate) async fn close(&self, timeout: Duration) -> Result<()> {
        self.topics
            .registry()
            .close(&closed("the producer was closed").with_persistence(Persistence::NotWritten));
        let (reply, answer) = oneshot::channel();
        let deadline = Instant::now() + timeout.min(FOR_EVER);
        let command = Command::Close { deadline, reply };
        match self.commands.try_send(command) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => return Ok(()),
            // In a task of its own: the producer is closed even if this call is dropped while it
            // waits for room in the channel.
            Err(TrySendError::Full(command)) => {
                let commands = self.commands.clone();
                let sent = async move { drop(commands.send(command).await) };
                drop(self.runtime.spawn(sent));
            }
        }
        let Ok(ended) = answer.await else {
            return Ok(());
        };
        let Some(given_up) = ended else {
            let what = format!(
                "the producer is not closed after {timeout:?}, since an earlier close has a longer timeout and records still have no outcome"
            );
            return Err(Error::new(ErrorKind::Timeout, what));
        };
        // The end does not wait longer for a callback that hangs.
        let idle = async { timeout_at(deadline, self.callbacks.idle()).await };
        let _ = within(&self.runtime, idle).await;
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

    /// Reports the memory gauge of the producer.
    pub(crate) fn read_gauges(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
        sink(Gauge::BufferUsed {
            buffer: "producer",
            used: self.shared.budget.used() as u64,
            limit: self.shared.budget.limit() as u64,
            waited: self.shared.budget.waited(),
        });
    }

    /// Returns the error for a topic without partitions. If the producer is closed, that comes
    /// first.
    #[cold]
    fn not_ready(&self) -> TryEnqueueError {
        match self.topics.registry().closed() {
            Some(error) => TryEnqueueError::Refused(error),
            None => TryEnqueueError::NotReady,
        }
    }
}

/// Asks a topic's partitioner about records that the producer can take.
struct Deciding<'a> {
    /// The producer, which knows how large a record may be.
    inner: &'a Inner,
    /// The topic, which knows its partitioner.
    topic: &'a TopicState,
}

impl Decide for Deciding<'_> {
    #[inline(always)]
    fn decide(&self, draft: &RecordDraft<'_>) -> Option<Route> {
        let fits = self.inner.limits.fits(draft);
        fits.then(|| self.topic.decide(draft, None))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.bell.abandon();
    }
}
