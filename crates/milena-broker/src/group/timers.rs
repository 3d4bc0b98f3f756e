//! The times at which a classic group acts without a request. Ids of members expire, and phases of
//! a rebalance end.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// The timers of a group, except for the sessions of its members.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    /// The ids of members that must come back with them, and the time at which each is dropped
    /// (KIP-394).
    pending: HashMap<String, Instant>,
    /// The time at which the present phase ends without the missing members. `None` outside of a
    /// rebalance.
    phase_ends: Option<Instant>,
    /// The delay of an empty group's first rebalance. `None` otherwise.
    first_wait: Option<FirstWait>,
}

/// The initial rebalance delay. Each new member extends it, up to the rebalance timeout.
#[derive(Clone, Copy, Debug)]
struct FirstWait {
    /// The time at which the delay ends.
    until: Instant,
    /// The latest time that it can be extended to.
    at_most: Instant,
    /// The time that each new member adds.
    step: Duration,
}

impl Timers {
    /// Returns the earliest of all times.
    pub(super) fn next(&self) -> Option<Instant> {
        let pending = self.pending.values().copied();
        pending
            .chain(self.first_wait.map(|wait| wait.until))
            .chain(self.phase_ends)
            .min()
    }

    /// Waits until `until` for a member to come back with the id that it was given.
    pub(super) fn expect(&mut self, id: String, until: Instant) {
        self.pending.insert(id, until);
    }

    /// Ends the wait for an id. Returns true if it was awaited.
    pub(super) fn arrived(&mut self, id: &str) -> bool {
        self.pending.remove(id).is_some()
    }

    /// Returns true if ids of members are awaited.
    pub(super) fn expects(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Drops the ids that did not come back by `now`. Returns true if there were any.
    pub(super) fn drop_late(&mut self, now: Instant) -> bool {
        let before = self.pending.len();
        self.pending.retain(|_, until| *until > now);
        self.pending.len() < before
    }

    /// Drops all ids that are awaited.
    pub(super) fn drop_all(&mut self) {
        self.pending.clear();
    }

    /// Lets the present phase end at `end`.
    pub(super) fn begin_phase(&mut self, end: Instant) {
        self.phase_ends = Some(end);
    }

    /// Ends the present phase.
    pub(super) fn end_phase(&mut self) {
        self.phase_ends = None;
    }

    /// Returns true if the time of the present phase is over.
    pub(super) fn phase_is_over(&self, now: Instant) -> bool {
        self.phase_ends.is_some_and(|end| end <= now)
    }

    /// Delays the first rebalance of a group by `delay`. Further members extend that, up to
    /// `timeout` or `delay`, whichever is longer.
    pub(super) fn delay_first(&mut self, now: Instant, delay: Duration, timeout: Duration) {
        self.first_wait = Some(FirstWait {
            until: now + delay,
            at_most: now + timeout.max(delay),
            step: delay,
        });
    }

    /// Extends the delay of the first rebalance, if there is one.
    pub(super) fn extend_first(&mut self, now: Instant) {
        if let Some(wait) = &mut self.first_wait {
            wait.until = (now + wait.step).min(wait.at_most);
        }
    }

    /// Ends the delay of the first rebalance.
    pub(super) fn end_first(&mut self) {
        self.first_wait = None;
    }

    /// Returns true while the first rebalance is delayed.
    pub(super) fn delays_first(&self) -> bool {
        self.first_wait.is_some()
    }

    /// Returns true if the time of the delay is over.
    pub(super) fn first_is_over(&self, now: Instant) -> bool {
        self.first_wait.is_some_and(|wait| wait.until <= now)
    }
}
