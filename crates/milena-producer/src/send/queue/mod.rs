//! The batches of one partition on the sender's side, waiting or in flight, and the choice of the
//! next one. This module decides and does not send.

use std::collections::VecDeque;
use std::sync::Arc;

use milena_core::{Error, NodeId, Persistence};
use tokio::time::Instant;

use crate::delivery::Fate;
use crate::enqueue::partition::{OpenBatch, Partition};
use crate::network::LinkId;
use crate::rules::Rules;
use crate::send::batch::{Batch, Place};
use crate::send::identity::Identity;
use crate::send::notices::HeldUp;
use crate::send::sequence::Sequences;
use crate::send::verdict::{Verdict, is_missing, missing_topic, timed_out};

use id::QueueId;
use step::{Next, Settled};
use trouble::Trouble;

pub(crate) mod id;
pub(crate) mod step;
mod trouble;

/// The batches of one partition that the sender has taken and that have no outcome yet.
pub(crate) struct Queue {
    /// The name of this queue.
    id: QueueId,
    /// The partition, shared with the callers.
    pub(crate) partition: Arc<Partition>,
    /// The connection that its batches go to. `None` while the partition has no leader.
    link: Option<LinkId>,
    /// The time at which the callers' open batch was opened. `None` if the sender knows of none.
    open_since: Option<Instant>,
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
    /// The reasons why nothing can be sent, for the errors of its records and for the log.
    trouble: Trouble,
}

impl Queue {
    pub(crate) fn new(id: QueueId, partition: Arc<Partition>) -> Self {
        Self {
            id,
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
            trouble: Trouble::default(),
        }
    }

    /// Returns the name of this queue.
    pub(crate) fn id(&self) -> QueueId {
        self.id
    }

    /// Returns the rules of the partition's topic.
    pub(crate) fn rules(&self) -> Rules {
        self.partition.flow.rules
    }

    /// Returns the time at which the callers' open batch was opened. `None` if the send task knows
    /// of none.
    pub(crate) fn open_since(&self) -> Option<Instant> {
        self.open_since
    }

    /// Returns true if the partition has, or may have, something to send.
    pub(crate) fn wants_turn(&self) -> bool {
        self.has_waiting() || self.open_since.is_some()
    }

    /// Takes the full batches of the callers, and notes since when one is open.
    pub(crate) fn collect(&mut self) -> Vec<OpenBatch> {
        if self.is_idle() {
            self.starts();
        }
        let mut full = Vec::new();
        self.open_since = self.partition.collect(&mut full);
        full
    }

    /// Forgets why earlier records could not be sent. Called when a record comes after all earlier
    /// ones had their outcome.
    fn starts(&mut self) {
        self.trouble = Trouble::default();
    }

    /// Takes the callers' open batch, or the oldest full one if they have filled one meanwhile.
    pub(crate) fn take_open(&mut self) -> Option<OpenBatch> {
        self.open_since = None;
        self.partition.take_open()
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
        self.trouble.note(error.clone(), Instant::now());
    }

    /// Notes that the partition has no leader, unless another reason is noted already.
    pub(crate) fn lacks_leader(&mut self) {
        self.trouble.lacks_leader(Instant::now());
    }

