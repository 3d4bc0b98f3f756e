//! Enqueueing: the checks and waits before a record is placed.

use std::fmt;
use std::sync::Arc;

use milena_core::{Error, ErrorKind, Partition, Result};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::callbacks::Callbacks;
use crate::deliveries::Deliveries;
use crate::delivery::{Delivery, Receipt};
use crate::key_value::KeyValue;
use crate::memory::Charge;
use crate::network::Network;
use crate::partition::{Desk, Draft, Placed, Placing};
use crate::refusal::unwritten;
use crate::sender::Command;
use crate::settings::Settings;
use crate::sticky::Slot;
use crate::topic::{Chosen, TopicState, Topics};

/// Why [`Producer::try_enqueue`](crate::Producer::try_enqueue) did not take a record.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TryEnqueueError {
    /// `buffer_memory` is used up.
    Full,
    /// The topic's partitions are not known yet.
    NotReady,
    /// The record or the producer cannot be used.
    Refused(Error),
}

/// What all handles share. Its drop tells the sender that no caller is left.
pub(crate) struct Inner {
    pub(crate) desk: Arc<Desk>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) topics: Arc<Topics>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) callbacks: Callbacks,
}

/// Records with the next one at hand. Not `Peekable`, which spells the next one by the iterator's type: then futures that hold
/// closures are not seen to be `Send`.
pub(crate) struct Ahead<I, R> {
    rest: I,
    next: Option<R>,
}

impl<I: Iterator<Item = R>, R> Ahead<I, R> {
    pub(crate) fn new(records: impl IntoIterator<IntoIter = I>) -> Self {
        let mut rest = records.into_iter();
        let next = rest.next();
        Self { rest, next }
    }

    #[inline]
    fn step(&mut self) {
        self.next = self.rest.next();
    }
}

impl Inner {
    #[inline(always)]
    pub(crate) fn try_enqueue(
        &self,
        topic: &TopicState,
        draft: &Draft<'_>,
        named: Option<Partition>,
    ) -> Result<Delivery, TryEnqueueError> {
        self.check(draft, topic).map_err(TryEnqueueError::Refused)?;
        if topic.count() == 0 {
            return Err(self.not_ready());
        }
        match self.place(topic, draft, named, &mut None) {
            Ok(Placed::Here(delivery)) => Ok(delivery),
            Ok(_) => {
                // The sender frees memory by sending what is there.
                self.desk.ready.ring();
                Err(TryEnqueueError::Full)
            }
            Err(error) => Err(TryEnqueueError::Refused(self.unplaced(error))),
        }
    }

    pub(crate) async fn enqueue(
        &self,
        topic: &TopicState,
        draft: &Draft<'_>,
        named: Option<Partition>,
    ) -> Result<Delivery> {
        self.check(draft, topic)?;
        let deadline = Instant::now() + self.settings.max_block;
        self.partitions(topic, deadline).await?;
        let mut spare = None;
        loop {
            let placed = match self.place(topic, draft, named, &mut spare) {
                Err(_) if self.found_since(topic, named, deadline).await => continue,
                placed => placed.map_err(|error| self.unplaced(error))?,
            };
            match placed {
                Placed::Here(delivery) => return Ok(delivery),
                // Only a caller that may leave is told to.
                Placed::Elsewhere => {}
                Placed::NeedsMemory(bytes) => {
                    // What does not suffice goes back before the wait.
                    drop(spare.take());
                    spare = Some(self.memory(bytes, topic, deadline).await?);
                }
            }
        }
    }

    /// The common case of an enqueue that names no partition: everything is there. `None` is any other case, nothing was placed.
    #[inline(always)]
    pub(crate) fn enqueue_quickly(
        &self,
        topic: &TopicState,
        draft: &Draft<'_>,
    ) -> Option<(Arc<Receipt>, u32)> {
        if !self.fits(draft) || topic.count() == 0 {
            return None;
        }
        let chosen = topic.choose(draft, None).ok()?;
        let placed = chosen.partition.place_quickly(draft, &self.desk)?;
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
        loop {
            if let Some(run) = self.place_run(topic, &mut records) {
                into.placed(run.receipt, run.first, run.count);
                continue;
            }
            // Alone: it has a place of its own, needs a new batch, or has to wait.
            let Some(record) = &records.next else { return };
            let draft = Draft::of(record);
            if let Some((receipt, index)) = self.enqueue_quickly(topic, &draft) {
                into.placed(receipt, index, 1);
                records.step();
                continue;
            }
            match self.enqueue(topic, &draft, None).await {
                Ok(delivery) => into.add(delivery),
                Err(error) => into.refused(error),
            }
            records.step();
        }
    }

