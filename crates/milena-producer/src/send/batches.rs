//! All batches without an outcome, from the callers' hands to the last answer.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, Event, TopicPartition};
use milena_protocol::batch::SealedBatch;
use tokio::time::Instant;

use crate::closed::closed;
use crate::delivery::{Fate, Receipt};
use crate::enqueue::shared::Shared;
use crate::enqueue::topic::Topics;
use crate::network::Network;
use crate::send::batch::Batch;
use crate::send::command::GivenUp;
use crate::send::identity::IdentityState;
use crate::send::notices::Notices;
use crate::send::outcome::{Attempt, Written};
use crate::send::outlets::Outlets;
use crate::send::pace::Load;
use crate::send::parts::{self, Failed};
use crate::send::queue::Queue;
use crate::send::queue::id::QueueId;
use crate::send::queue::step::Settled;
use crate::send::ready::{self, Look, Ready};
use crate::send::request::{RequestBuilder, Sent};
use crate::send::seal::{Finished, Sealer};
use crate::send::wake::Wake;
use crate::settings::Settings;

/// The batches that have no outcome yet. It takes them from the callers, closes them, and gives
/// each its outcome.
pub(super) struct Batches {
    /// The memory and bell that the send task shares with callers.
    shared: Arc<Shared>,
    /// The topics that callers have sent to, and all their partitions.
    topics: Arc<Topics>,
    /// The checked settings.
    settings: Arc<Settings>,
    /// The cluster, which knows leaders and topics.
    network: Arc<dyn Network>,
    /// The queues of all partitions, and the lists that they are in.
    outlets: Outlets,
    /// The maker of the final bytes of batches.
    sealer: Sealer,
    /// The log lines about records that are held up or were given up.
    notices: Notices,
    /// The time at which a caller last found the buffer full. Batches opened before it leave
    /// without lingering. `None` before the first such time.
    hurried: Option<Instant>,
    /// The time at which metadata is requested again. `None` while every partition has a leader.
    ask_again: Option<Instant>,
    /// A buffer for the ids of announced partitions, kept to spare an allocation per turn.
    scratch: Vec<u32>,
}

impl Batches {
    pub(super) fn new(
        shared: Arc<Shared>,
        topics: Arc<Topics>,
        settings: Arc<Settings>,
        network: Arc<dyn Network>,
    ) -> Self {
        Self {
            outlets: Outlets::new(network.clone()),
            sealer: Sealer::new(shared.clone()),
            shared,
            topics,
            settings,
            network,
            notices: Notices::default(),
            hurried: None,
            ask_again: None,
            scratch: Vec::new(),
        }
    }

    /// Returns the queues and the lists that they are in, to be read.
    pub(super) fn outlets(&self) -> &Outlets {
        &self.outlets
    }

    /// Returns the queues and the lists that they are in, to be changed.
    pub(super) fn outlets_mut(&mut self) -> &mut Outlets {
        &mut self.outlets
    }

    /// Returns the maker of the final bytes of batches, to wait for large ones.
    pub(super) fn sealer(&mut self) -> &mut Sealer {
        &mut self.sealer
    }

    /// Takes the partitions that callers announced, new ones and those with a new batch.
    pub(super) fn take_news(&mut self) {
        let mut ids = std::mem::take(&mut self.scratch);
        let registry = self.topics.registry();
        for partition in registry.news(&self.shared.bell, self.outlets.len(), &mut ids) {
            self.outlets.add(partition);
        }
        for id in ids.drain(..) {
            if let Some(id) = self.outlets.of_partition(id) {
                self.collect(id);
            }
        }
        self.scratch = ids;
    }

    /// Takes the full batches of a partition, and notes since when one is open.
    fn collect(&mut self, id: QueueId) {
        let queue = self.outlets.get(id);
        let full = queue.collect();
        let close = full
            .into_iter()
            .filter_map(|open| self.sealer.close(queue, open));
        let failed: Vec<_> = close.collect();
        self.report(id, failed);
        self.outlets.list(id);
    }

    /// Takes the open batches of all partitions. The send task knows of each one that was opened
    /// before it last took the news, so only partitions with an open batch are locked.
    pub(super) fn take_all_open(&mut self) {
        for id in self.outlets.ids() {
            if self.outlets.peek(id).open_since().is_none() {
                continue;
            }
            self.collect(id);
            let queue = self.outlets.get(id);
            if let Some(open) = queue.take_open() {
                let failed = self.sealer.close(queue, open);
                self.report(id, failed);
                self.outlets.list(id);
            }
        }
    }

    /// Returns the receipts of all closed batches without an outcome.
    pub(super) fn unsettled(&self) -> Vec<Arc<Receipt>> {
        let batches = self.outlets.queues().flat_map(Queue::unsettled);
        batches.map(|batch| batch.receipt.clone()).collect()
    }

    /// Returns true if every batch has its outcome.
    pub(super) fn is_idle(&self) -> bool {
        self.outlets.queues().all(Queue::is_idle)
    }

