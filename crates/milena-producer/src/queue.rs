//! One partition on the sender's side: what waits, what is in flight, and what may go next. Decides; does not send.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Backoff, Error, ErrorKind, NodeId};
use tokio::time::Instant;

use crate::batch::{Batch, Place};
use crate::partition::Partition;
use crate::sequence::{Identity, Sequences};
use crate::verdict::{Verdict, timed_out};

/// The batches of one partition, in order.
pub(crate) struct Queue {
    pub(crate) partition: Arc<Partition>,
    /// Where its batches go; `None` while nobody leads it.
    pub(crate) leader: Option<NodeId>,
    /// When the callers' open batch was opened, if the sender knows of one.
    pub(crate) open_since: Option<Instant>,
    waiting: VecDeque<Batch>,
    flying: VecDeque<Batch>,
    flying_at: Option<NodeId>,
    numbers: u64,
    sequences: Sequences,
    not_before: Option<Instant>,
    failures: u32,
    /// Why nothing could be sent lately.
    trouble: Option<Error>,
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
            leader: None,
            open_since: None,
            waiting: VecDeque::new(),
            flying: VecDeque::new(),
            flying_at: None,
            numbers: 0,
            sequences: Sequences::default(),
            not_before: None,
            failures: 0,
            trouble: None,
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
    }

    /// As [`blame`](Self::blame), where nothing worse is known.
    pub(crate) fn lacks_leader(&mut self) {
        self.trouble
            .get_or_insert_with(|| Error::new(ErrorKind::State, "no leader of it is known"));
    }

    /// Fails a batch that cannot be closed.
    pub(crate) fn remove(&mut self, place: Place, error: Error) -> Option<(u32, Error)> {
        let at = self.waiting.iter().position(|batch| batch.place == place)?;
        let batch = self.waiting.remove(at)?;
        self.tell_backlog(false);
        let error = batch.failure(error, &self.partition.place);
        batch.fail(error.clone()).then_some((batch.count, error))
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
        // Answers of the old leader come first, or a retry could be overtaken on the new one.
        let elsewhere = !self.flying.is_empty() && self.flying_at != self.leader;
        if self.leader.is_none() || elsewhere || self.flying.len() >= self.limit(rules) {
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
            batch.stamp = self.sequences.stamp(batch.count);
        }
        batch.attempts += 1;
        self.flying_at = self.leader;
        // Only a doubtful batch overtakes others, and it flies alone.
        self.flying.push_back(batch);
        self.flying.back_mut()
    }

    /// Takes note of an answer for the batch at `place`.
    pub(crate) fn answer(
        &mut self,
        place: Place,
        verdict: Verdict,
        now: Instant,
        rules: &Rules,
    ) -> Settled {
        let Some(at) = self.flying.iter().position(|batch| batch.place == place) else {
            return Settled::Gone;
        };
        let Some(mut batch) = self.flying.remove(at) else {
            return Settled::Gone;
        };
        match verdict.of_batch(batch.doubt) {
            Verdict::Delivered | Verdict::Duplicate(_) => {
                self.sequences.acknowledged();
                self.failures = 0;
                self.not_before = None;
                self.trouble = None;
                Settled::Delivered(batch)
            }
            Verdict::Retry { error, doubt, .. } => {
                batch.doubt |= doubt;
                self.retry(batch, error, now, rules)
            }
            Verdict::OutOfOrder(error) | Verdict::Forgotten(error) => {
                let same = batch.stamp.map(|stamp| (stamp.id, stamp.epoch))
                    == self.sequences.identity().map(|own| (own.id, own.epoch));
                let mut others = self.flying.iter().chain(&self.waiting);
                let oldest = same && others.all(|other| other.place > place);
                if batch.suspect && (oldest || self.sequences.has_gap()) {
                    // Perhaps since the whole that it was cut from is in the log.
                    batch.doubt = true;
                    return self.give_up(batch, error);
                }
                // It answers for earlier attempts as well: the broker knows the last five batches.
                batch.doubt &= batch.suspect;
                if oldest {
                    self.sequences.lost();
                }
                self.retry(batch, error, now, rules)
            }
            Verdict::TooLarge(error) => {
                self.sequences.stumbled();
                Settled::TooLarge(batch, error)
            }
            Verdict::Fail { error, doubt } => {
                batch.doubt |= doubt;
                self.give_up(batch, error)
            }
        }
    }

    /// Gives up a batch that [`Settled::TooLarge`] handed out and that cannot be split.
    pub(crate) fn give_up(&mut self, batch: Batch, error: Error) -> Settled {
        if batch.stamp.is_some() {
            self.sequences.lost();
        }
        if batch.receipt.is_settled() {
            return Settled::Gone;
        }
        Settled::Failed(batch, error)
    }

    fn retry(&mut self, batch: Batch, error: Error, now: Instant, rules: &Rules) -> Settled {
        self.sequences.stumbled();
        if batch.receipt.is_settled() || batch.attempts > rules.retries {
            return self.give_up(batch, error);
        }
        // Of several that fail together the first one's wait counts.
        if self.not_before.is_none_or(|time| time <= now) {
            self.not_before = Some(now + rules.backoff.delay(self.failures));
            self.failures = self.failures.saturating_add(1);
        }
        self.trouble = Some(error.clone());
        let (attempts, records) = (batch.attempts, batch.count);
        self.push(batch);
        Settled::Retried {
            attempts,
            records,
            error,
        }
    }

    /// Takes out the waiting batches whose time is up, and settles those in flight, which stay until their answer comes: only it
    /// tells whether their sequence range was used.
    pub(crate) fn expire(&mut self, now: Instant, rules: &Rules) -> Vec<(u32, Error)> {
        let due = |batch: &Batch| batch.opened + rules.delivery_timeout <= now;
        let mut failed = Vec::new();
        for batch in self.flying.iter_mut().filter(|batch| due(batch)) {
            batch.doubt = true;
            let error = timed_out(
                batch.attempts,
                rules.delivery_timeout,
                self.trouble.as_ref(),
            );
            let error = batch.failure(error, &self.partition.place);
            if batch.fail(error.clone()) {
                failed.push((batch.count, error));
            }
        }
        while let Some(batch) = self.waiting.pop_front_if(|batch| due(batch)) {
            if batch.stamp.is_some() {
                self.sequences.lost();
            }
            let error = timed_out(
                batch.attempts,
                rules.delivery_timeout,
                self.trouble.as_ref(),
            );
            let error = batch.failure(error, &self.partition.place);
            if batch.fail(error.clone()) {
                failed.push((batch.count, error));
            }
        }
        self.tell_backlog(false);
        failed
    }

    /// The error of records that were never sent within `timeout`.
    pub(crate) fn unsent(&self, timeout: Duration) -> Error {
        timed_out(0, timeout, self.trouble.as_ref())
    }

    /// Fails all that has no fate yet.
    pub(crate) fn fail_all(&mut self, error: &Error) -> Vec<(u32, Error)> {
        self.open_since = None;
        let mut failed = Vec::new();
        for batch in self.flying.iter_mut() {
            batch.doubt = true;
        }
        for batch in self.flying.drain(..).chain(self.waiting.drain(..)) {
            let error = batch.failure(error.clone(), &self.partition.place);
            if batch.fail(error.clone()) {
                failed.push((batch.count, error));
            }
        }
        self.tell_backlog(false);
        failed
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
