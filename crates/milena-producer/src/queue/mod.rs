//! One partition on the sender's side: what waits, what is in flight, and what may go next. Decides; does not send.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Backoff, Error, ErrorKind, NodeId};
use tokio::time::Instant;

use crate::batch::{Batch, Place};
use crate::network::LinkId;
use crate::notices::HeldUp;
use crate::partition::Partition;
use crate::sequence::{Identity, Sequences};

mod fate;

/// The batches of one partition, in order.
pub(crate) struct Queue {
    pub(crate) partition: Arc<Partition>,
    /// Where its batches go; `None` while nobody leads it.
    link: Option<LinkId>,
    /// When the callers' open batch was opened, if the sender knows of one.
    pub(crate) open_since: Option<Instant>,
    waiting: VecDeque<Batch>,
    flying: VecDeque<Batch>,
    flying_at: Option<LinkId>,
    numbers: u64,
    sequences: Sequences,
    not_before: Option<Instant>,
    failures: u32,
    /// Why nothing could be sent lately.
    trouble: Option<Error>,
    /// Since when; `None` once something was delivered, or nothing is left.
    troubled_since: Option<Instant>,
    /// Since when the cluster says that the topic is not there; `None` where it does not.
    missing_since: Option<Instant>,
}

/// The rules that a producer's settings make for all partitions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) idempotent: bool,
    /// The most batches in flight per partition.
    pub(crate) in_flight: usize,
    pub(crate) delivery_timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) backoff: Backoff,
    /// How long the cluster may say that a topic is not there before its records are given up.
    pub(crate) missing_topic: Duration,
}

/// What a partition may send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing waits: an open batch may go.
    Open,
    /// The waiting batch at this index.
    Send(usize),
    /// Nothing before this time.
    Not(Instant),
    /// Nothing before an answer, a compressed batch or a leader comes.
    Later,
    /// Nothing before the producer has an identity.
    NoIdentity,
    /// Nothing before the partition takes up another identity than this.
    Renew(Option<Identity>),
}

/// What an answer did to a batch.
#[derive(Debug)]
pub(crate) enum Settled {
    /// It is in the log.
    Delivered(Batch),
    /// It waits to be sent again; so often it was sent, and so many records it holds.
    Retried {
        attempts: u32,
        records: u32,
        error: Error,
    },
    /// It is given up.
    Failed(Batch, Error),
    /// It is to be sent in parts.
    TooLarge(Batch, Error),
    /// Nothing to tell: it had its fate before.
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

    /// The place for a batch that comes after all others.
    pub(crate) fn next_place(&mut self) -> Place {
        self.numbers += 1;
        Place {
            number: self.numbers,
            first: 0,
        }
    }

    /// Puts a batch in its place.
    pub(crate) fn push(&mut self, batch: Batch) {
        let at = self
            .waiting
            .partition_point(|other| other.place < batch.place);
        self.waiting.insert(at, batch);
        self.tell_backlog(false);
    }

    /// Lets callers know what waits here.
    fn tell_backlog(&self, moved: bool) {
        self.partition.backlog.set(self.waiting.len(), moved);
    }

    /// The waiting batch at `place`, to be given its compressed body.
    pub(crate) fn waiting_mut(&mut self, place: Place) -> Option<&mut Batch> {
        self.waiting.iter_mut().find(|batch| batch.place == place)
    }

    /// Where its batches go; `None` while nobody leads it.
    pub(crate) fn link(&self) -> Option<LinkId> {
        self.link
    }

    /// Takes note of who leads the partition now; true when that is another broker than before.
    pub(crate) fn led_by(&mut self, leader: Option<NodeId>) -> bool {
        if self.link.map(|link| link.node) == leader {
            return false;
        }
        self.link = leader.map(LinkId::first);
        true
    }

    /// Has its batches go by the leader's connection of this number, as soon as nothing is in flight on another.
    pub(crate) fn go_by(&mut self, number: u8) {
        if let Some(link) = &mut self.link {
            link.number = number;
        }
    }

    /// Whether a batch waits or is in flight.
    pub(crate) fn is_loaded(&self) -> bool {
        !(self.waiting.is_empty() && self.flying.is_empty())
    }

    /// Whether a batch waits to be sent.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The bytes on the wire of the waiting batch at `at`.
    pub(crate) fn waiting_len(&self, at: usize) -> usize {
        self.waiting.get(at).map_or(0, Batch::wire_len)
    }

    /// Notes why nothing can be sent, for the error of records whose time runs out.
    pub(crate) fn blame(&mut self, error: &Error) {
        self.trouble = Some(error.clone());
        self.troubled_since.get_or_insert_with(Instant::now);
    }