    /// Stores batches that another thread has sealed.
    pub(super) fn sealed(&mut self, finished: Finished) {
        let id = finished.queue();
        let failed = self.sealer.finish(self.outlets.get(id), finished);
        self.report(id, failed);
        self.outlets.list(id);
    }

    /// Does what is due by the clock: fails records whose time is up, lists partitions that have
    /// lingered, and looks for leaders.
    pub(super) fn look(&mut self, now: Instant, wake: &mut Wake) {
        while let Some(id) = self.outlets.take_due(now, wake) {
            let queue = self.outlets.get(id);
            let rules = queue.rules();
            let mut failed = queue.expire(now, &rules);
            failed.extend(queue.expire_open(now, &rules));
            self.outlets.time(id);
            self.report(id, failed);
        }
        self.wake_lingering(now, wake);
        self.seek_leaders(now, wake);
    }

    /// Lists the partitions whose open batch has lingered for long enough. Lists all that linger if
    /// a caller waits for memory.
    fn wake_lingering(&mut self, now: Instant, wake: &mut Wake) {
        let hurried = self.shared.bell.takes_hurry();
        if hurried {
            self.hurried = Some(now);
        }
        let all = hurried || self.shared.budget.waiting() > 0;
        let until = (!all).then_some(now);
        while let Some(id) = self.outlets.take_lingered(until, wake) {
            self.outlets.list(id);
        }
    }

    /// Requests metadata again and again while a partition has no leader.
    fn seek_leaders(&mut self, now: Instant, wake: &mut Wake) {
        if !self.outlets.has_leaderless() {
            self.ask_again = None;
            return;
        }
        if self.ask_again.is_none_or(|time| time <= now) {
            for id in self.outlets.take_leaderless() {
                let queue = self.outlets.get(id);
                let missing = self.network.is_missing(&queue.partition.place);
                queue.missing(missing, now);
                self.give_up_missing(id, now);
                self.outlets.give_leaderless(id);
            }
            self.network.refresh("a partition has no leader");
            self.ask_again = Some(now + self.settings.rules.backoff.delay(u32::MAX));
        }
        if let Some(time) = self.ask_again {
            wake.at(time);
        }
    }

    /// Gives up the records of a partition whose topic the cluster has not known for long enough.
    /// They would otherwise hold memory until their delivery timeout.
    fn give_up_missing(&mut self, id: QueueId, now: Instant) {
        let queue = self.outlets.get(id);
        let rules = queue.rules();
        if !queue.is_missing(now, &rules) {
            return;
        }
        let mut failed = queue.give_up_missing(now, &rules);
        failed.extend(queue.give_up_missing_open(&rules));
        // Records that come from now on have their own time, since the topic may be created again.
        queue.missing(false, now);
        self.report(id, failed);
    }

    /// Adds the next batch of a partition to a request, if one may leave now.
    pub(super) fn next(
        &mut self,
        id: QueueId,
        (now, load): (Instant, &Load),
        identity: &mut IdentityState,
        request: &mut RequestBuilder,
    ) -> Ready {
        let look = Look {
            now,
            load,
            callers_wait: self.shared.budget.waiting() > 0,
            hurried: self.hurried,
        };
        let queue = self.outlets.get(id);
        let ready = ready::next(queue, &look, identity, request, &self.sealer);
        if let Ready::Failed(records, error) = &ready {
            self.report(id, [(*records, error.clone())]);
        }
        ready
    }

    /// Takes back a batch that its connection did not accept.
    pub(super) fn take_back(&mut self, sent: Sent, now: Instant) {
        let queue = self.outlets.get(sent.queue);
        let rules = queue.rules();
        queue.take_back(sent.place, now, &rules);
    }

    /// Applies the end of an attempt to its batch, and settles the records if the batch has its
    /// outcome.
    pub(super) fn settle(&mut self, sent: Sent, attempt: Attempt, now: Instant) {
        let id = sent.queue;
        let queue = self.outlets.get(id);
        let rules = queue.rules();
        let mut settled = queue.answer(sent.place, attempt.verdict, now, &rules);
        if let Settled::TooLarge(batch, error) = settled {
            let failed;
            (settled, failed) = parts::split(queue, batch, error, now, &self.sealer);
            self.report(id, failed);
            self.outlets.list(id);
        }
        match settled {
            Settled::Delivered(batch) => self.delivered(id, batch, attempt.written, now),
            Settled::Retried {
                attempts,
                records,
                error,
            } => {
                self.retried(id, records, attempts, &error);
                self.notices.trouble(now);
                self.give_up_missing(id, now);
            }
            Settled::Failed(batch, error) => match attempt.refused {
                Some(refused) if parts::may_send_rest(&batch, &refused, &rules) => {
                    self.send_rest(id, batch, error, refused);
                }
                refused => self.failed(id, &batch, error, refused),
            },
            Settled::TooLarge(..) | Settled::Gone => {}
        }
    }