    /// Returns what the log says about this partition, if records are held up.
    pub(crate) fn held_up(&self) -> Option<HeldUp<'_>> {
        let (since, error) = self.trouble.present()?;
        (!self.is_idle()).then(|| HeldUp {
            leader: self.link.map(|link| link.node),
            since,
            place: &self.partition.place,
            error,
        })
    }

    /// Notes whether the cluster reports that the topic does not exist.
    pub(crate) fn missing(&mut self, missing: bool, now: Instant) {
        self.trouble.missing(missing, now);
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

    /// Handles an answer for the batch at `place`.
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
                self.trouble = Trouble::default();
                Settled::Delivered(batch)
            }
            Verdict::Retry { error, doubt, .. } => {
                batch.doubt |= doubt;
                // An error of this side says nothing about the topic. Only a broker's code does.
                if let Some(code) = error.code() {
                    self.missing(is_missing(code), now);
                }
                self.retry(batch, error, now, rules)
            }
            Verdict::OutOfOrder(error) | Verdict::Forgotten(error) => {
                // The error of a batch under an older identity says nothing about the current
                // sequences.
                let same = batch.stamp.map(|stamp| (stamp.id, stamp.epoch))
                    == self.sequences.identity().map(|own| (own.id, own.epoch));
                let mut others = self.flying.iter().chain(&self.waiting);
                let oldest = same && others.all(|other| other.place > place);
                if batch.suspect && (oldest || self.sequences.has_gap()) {
                    // The broker may have written the batch that this one was split from, which
                    // would explain the refusal. The outcome stays in doubt.
                    batch.doubt = true;
                    return self.give_up(batch, error);
                }
                // The broker remembers the last five batches, so this refusal also proves that no
                // earlier attempt was written.
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

    /// Notes that a batch which [`Settled::TooLarge`] handed out comes back as two parts.
    pub(crate) fn parted(&mut self) {
        self.sequences.parted();
    }

    /// Gives up a batch that cannot be sent again. If it had a sequence range, only a new epoch can
    /// go on.
    pub(crate) fn give_up(&mut self, batch: Batch, error: Error) -> Settled {
        if batch.stamp.is_some() {
            self.sequences.lost();
        }
        if batch.receipt.is_settled() {
            return Settled::Gone;
        }
        Settled::Failed(batch, error)
    }

    /// Puts a batch back among the waiting ones, or gives it up if it has no attempt left.
    fn retry(&mut self, batch: Batch, error: Error, now: Instant, rules: &Rules) -> Settled {
        self.sequences.stumbled();
        if batch.receipt.is_settled() || batch.attempts > rules.retries {
            return self.give_up(batch, error);
        }
        // If several batches fail together, only the first one sets the wait.
        if self.not_before.is_none_or(|time| time <= now) {
            self.not_before = Some(now + rules.backoff.delay(self.failures));
            self.failures = self.failures.saturating_add(1);
        }
        self.trouble.note(error.clone(), now);
        let (attempts, records) = (batch.attempts, batch.count);
        self.push(batch);
        Settled::Retried {
            attempts,
            records,
            error,
        }
    }

    /// Takes back a batch that its connection did not accept, since too many requests are
    /// unanswered on it. This does not count as an attempt.
    pub(crate) fn take_back(&mut self, place: Place, now: Instant, rules: &Rules) {
        let at = self.flying.iter().position(|batch| batch.place == place);
        let Some(mut batch) = at.and_then(|at| self.flying.remove(at)) else {
            return;
        };
        batch.attempts = batch.attempts.saturating_sub(1);
        if batch.receipt.is_settled() {
            if batch.stamp.is_some() {
                self.sequences.lost();
            }
            return;
        }
        self.not_before = Some(now + rules.backoff.delay(0));
        self.push(batch);
    }

    /// Gives up the waiting batches once the cluster has reported for long enough that the topic
    /// does not exist. Batches in flight wait for their answer.
    pub(crate) fn give_up_missing(&mut self, now: Instant, rules: &Rules) -> Vec<(u32, Error)> {
        if !self.is_missing(now, rules) {
            return Vec::new();
        }
        let error = missing_topic(&self.partition.place, rules.missing_topic);
        let mut failed = Vec::new();
        for batch in std::mem::take(&mut self.waiting) {
            if batch.stamp.is_some() {
                self.sequences.lost();
            }
            failed.extend(batch.fail(error.clone(), &self.partition.place));
        }
        self.tell_backlog(false);
        failed
    }

    /// Returns true if the cluster has reported for long enough that the topic does not exist.
    pub(crate) fn is_missing(&self, now: Instant, rules: &Rules) -> bool {
        self.trouble.is_missing_for(rules.missing_topic, now)
    }

    /// Takes out the waiting batches whose time is up, and settles those in flight. The latter stay
    /// until their answer comes, since only it shows whether their sequence range was used.
    pub(crate) fn expire(&mut self, now: Instant, rules: &Rules) -> Vec<(u32, Error)> {
        let (timeout, trouble) = (rules.delivery_timeout, self.trouble.error());
        let due = |batch: &Batch| batch.opened + timeout <= now;
        let place = &self.partition.place;
        let fail = |batch: &Batch| batch.fail(timed_out(batch.attempts, timeout, trouble), place);
        let mut failed = Vec::new();
        for batch in self.flying.iter_mut().filter(|batch| due(batch)) {
            batch.doubt = true;
            failed.extend(fail(batch));
        }
        while let Some(batch) = self.waiting.pop_front_if(|batch| due(batch)) {
            if batch.stamp.is_some() {
                self.sequences.lost();
            }
            failed.extend(fail(&batch));
        }
        self.tell_backlog(false);
        failed
    }

    /// Fails the callers' open batch if its time is up. Returns the records that fail, and their
    /// error.
    pub(crate) fn expire_open(&mut self, now: Instant, rules: &Rules) -> Option<(u32, Error)> {
        let timeout = rules.delivery_timeout;
        self.open_since.filter(|opened| *opened + timeout <= now)?;
        // The time is noted as long as no batch was there to take, so that the caller looks again.
        let batch = self.partition.take_open()?;
        self.open_since = None;
        let error = timed_out(0, timeout, self.trouble.error());
        Some(fail_open(&batch, error.at(&self.partition.place)))
    }

    /// Gives up all batches of the callers, after those of
    /// [`give_up_missing`](Self::give_up_missing).
    pub(crate) fn give_up_missing_open(&mut self, rules: &Rules) -> Vec<(u32, Error)> {
        self.open_since = None;
        let error = missing_topic(&self.partition.place, rules.missing_topic);
        let mut failed = Vec::new();
        while let Some(batch) = self.partition.take_open() {
            failed.push(fail_open(&batch, error.clone()));
        }
        failed
    }

    /// Fails all batches that callers have placed and the send task has not taken.
    pub(crate) fn fail_open(&mut self, error: &Error) -> Vec<(u32, Error)> {
        let mut left = Vec::new();
        self.partition.collect(&mut left);
        left.extend(self.partition.take_open());
        let error = error.clone().at(&self.partition.place);
        let fail = |batch: &OpenBatch| fail_open(batch, error.clone());
        left.iter().map(fail).collect()
    }

    /// Fails all batches that have no outcome yet.
    pub(crate) fn fail_all(&mut self, error: &Error) -> Vec<(u32, Error)> {
        self.open_since = None;
        let mut failed = Vec::new();
        for batch in self.flying.iter_mut() {
            batch.doubt = true;
        }
        for batch in self.flying.drain(..).chain(self.waiting.drain(..)) {
            failed.extend(batch.fail(error.clone(), &self.partition.place));
        }
        self.tell_backlog(false);
        failed
    }
}

/// Fails the records of a batch that was never sent. Returns their number and their error.
fn fail_open(batch: &OpenBatch, error: Error) -> (u32, Error) {
    let error = error.with_persistence(Persistence::NotWritten);
    batch.receipt.settle(Fate::Failed(error.clone()));
    (batch.builder.count(), error)
}

#[cfg(test)]
mod tests;