    /// Places records that may go anywhere into one batch, as far as they fit; `None` where not even the next one does.
    fn place_run<R: KeyValue>(
        &self,
        topic: &TopicState,
        records: &mut Ahead<impl Iterator<Item = R>, R>,
    ) -> Option<Placing> {
        let alike = |draft: &Draft<'_>| topic.is_sticky(draft) && self.fits(draft);
        let first = Draft::of(records.next.as_ref()?);
        if topic.count() == 0 || !alike(&first) {
            return None;
        }
        let Chosen { partition, slot } = topic.choose(&first, None).ok()?;
        let slot = slot?;
        let mut batch = partition.lock_open(&self.desk)?;
        while let Some(record) = &records.next {
            let draft = Draft::of(record);
            if !alike(&draft) || !batch.append(&draft) {
                break;
            }
            records.step();
        }
        let run = batch.placed()?;
        slot.route(run.bytes);
        Some(run)
    }

    #[inline(always)]
    fn place(
        &self,
        topic: &TopicState,
        draft: &Draft<'_>,
        named: Option<Partition>,
        spare: &mut Option<Charge>,
    ) -> Result<Placed> {
        let chosen = topic.choose(draft, named)?;
        let may_leave = topic.may_leave(&chosen);
        if let Some(slot) = chosen.slot {
            slot.route(draft.size);
        }
        match chosen.partition.place(draft, &self.desk, spare, may_leave) {
            Ok(Placed::Elsewhere) => self.place_elsewhere(topic, chosen.slot, draft, spare),
            placed => placed,
        }
    }

    #[cold]
    #[inline(never)]
    fn place_elsewhere(
        &self,
        topic: &TopicState,
        slot: Option<&Slot>,
        draft: &Draft<'_>,
        spare: &mut Option<Charge>,
    ) -> Result<Placed> {
        let chosen = topic.move_on(slot)?;
        chosen.partition.place(draft, &self.desk, spare, false)
    }

    /// Waits for `bytes` of the budget; the sender is told to hurry meanwhile.
    async fn memory(&self, bytes: usize, topic: &TopicState, deadline: Instant) -> Result<Charge> {
        if let Some(error) = self.desk.ready.closed() {
            return Err(error);
        }
        let waiting = self.desk.budget.take(bytes, || self.desk.ready.ring());
        match timeout_at(deadline, waiting).await {
            Ok(charge) => Ok(charge),
            Err(_) => {
                let limit = self.desk.budget.limit();
                let waited = self.settings.max_block;
                let what = format!(
                    "{bytes} of buffer.memory = {limit} bytes did not become free within {waited:?}"
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
    pub(crate) async fn partitions(&self, topic: &TopicState, deadline: Instant) -> Result<()> {
        if topic.count() > 0 {
            return Ok(());
        }
        if let Some(error) = self.desk.ready.closed() {
            return Err(error);
        }
        if let Some(defect) = topic.name.defect() {
            let error = Error::new(ErrorKind::Config, defect).topic(topic.name.clone());
            return Err(unwritten(error));
        }
        let limit = deadline.saturating_duration_since(Instant::now());
        let asked = self.network.topic(topic.name.clone(), limit).await;
        let shape = asked.map_err(|error| unwritten(error.topic(topic.name.clone())))?;
        topic.take(&shape, &self.desk.ready);
        if topic.count() == 0 {
            let error = Error::broker(milena_core::ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
            return Err(unwritten(error.topic(topic.name.clone())));
        }
        Ok(())
    }

    /// Refuses what cannot be taken.
    #[inline]
    fn check(&self, draft: &Draft<'_>, topic: &TopicState) -> Result<()> {
        if self.fits(draft) {
            return Ok(());
        }
        Err(self.refusal(draft, topic))
    }

    #[cold]
    fn not_ready(&self) -> TryEnqueueError {
        match self.desk.ready.closed() {
            Some(error) => TryEnqueueError::Refused(error),
            None => TryEnqueueError::NotReady,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.desk.ready.abandon();
    }
}

impl fmt::Display for TryEnqueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("buffer.memory is used up"),
            Self::NotReady => f.write_str("the topic's partitions are not known yet"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TryEnqueueError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(error) => error.source(),
            _ => None,
        }
    }
}