    /// Settles the records of a batch that is in the log, and returns its memory.
    fn delivered(&mut self, id: QueueId, batch: Batch, written: Written, now: Instant) {
        let Written { base, appended } = written;
        let of = &self.outlets.peek(id).partition;
        let first = batch.receipt.settle(Fate::Delivered { base, appended });
        if batch.count > 1 {
            of.limit.taken(batch.plain_len(), of.flow.batch_size, now);
        }
        if first {
            self.settings.observers.emit(|| Event::BatchDelivered {
                partition: &of.place,
                records: batch.count,
                bytes: batch.wire_len(),
                plain: batch.plain_len(),
                limit: of.flow.batch_size,
                queued: batch.first_sent.map_or(Duration::ZERO, |sent| {
                    sent.saturating_duration_since(batch.opened)
                }),
                elapsed: now.duration_since(batch.opened),
            });
        }
        // The charge is returned first, so that the bytes in use no longer include this buffer.
        drop(batch.charge);
        if let Some(buffer) = batch.sealed.and_then(SealedBatch::reclaim) {
            let used = self.shared.budget.used();
            self.shared.buffers.give(buffer, used);
        }
    }

    /// Fails the records of a batch. `refused` holds the records that have an error of their own.
    fn failed(
        &mut self,
        id: QueueId,
        batch: &Batch,
        error: Error,
        refused: Option<Vec<(u32, Error)>>,
    ) {
        let place = self.outlets.peek(id).partition.place.clone();
        let error = batch.failure(error, &place);
        let fate = match refused {
            Some(each) => Fate::Refused {
                rest: error.clone(),
                each: each
                    .into_iter()
                    .map(|(index, error)| (index, batch.failure(error, &place)))
                    .collect(),
            },
            None => Fate::Failed(error.clone()),
        };
        if batch.receipt.settle(fate) {
            self.report(id, [(batch.count, error)]);
        }
    }

    /// Fails the records of a batch that the broker refused, and sends the others again.
    fn send_rest(&mut self, id: QueueId, batch: Batch, error: Error, refused: Vec<(u32, Error)>) {
        let queue = self.outlets.get(id);
        let Some(rest) = parts::send_rest(queue, batch, error, refused, &self.sealer) else {
            return;
        };
        let error = rest.refused.1.clone();
        self.report(id, [rest.refused]);
        self.retried(id, rest.records, rest.attempts, &error);
        self.report(id, rest.failed);
        self.outlets.list(id);
    }

    /// Reports a batch that is sent again to the observers.
    fn retried(&self, id: QueueId, records: u32, attempts: u32, error: &Error) {
        let partition = &self.outlets.peek(id).partition.place;
        self.settings.observers.emit(|| Event::BatchRetried {
            partition,
            records,
            attempts,
            error,
        });
    }

    /// Reports records of a partition that were given up to the observers, and notes them for the
    /// log.
    fn report(&mut self, id: QueueId, failed: impl IntoIterator<Item = Failed>) {
        let place: &TopicPartition = &self.outlets.peek(id).partition.place;
        for (records, error) in failed {
            self.notices.give_up(records, place, &error);
            self.settings.observers.emit(|| Event::BatchFailed {
                partition: place,
                records,
                error: &error,
            });
        }
    }

    /// Notes why all partitions are held up.
    pub(super) fn blame_all(&mut self, error: &Error, now: Instant) {
        self.outlets
            .queues_mut()
            .for_each(|queue| queue.blame(error));
        self.notices.trouble(now);
    }

    /// Notes that records may be held up from now on.
    pub(super) fn trouble(&mut self, now: Instant) {
        self.notices.trouble(now);
    }

    /// Writes the log lines that are due.
    pub(super) fn write_notices(&mut self, now: Instant, wake: &mut Wake) {
        if self.outlets.take_lack() {
            self.notices.trouble(now);
        }
        let outlets = &self.outlets;
        let held_up = || outlets.queues().filter_map(Queue::held_up);
        if let Some(time) = self.notices.write(now, held_up) {
            wake.at(time);
        }
    }

    /// Ends the producer because the cluster was closed. No connection can be opened any more.
    pub(super) fn end_with_cluster(&mut self) {
        self.end(&closed("the client's cluster was closed"));
    }

    /// Fails all records without an outcome, and refuses new ones.
    pub(super) fn end(&mut self, error: &Error) -> GivenUp {
        let mut given_up = GivenUp::default();
        self.topics.registry().close(error);
        self.take_news();
        for id in self.outlets.ids() {
            let queue = self.outlets.get(id);
            let mut failed = queue.fail_all(error);
            failed.extend(queue.fail_open(error));
            for (records, error) in &failed {
                given_up.count(*records, error);
            }
            self.report(id, failed);
        }
        self.notices.write_given_up(Instant::now());
        given_up
    }
}
