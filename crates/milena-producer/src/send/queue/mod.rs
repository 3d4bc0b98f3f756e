//! The batches of one partition on the sender's side, waiting or in flight, and the choice of the
//! next one. This module decides and does not send.

use std::collections::VecDeque;
use std::sync::Arc;

use milena_core::{Error, ErrorKind, NodeId};
use tokio::time::Instant;

use crate::enqueue::partition::Partition;
use crate::network::LinkId;
use crate::rules::Rules;
use crate::send::batch::{Batch, Place};
use crate::send::notices::HeldUp;
use crate::send::sequence::{Identity, Sequences};

mod fate;

/// The batches of one partition that the sender has taken and that have no outcome yet.
pub(crate) struct Queue {
    /// The partition, shared with the callers.
    pub(crate) partition: Arc<Partition>,
    /// The connection that its batches go to. `None` while the partition has no leader.
    link: Option<LinkId>,
    /// The time at which the callers' open batch was opened. `None` if the sender knows of none.
    pub(crate) open_since: Option<Instant>,
    /// Batches to send, oldest first. A retried batch returns to its old place.
    waiting: VecDeque<Batch>,
    /// Batches sent and not answered, in send order. At most `Rules::in_flight`.
    flying: VecDeque<Batch>,
    /// The connection of the latest send. Only meaningful while `flying` is not empty.
    ///
    /// Invariant: nothing is sent on another connection until `flying` is empty. Two connections
    /// could otherwise deliver the batches of this partition in the wrong order.
    flying_at: Option<LinkId>,
    /// The number of the last place that was given out. Counts up only.
    numbers: u64,
    /// The sequences of the partition's batches. Unused without idempotence.
    sequences: Sequences,
    /// Nothing is sent before this time. Set by a retry. Cleared by a delivery or a new leader.
    not_before: Option<Instant>,
    /// The number of waits since the last delivery, from which the next backoff follows.
    failures: u32,
    /// The reason why nothing could be sent lately. `None` once something was delivered.
    trouble: Option<Error>,
    /// The time since which `trouble` lasts. `None` once something was delivered, or if nothing is
    /// left.
    troubled_since: Option<Instant>,
    /// The time since which the cluster reports that the topic does not exist. `None` while it does
    /// not report that.
    missing_since: Option<Instant>,
}

/// The thing that a partition may send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing waits, so the open batch may leave.
    Open,
    /// The waiting batch at this index.
    Send(usize),
    /// Nothing before this time.
    Not(Instant),
    /// Nothing before an answer, a compressed batch or a leader comes.
    Later,
    /// Nothing before the producer has an identity.
    NoIdentity,
    /// Nothing before the partition takes an identity other than this.
    Renew(Option<Identity>),
}

/// The effect of an answer on a batch.
#[derive(Debug)]
pub(crate) enum Settled {
    /// The batch is in the log.
    Delivered(Batch),
    /// The batch waits to be sent again, or its halves do.
    Retried {
        /// The number of times that it was sent.
        attempts: u32,
        /// The number of records that it holds.
        records: u32,
        /// The reason for the retry.
        error: Error,
    },
    /// The batch is given up.
    Failed(Batch, Error),
    /// The broker found the batch too large, and it has to be sent in parts.
    TooLarge(Batch, Error),
    /// The batch had its outcome before, so there is nothing to report.
    Gone,
}

impl Queue {
    pub(crate) fn new(partition: Arc<Partition>) -> Self {
        Self {
            partition,
            link: None,
            open_since: None,
            waiting: VecDeque::new(),
            flying: VecDeque::new(),
            flying_at: None,
            numbers: 0,
            sequences: Sequences::default(),
            not_before: None,
            failures: 0,
            trouble: None,
            troubled_since: None,
            missing_since: None,
        }
    }

    /// Returns the place for a batch that comes after all others.
    pub(crate) fn next_place(&mut self) -> Place {
        self.numbers += 1;
        Place {
            number: self.numbers,
            first: 0,
        }
    }

