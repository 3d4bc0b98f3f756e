//! The current membership, and the time since which this consumer has been a member or not.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::group::member::MembershipStamp;

/// The membership of a consumer, and a record for health checks.
pub(crate) struct Standing {
    /// The membership, written by the group's task. `None` while this is not a member.
    membership: watch::Sender<Option<MembershipStamp>>,
    /// The record for health checks. Follows `membership`.
    record: Mutex<Record>,
}

#[derive(Clone, Copy)]
/// The record for health checks.
struct Record {
    /// True while this is a member.
    is_member: bool,
    /// True once this was a member at any time.
    joined: bool,
    /// The time of the last change of `is_member`, or of the start.
    since: Instant,
}

impl Standing {
    pub(crate) fn new() -> Self {
        Self {
            membership: watch::Sender::new(None),
            record: Mutex::new(Record {
                is_member: false,
                joined: false,
                since: Instant::now(),
            }),
        }
    }

    /// Sets the start of the record to now. Called when the consumer starts.
    pub(crate) fn begin(&self) {
        self.record.lock().since = Instant::now();
    }

    /// Returns a receiver of changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<MembershipStamp>> {
        self.membership.subscribe()
    }

    /// Returns the current membership.
    pub(crate) fn borrow(&self) -> watch::Ref<'_, Option<MembershipStamp>> {
        self.membership.borrow()
    }

    /// Returns the generation or the member epoch. -1 outside the group.
    pub(crate) fn generation(&self) -> i32 {
        let membership = self.membership.borrow();
        membership.as_ref().map_or(-1, |m| m.generation)
    }

    /// Replaces the membership. Returns the former one.
    pub(crate) fn send_replace(
        &self,
        membership: Option<MembershipStamp>,
    ) -> Option<MembershipStamp> {
        self.note(membership.is_some());
        self.membership.send_replace(membership)
    }

    /// Changes the membership with `modify`, which returns true if it changed anything.
    pub(crate) fn send_if_modified(
        &self,
        modify: impl FnOnce(&mut Option<MembershipStamp>) -> bool,
    ) -> bool {
        let modified = self.membership.send_if_modified(modify);
        let is_member = self.membership.borrow().is_some();
        self.note(is_member);
        modified
    }

    /// Returns true if this was ever a member, and the time for which it has now been one or has
    /// not.
    pub(crate) fn told(&self, now: Instant) -> (bool, Duration) {
        let record = *self.record.lock();
        (record.joined, now.saturating_duration_since(record.since))
    }

    fn note(&self, is_member: bool) {
        let mut record = self.record.lock();
        record.joined |= is_member;
        if record.is_member != is_member {
            record.is_member = is_member;
            record.since = Instant::now();
        }
    }
}
