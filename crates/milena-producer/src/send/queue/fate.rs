//! The effects of answers, and of time, on the batches of a partition.

use std::time::Duration;

use milena_core::Error;
use tokio::time::Instant;

use super::{Queue, Settled};
use crate::rules::Rules;
use crate::send::batch::{Batch, Place};
use crate::send::verdict::{Verdict, is_missing, missing_topic, timed_out};

impl Queue {
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
                self.trouble = None;
                self.troubled_since = None;
                self.missing_since = None;
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
        self.trouble = Some(error.clone());
        self.troubled_since.get_or_insert(now);
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
        let since = self.missing_since;
        since.is_some_and(|since| now.saturating_duration_since(since) >= rules.missing_topic)
    }

    /// Takes out the waiting batches whose time is up, and settles those in flight. The latter stay
    /// until their answer comes, since only it shows whether their sequence range was used.
    pub(crate) fn expire(&mut self, now: Instant, rules: &Rules) -> Vec<(u32, Error)> {
        let (timeout, trouble) = (rules.delivery_timeout, self.trouble.as_ref());
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

    /// Returns the error for records that were never sent within `timeout`.
    pub(crate) fn unsent(&self, timeout: Duration) -> Error {
        timed_out(0, timeout, self.trouble.as_ref())
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