    /// Puts a batch into its place among the waiting ones.
    pub(crate) fn push(&mut self, batch: Batch) {
        let at = self
            .waiting
            .partition_point(|other| other.place < batch.place);
        self.waiting.insert(at, batch);
        self.tell_backlog(false);
    }

    /// Updates the count of waiting batches that callers read. `moved` is true if a batch has just
    /// left.
    fn tell_backlog(&self, moved: bool) {
        self.partition.backlog.set(self.waiting.len(), moved);
    }

    /// Returns the waiting batch at `place`, so that it can get its compressed body.
    pub(crate) fn waiting_mut(&mut self, place: Place) -> Option<&mut Batch> {
        self.waiting.iter_mut().find(|batch| batch.place == place)
    }

    /// Returns the connection that its batches go to. `None` while the partition has no leader.
    pub(crate) fn link(&self) -> Option<LinkId> {
        self.link
    }

    /// Notes the partition's leader. Returns true if it is another broker than before.
    pub(crate) fn led_by(&mut self, leader: Option<NodeId>) -> bool {
        if self.link.map(|link| link.node) == leader {
            return false;
        }
        self.link = leader.map(LinkId::first);
        true
    }

    /// Routes the partition to connection `number` of its leader. Takes effect once nothing is in
    /// flight on the old connection.
    pub(crate) fn go_by(&mut self, number: u8) {
        if let Some(link) = &mut self.link {
            link.number = number;
        }
    }

    /// Returns true if a batch waits or is in flight.
    pub(crate) fn is_loaded(&self) -> bool {
        !(self.waiting.is_empty() && self.flying.is_empty())
    }

    /// Returns true if a batch waits to be sent.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns the bytes on the wire of the waiting batch at `at`.
    pub(crate) fn waiting_len(&self, at: usize) -> usize {
        self.waiting.get(at).map_or(0, Batch::wire_len)
    }

    /// Notes why nothing can be sent, as the cause of the error of records whose time runs out.
    pub(crate) fn blame(&mut self, error: &Error) {
        self.trouble = Some(error.clone());
        self.troubled_since.get_or_insert_with(Instant::now);
    }

    /// Notes that the partition has no leader, unless another reason is noted already.
    pub(crate) fn lacks_leader(&mut self) {
        self.trouble.get_or_insert_with(|| {
            Error::new(ErrorKind::State, "the partition has no known leader")
        });
        self.troubled_since.get_or_insert_with(Instant::now);
    }

    /// Forgets why earlier records could not be sent. Called when a record comes after all earlier
    /// ones had their outcome.
    pub(crate) fn starts(&mut self) {
        self.trouble = None;
        self.troubled_since = None;
        self.missing_since = None;
    }

