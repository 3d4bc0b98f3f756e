//! The membership as it stands, and since when it has stood so.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::member::Membership;

/// The membership of a consumer; `None` while it is no member. Keeps what health asks for: since when it is so, and whether it ever
/// was a member.
pub(crate) struct Standing {
    membership: watch::Sender<Option<Membership>>,
    record: Mutex<Record>,
}

#[derive(Clone, Copy)]
struct Record {
    is_member: bool,
    /// Whether it was a member at any time.
    joined: bool,
    /// When `is_member` became as it is.
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

    /// Counts from now on: the consumer was started.
    pub(crate) fn begin(&self) {
        self.record.lock().since = Instant::now();
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<Membership>> {
        self.membership.subscribe()
    }

    pub(crate) fn borrow(&self) -> watch::Ref<'_, Option<Membership>> {
        self.membership.borrow()
    }

    pub(crate) fn send_replace(&self, membership: Option<Membership>) -> Option<Membership> {
        self.note(membership.is_some());
        self.membership.send_replace(membership)
    }

    pub(crate) fn send_if_modified(
        &self,
        modify: impl FnOnce(&mut Option<Membership>) -> bool,
    ) -> bool {
        let modified = self.membership.send_if_modified(modify);
        let is_member = self.membership.borrow().is_some();
        self.note(is_member);
        modified
    }

    /// Returns whether it was ever a member, and for how long it has been one or has not.
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
