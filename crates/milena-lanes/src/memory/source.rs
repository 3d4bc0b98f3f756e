//! The log in memory as lanes see it, with all its partitions.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use milena_core::{
    CancelToken, Capabilities, ConsumerRecord, Error, ErrorKind, Event, Offset, ProducerRecord,
    Reason, Result, TopicPartition,
};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::partition::MemoryPartition;
use super::reader::MemoryReader;
use crate::end::{End, ShutdownHandle};
use crate::feed::{Dispatch, Pause, PauseHolder, Ticket};
use crate::rules::Rules;
use crate::settled::Settled;
use crate::source::{Feed, Lanes, Next, Source};
use crate::tally::Tally;

/// The log of an [`InMemory`](crate::InMemory) source.
pub struct MemorySource {
    /// The settings of the lanes.
    rules: Rules,
    /// The things that this source claims to do.
    can: Capabilities,
    /// The counts of settled records.
    tally: Tally,
    /// The partitions and their lanes. Locked for short times only.
    partitions: Mutex<Partitions>,
    /// The number of senders. The log ends when there is none.
    senders: watch::Sender<usize>,
    /// One permit for each sent record that may wait for its delivery.
    room: Arc<Semaphore>,
    /// Cancelled when the run is to shut down gracefully.
    closing: CancelToken,
    /// Cancelled when the run is to end at once.
    at_once: CancelToken,
    /// The reason for the end. `None` while the run goes on. The first reason is kept.
    end: watch::Sender<Option<End>>,
}

/// The partitions of a log, and the lanes that process them.
#[derive(Default)]
struct Partitions {
    /// The partitions that have a record.
    all: BTreeMap<TopicPartition, Arc<MemoryPartition>>,
    /// The lanes of the run. `None` before the run and after it.
    lanes: Option<Arc<dyn Lanes<MemoryFeed>>>,
    /// True once a run began.
    was_run: bool,
}

impl MemorySource {
    pub(super) fn new(rules: Rules, can: Capabilities) -> Self {
        Self {
            rules,
            can,
            tally: Tally::new(),
            partitions: Mutex::default(),
            senders: watch::Sender::new(0),
            room: Arc::new(Semaphore::new(MOST_SENT)),
            closing: CancelToken::new(),
            at_once: CancelToken::new(),
            end: watch::Sender::new(None),
        }
    }

    /// Appends a record to its partition. The first record of a partition starts its lanes, if a
    /// run goes on.
    pub(super) fn append(
        self: &Arc<Self>,
        record: ProducerRecord,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        let partition = record.partition.unwrap_or_else(|| 0.into());
        let mut read = ConsumerRecord::new(record.topic, partition, 0);
        let timestamp = record.record.timestamp;
        read.timestamp = timestamp.or_else(|| Some(self.rules.now()));
        read.key = record.record.key;
        read.value = record.record.value;
        read.headers = record.record.headers;
        let place = read.topic_partition();
        let mut partitions = self.partitions.lock();
        if let Some(known) = partitions.all.get(&place) {
            known.append(read, permit);
            return;
        }
        let fresh = Arc::new(MemoryPartition::new(place.clone()));
        fresh.append(read, permit);
        partitions.all.insert(place, Arc::clone(&fresh));
        let lanes = partitions.lanes.clone();
        // Lanes start without the lock, since observers of their events are user code.
        drop(partitions);
        if let Some(lanes) = lanes {
            lanes.start(&MemoryFeed::new(self, fresh));
        }
    }

    /// Starts the lanes of all partitions.
    pub(super) fn begin(self: &Arc<Self>, lanes: Arc<dyn Lanes<MemoryFeed>>) -> Result<()> {
        let mut partitions = self.partitions.lock();
        if std::mem::replace(&mut partitions.was_run, true) {
            let what = "the records in memory were run already: create another source for them";
            return Err(Error::new(ErrorKind::State, what));
        }
        let lanes = Arc::clone(partitions.lanes.insert(lanes));
        let all: Vec<_> = partitions.all.values().cloned().collect();
        drop(partitions);
        for partition in all {
            lanes.start(&MemoryFeed::new(self, partition));
        }
        Ok(())
    }

    /// Waits until the run has to end.
    pub(super) async fn until_end(&self) {
        let mut end = self.end.subscribe();
        tokio::select! {
            biased;
            _ = end.wait_for(Option::is_some) => {}
            () = self.closing.cancelled() => {}
            () = self.all_done() => {}
        }
    }

    /// Waits until no sender is left and the lanes of all partitions have ended.
    async fn all_done(&self) {
        let mut senders = self.senders.subscribe();
        // Cannot fail, since the sender lives as long as `self`.
        let _ = senders.wait_for(|count| *count == 0).await;
        for partition in self.all() {
            partition.dispatch().drained().await;
        }
    }

    /// Waits until the run is to end at once.
    pub(super) async fn at_once(&self) {
        self.at_once.cancelled().await;
    }