    /// Returns what the log says about this partition, if records are held up.
    pub(crate) fn held_up(&self) -> Option<HeldUp<'_>> {
        let (since, error) = (self.troubled_since?, self.trouble.as_ref()?);
        (!self.is_idle()).then(|| HeldUp {
            leader: self.link.map(|link| link.node),
            since,
            place: &self.partition.place,
            error,
        })
    }

    /// Notes whether the cluster reports that the topic does not exist.
    pub(crate) fn missing(&mut self, missing: bool, now: Instant) {
        if missing {
            self.missing_since.get_or_insert(now);
        } else {
            self.missing_since = None;
        }
    }

    /// Fails a waiting batch that could not be sealed.
    pub(crate) fn remove(&mut self, place: Place, error: Error) -> Option<(u32, Error)> {
        let at = self.waiting.iter().position(|batch| batch.place == place)?;
        let batch = self.waiting.remove(at)?;
        if batch.stamp.is_some() {
            self.sequences.lost();
        }
        self.tell_backlog(false);
        batch.fail(error, &self.partition.place)
    }

    /// Returns true if no batch is open, waits, or is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.flying.is_empty() && self.open_since.is_none()
    }

    /// Returns all batches without an outcome, in order.
    pub(crate) fn unsettled(&self) -> impl Iterator<Item = &Batch> {
        let all = self.flying.iter().chain(&self.waiting);
        all.filter(|batch| !batch.receipt.is_settled())
    }

    /// Returns the time at which the delivery timeout of the oldest record ends.
    pub(crate) fn deadline(&self, rules: &Rules) -> Option<Instant> {
        let oldest = self.unsettled().map(|batch| batch.opened);
        let oldest = oldest.chain(self.open_since).min()?;
        Some(oldest + rules.delivery_timeout)
    }

    /// Ends the backoff early, since there is news of the leader.
    pub(crate) fn hurry(&mut self) {
        self.not_before = None;
    }

    /// Decides what may be sent to the leader now. `current` is the producer's identity, if it has
    /// one.
    pub(crate) fn next(&self, now: Instant, rules: &Rules, current: Option<Identity>) -> Next {
        if let Some(time) = self.not_before
            && time > now
        {
            return Next::Not(time);
        }
        // Answers on the old connection come first. Otherwise a retry could be overtaken on the new
        // one.
        let elsewhere = !self.flying.is_empty() && self.flying_at != self.link;
        if self.link.is_none() || elsewhere || self.flying.len() >= self.limit(rules) {
            return Next::Later;
        }
        if rules.idempotent {
            if self.sequences.has_gap() {
                return self.heal();
            }
            // A retried batch has its range, and is sent again with it whatever the producer's
            // identity is now. Only a batch without a range needs room and an identity.
            let stamped = self
                .waiting
                .front()
                .is_some_and(|batch| batch.stamp.is_some());
            if !stamped {
                if let Some(oldest) = self.flying.iter().map(|batch| batch.range).min()
                    && !self.sequences.has_room(oldest)
                {
                    return Next::Later;
                }
                match (self.sequences.identity(), current) {
                    (_, None) => return Next::NoIdentity,
                    // The partition takes a new identity once no batch of the old one is
                    // unanswered.
                    (own, Some(_)) if own != current && self.flying.is_empty() => {
                        return Next::Renew(own);
                    }
                    _ => {}
                }
            }
        }
        match self.waiting.front() {
            None => Next::Open,
            Some(batch) if batch.sealed.is_none() => Next::Later,
            Some(_) => Next::Send(0),
        }
    }

    /// Decides what is sent after a gap in the sequences.
    ///
    /// First the batches in doubt are sent again as they were, one by one. The answers show whether
    /// they are in the log. Then the partition takes a new epoch.
    fn heal(&self) -> Next {
        if !self.flying.is_empty() {
            return Next::Later;
        }
        let doubtful = |batch: &Batch| batch.doubt && batch.stamp.is_some();
        match self.waiting.iter().position(doubtful) {
            // It is one part of a batch that is being rebuilt.
            Some(at)
                if self
                    .waiting
                    .get(at)
                    .is_none_or(|batch| batch.sealed.is_none()) =>
            {
                Next::Later
            }
            Some(at) => Next::Send(at),
            None => Next::Renew(self.sequences.identity()),
        }
    }

    /// Returns the most batches in flight now.
    fn limit(&self, rules: &Rules) -> usize {
        if rules.idempotent {
            self.sequences.in_flight(rules.in_flight)
        } else {
            rules.in_flight
        }
    }

    /// Takes a new identity. The waiting batches are numbered again from zero.
    pub(crate) fn begin(&mut self, identity: Identity) {
        self.sequences.begin(identity);
        self.waiting.iter_mut().for_each(|batch| batch.stamp = None);
    }

    /// Moves the waiting batch at `at` into flight, and gives it a sequence range if it has none.
    pub(crate) fn launch(&mut self, at: usize, rules: &Rules) -> Option<&mut Batch> {
        let mut batch = self.waiting.remove(at)?;
        self.tell_backlog(true);
        if rules.idempotent && batch.stamp.is_none() {
            batch.range = self.sequences.ranges();
            batch.stamp = self.sequences.stamp(batch.count);
        }
        batch.attempts += 1;
        self.flying_at = self.link;
        // Only a batch in doubt overtakes others, and it is alone in flight.
        self.flying.push_back(batch);
        self.flying.back_mut()
    }
}

#[cfg(test)]
mod tests;