    /// As [`blame`](Self::blame), where nothing worse is known.
    pub(crate) fn lacks_leader(&mut self) {
        self.trouble
            .get_or_insert_with(|| Error::new(ErrorKind::State, "no leader of it is known"));
        self.troubled_since.get_or_insert_with(Instant::now);
    }

    /// Notes that records come after none were left: what troubled earlier ones says nothing of these.
    pub(crate) fn starts(&mut self) {
        self.trouble = None;
        self.troubled_since = None;
        self.missing_since = None;
    }

    /// What is held up here, if anything is.
    pub(crate) fn held_up(&self) -> Option<HeldUp<'_>> {
        let (since, error) = (self.troubled_since?, self.trouble.as_ref()?);
        (!self.is_idle()).then(|| HeldUp {
            leader: self.link.map(|link| link.node),
            since,
            place: &self.partition.place,
            error,
        })
    }

    /// Notes whether the cluster says that the topic is not there.
    pub(crate) fn missing(&mut self, missing: bool, now: Instant) {
        if missing {
            self.missing_since.get_or_insert(now);
        } else {
            self.missing_since = None;
        }
    }

    /// Fails a batch that cannot be closed.
    pub(crate) fn remove(&mut self, place: Place, error: Error) -> Option<(u32, Error)> {
        let at = self.waiting.iter().position(|batch| batch.place == place)?;
        let batch = self.waiting.remove(at)?;
        if batch.stamp.is_some() {
            self.sequences.lost();
        }
        self.tell_backlog(false);
        batch.fail(error, &self.partition.place)
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.flying.is_empty() && self.open_since.is_none()
    }

    /// All batches without a fate, in order.
    pub(crate) fn unsettled(&self) -> impl Iterator<Item = &Batch> {
        let all = self.flying.iter().chain(&self.waiting);
        all.filter(|batch| !batch.receipt.is_settled())
    }

    /// When the oldest record's time is up.
    pub(crate) fn deadline(&self, rules: &Rules) -> Option<Instant> {
        let oldest = self.unsettled().map(|batch| batch.opened);
        let oldest = oldest.chain(self.open_since).min()?;
        Some(oldest + rules.delivery_timeout)
    }

    /// Lets the partition go on before its backoff ends, since there is news of its leader.
    pub(crate) fn hurry(&mut self) {
        self.not_before = None;
    }

    /// What may be sent to the leader now.
    pub(crate) fn next(&self, now: Instant, rules: &Rules, current: Option<Identity>) -> Next {
        if let Some(time) = self.not_before
            && time > now
        {
            return Next::Not(time);
        }
        // Answers on the old connection come first, or a retry could be overtaken on the new one.
        let elsewhere = !self.flying.is_empty() && self.flying_at != self.link;
        if self.link.is_none() || elsewhere || self.flying.len() >= self.limit(rules) {
            return Next::Later;
        }
        if rules.idempotent {
            if self.sequences.has_gap() {
                return self.heal();
            }
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
                    // A new identity is taken up when nothing of the old one is without an answer.
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

    /// After a gap: first the batches in doubt are sent again as they were, one by one, which tells whether they are in the log;
    /// then a new epoch.
    fn heal(&self) -> Next {
        if !self.flying.is_empty() {
            return Next::Later;
        }
        let doubtful = |batch: &Batch| batch.doubt && batch.stamp.is_some();
        match self.waiting.iter().position(doubtful) {
            // A part of one that is being built anew.
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

    fn limit(&self, rules: &Rules) -> usize {
        if rules.idempotent {
            self.sequences.in_flight(rules.in_flight)
        } else {
            rules.in_flight
        }
    }

    /// Takes up a new identity: what waits is numbered anew from zero.
    pub(crate) fn begin(&mut self, identity: Identity) {
        self.sequences.begin(identity);
        self.waiting.iter_mut().for_each(|batch| batch.stamp = None);
    }

    /// Moves the waiting batch at `at` into flight, with its sequence range.
    pub(crate) fn launch(&mut self, at: usize, rules: &Rules) -> Option<&mut Batch> {
        let mut batch = self.waiting.remove(at)?;
        self.tell_backlog(true);
        if rules.idempotent && batch.stamp.is_none() {
            batch.range = self.sequences.ranges();
            batch.stamp = self.sequences.stamp(batch.count);
        }
        batch.attempts += 1;
        self.flying_at = self.link;
        // Only a doubtful batch overtakes others, and it flies alone.
        self.flying.push_back(batch);
        self.flying.back_mut()
    }
}

#[cfg(test)]
mod tests;