    /// Cuts all lanes off and drops the handler.
    pub(super) fn abort(&self) {
        self.end(End::Closed);
        for partition in self.all() {
            partition.cut_off();
        }
        let lanes = self.partitions.lock().lanes.take();
        // Dropped without the lock. The handler is user code.
        drop(lanes);
    }

    pub(super) fn shutdown_handle(&self) -> ShutdownHandle {
        ShutdownHandle::of(self.closing.clone(), self.at_once.clone())
    }

    pub(super) fn committable(&self, partition: &TopicPartition) -> Option<Offset> {
        let found = self.partitions.lock().all.get(partition).cloned();
        found.map(|partition| partition.committable())
    }

    pub(super) fn pauses(&self) -> Vec<Pause> {
        self.all().iter().flat_map(|each| each.pauses()).collect()
    }

    /// Waits until one more sent record may wait for its delivery.
    pub(super) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        // Cannot fail, since the semaphore is never closed.
        Arc::clone(&self.room).acquire_owned().await.ok()
    }

    pub(super) fn add_sender(&self) {
        self.senders.send_modify(|count| *count += 1);
    }

    /// Counts one sender less. Lanes that wait for records look again, and end after the last one.
    pub(super) fn remove_sender(&self) {
        self.senders.send_modify(|count| *count -= 1);
        for partition in self.all() {
            partition.wake();
        }
    }

    fn all(&self) -> Vec<Arc<MemoryPartition>> {
        self.partitions.lock().all.values().cloned().collect()
    }
}

impl Source for MemorySource {
    type Feed = MemoryFeed;

    fn name(&self) -> Cow<'_, str> {
        "the source in memory".into()
    }

    fn capabilities(&self) -> Capabilities {
        self.can
    }

    fn rules(&self) -> &Rules {
        &self.rules
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn feeds(self: &Arc<Self>) -> Vec<MemoryFeed> {
        let all = self.all().into_iter();
        all.map(|partition| MemoryFeed::new(self, partition))
            .collect()
    }

    fn end(&self, end: End) {
        self.end.send_if_modified(|slot| {
            let first = slot.is_none();
            if first {
                *slot = Some(end);
            }
            first
        });
    }

    fn ended(&self) -> Option<End> {
        self.end.borrow().clone()
    }
}

impl fmt::Debug for MemorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySource")
            .field("rules", &self.rules)
            .field("tally", &self.tally)
            .finish_non_exhaustive()
    }
}

/// One partition of a log in memory, read by lanes of its own. A clone is the same feed.
#[derive(Clone, Debug)]
pub struct MemoryFeed {
    /// The log.
    source: Arc<MemorySource>,
    /// The partition.
    partition: Arc<MemoryPartition>,
}

impl MemoryFeed {
    fn new(source: &Arc<MemorySource>, partition: Arc<MemoryPartition>) -> Self {
        Self {
            source: Arc::clone(source),
            partition,
        }
    }

    /// Delivers the next record. `now` returns the time.
    pub(super) fn deliver(&self, now: impl FnOnce() -> Instant) -> Next {
        let more = || *self.source.senders.borrow() > 0;
        self.partition.deliver(WINDOW, more, now)
    }
}

impl Feed for MemoryFeed {
    type Source = MemorySource;
    type Reader = MemoryReader;

    fn source(&self) -> &MemorySource {
        &self.source
    }

    fn place(&self) -> &TopicPartition {
        self.partition.place()
    }

    fn dispatch(&self) -> &Dispatch {
        self.partition.dispatch()
    }

    fn reader(&self) -> MemoryReader {
        MemoryReader(self.clone())
    }

    async fn readable(&self) {
        self.partition.readable().await;
    }

    async fn has_room(&self) {
        self.partition.has_room(WINDOW).await;
    }

    fn counts(&self, _: Ticket) -> bool {
        self.partition.counts()
    }

    fn settle(&self, ticket: Ticket, _: Settled) -> bool {
        self.partition.settle(ticket)
    }

    fn hold(&self, by: &PauseHolder, reason: &Reason) {
        if self.partition.hold(by, reason.clone()) {
            self.source.rules.observers.emit(|| Event::Paused {
                group: &self.source.rules.group,
                partition: self.place(),
                by: by.name(),
                reason,
            });
        }
    }

    fn let_go(&self, by: &PauseHolder) {
        if self.partition.let_go(by) {
            self.source.rules.observers.emit(|| Event::Resumed {
                group: &self.source.rules.group,
                partition: self.place(),
            });
        }
    }

    fn is_held_by(&self, by: &PauseHolder) -> bool {
        self.partition.is_held_by(by)
    }
}

/// The most records of a partition that may be delivered from the oldest unsettled one on.
const WINDOW: usize = 10_000;
/// The most records that senders may append before they are delivered.
const MOST_SENT: usize = 1024;
