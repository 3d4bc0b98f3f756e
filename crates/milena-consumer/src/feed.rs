//! The consumer as a source of lanes. Each assigned partition is a feed.

use std::borrow::Cow;
use std::sync::Arc;

use milena_core::{Capabilities, ConsumerRecord, Reason, TopicPartition};
use milena_lanes::{
    Dispatch, End, Feed, Next, PauseHolder, Reader, Rules, Settled, Source, Tally, Ticket, Turn,
};

use crate::core::Core;
use crate::partition::{Delivery, DueRecord, Partition, Reading};
use milena_fetch::{Opened, Rest};

/// A consumer as the lanes of its handler see it.
pub(crate) struct ConsumerSource {
    /// The consumer.
    core: Arc<Core>,
    /// The settings of the lanes, as the consumer has them.
    rules: Rules,
    /// The counts of settled records, for the report.
    tally: Tally,
}

impl ConsumerSource {
    /// Returns the source of one run.
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
            rules: core.settings.rules(),
            tally: Tally::new(),
        }
    }

    /// Returns the feed of a partition.
    pub(crate) fn feed(self: &Arc<Self>, partition: &Arc<Partition>) -> PartitionFeed {
        PartitionFeed {
            source: Arc::clone(self),
            partition: Arc::clone(partition),
        }
    }
}

impl Source for ConsumerSource {
    type Feed = PartitionFeed;

    fn name(&self) -> Cow<'_, str> {
        match &self.core.settings.group {
            Some(group) => format!("the consumer of the group `{group}`").into(),
            None => "the consumer of assigned partitions".into(),
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }

    fn rules(&self) -> &Rules {
        &self.rules
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn feeds(self: &Arc<Self>) -> Vec<PartitionFeed> {
        let partitions = self.core.assignment.listed();
        partitions.iter().map(|each| self.feed(each)).collect()
    }

    fn end(&self, end: End) {
        match end {
            // An error of a task that is no record's, such as a watcher of gates. The group tells
            // which consumer it was.
            End::Failed(error) if error.place().partition.is_none() => {
                self.core.lifecycle.fail(error);
            }
            end => self.core.lifecycle.end(end),
        }
    }

    fn ended(&self) -> Option<End> {
        self.core.lifecycle.ended()
    }
}

/// An assigned partition as its lanes see it. A clone is the same feed.
#[derive(Clone)]
pub(crate) struct PartitionFeed {
    /// The consumer.
    source: Arc<ConsumerSource>,
    /// The partition.
    partition: Arc<Partition>,
}

impl Feed for PartitionFeed {
    type Source = ConsumerSource;
    type Reader = PartitionReader;

    #[inline]
    fn source(&self) -> &ConsumerSource {
        &self.source
    }

    #[inline]
    fn place(&self) -> &TopicPartition {
        self.partition.place()
    }

    #[inline]
    fn dispatch(&self) -> &Dispatch {
        self.partition.dispatch()
    }

    fn reader(&self) -> PartitionReader {
        PartitionReader {
            window: self.source.core.settings.max_out_of_order,
            source: Arc::clone(&self.source),
            partition: Arc::clone(&self.partition),
            open: None,
            pending: None,
        }
    }

    async fn readable(&self) {
        Reading::of(&self.partition).readable().await;
    }

    async fn has_room(&self) {
        self.partition.has_room().await;
    }

    #[inline]
    fn counts(&self, ticket: Ticket) -> bool {
        self.partition.counts(ticket)
    }

    #[inline]
    fn settle(&self, ticket: Ticket, _: Settled) -> bool {
        self.partition.settle(ticket)
    }

    fn has_moved(&self) {
        self.partition.has_moved();
    }

    fn stop(&self) {
        self.partition.stop();
    }

    fn hold(&self, by: &PauseHolder, reason: &Reason) {
        self.source.core.pausing.hold(&self.partition, by, reason);
    }

    fn let_go(&self, by: &PauseHolder) {
        self.source.core.pausing.let_go(&self.partition, by);
    }

    fn is_held_by(&self, by: &PauseHolder) -> bool {
        self.partition.is_paused_by(by)
    }
}

/// Reads and delivers the records of a partition in their order.
pub(crate) struct PartitionReader {
    /// The consumer.
    source: Arc<ConsumerSource>,
    /// The partition to read.
    partition: Arc<Partition>,
    /// The batch that is being read, and its records that are left. `None` between batches.
    open: Option<(Opened, Rest)>,
    /// A record that was read but not delivered, since the window was full. It comes next.
    pending: Option<ConsumerRecord>,
    /// The most records that may be delivered from the oldest unsettled one on.
    window: usize,
}

impl Reader for PartitionReader {
    #[inline]
    fn next(&mut self, turn: &mut impl Turn) -> Next {
        loop {
            let Some((opened, rest)) = &mut self.open else {
                // To open a batch may take long, which must not count for a record.
                turn.rest();
                match self.open_next() {
                    None => continue,
                    Some(other) => return other,
                }
            };
            let read = if self.pending.is_some() {
                self.pending.take().map(Ok)
            } else {
                rest.next(self.partition.place())
            };
            let record = match read {
                Some(Ok(record)) => record,
                Some(Err(error)) => {
                    let (turn, end) = (opened.turn, opened.next_offset());
                    self.open = None;
                    let unpacking = &self.source.core.unpacking;
                    let end = unpacking.end_of(end);
                    match unpacking.unreadable(&self.partition, turn, end, &error) {
                        Ok(()) => continue,
                        Err(error) => return Next::Failed(error),
                    }
                }
                None => {
                    let (turn, next, epoch) = (opened.turn, opened.next_offset(), opened.epoch());
                    Reading::of(&self.partition).passed(turn, next, epoch);
                    self.open = None;
                    continue;
                }
            };
            let (now, window) = (turn.now(), self.window);
            let due = DueRecord {
                offset: record.offset,
                epoch: opened.epoch(),
                timestamp: record.timestamp,
                since: now,
            };
            match self.partition.deliver(opened.turn, due, window) {
                Delivery::Ticket(ticket) => return Next::Record(record, ticket, now),
                // A seek or a revocation has made the batch stale.
                Delivery::Over => self.open = None,
                Delivery::Full => {
                    self.pending = Some(record);
                    return Next::Full(window);
                }
            }
        }
    }
}

impl PartitionReader {
    /// Opens the next batch. `None` if it is open now, else what the reader has to say.
    fn open_next(&mut self) -> Option<Next> {
        if self.partition.is_stopping() {
            return Some(Next::Over);
        }
        let core = &self.source.core;
        let runtime = core.lifecycle.runtime();
        match core.unpacking.open(runtime, &self.partition) {
            Ok(Some(opened)) => {
                let rest = opened.rest();
                self.open = Some((opened, rest));
                None
            }
            Ok(None) => Some(Next::Empty),
            Err(error) => Some(Next::Failed(error)),
        }
    }
}
