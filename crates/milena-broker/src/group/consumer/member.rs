//! One member of a group of the consumer protocol.

use std::time::Duration;

use regex::bytes::Regex;
use tokio::time::Instant;

use super::Places;

/// A member.
#[derive(Clone, Debug)]
pub(crate) struct ConsumerMember {
    /// The id, which the member chose itself from version 1 on.
    pub(crate) id: String,
    /// The static identity. `None` for a dynamic member.
    pub(crate) instance_id: Option<String>,
    /// The rack. `None` if it never sent one.
    pub(crate) rack: Option<String>,
    /// The client id.
    pub(crate) client_id: String,
    /// The client's address.
    pub(crate) client_host: String,
    /// The time it may take to give partitions back.
    pub(super) rebalance_timeout: Duration,
    /// The topics that it subscribes to by name.
    pub(crate) topics: Vec<String>,
    /// The pattern that it subscribes to. `None` without one.
    pub(crate) pattern: Option<Pattern>,
    /// The server-side assignor that it prefers. `None` without a preference.
    pub(super) assignor: Option<String>,
    /// The member's epoch. -2 for a static member that left for a while.
    pub(crate) epoch: i32,
    /// The epoch before, which a member that missed an answer may still send.
    pub(super) previous_epoch: i32,
    /// The progress towards the target.
    pub(super) state: MemberState,
    /// The partitions that it may use.
    pub(crate) assigned: Places,
    /// The partitions that it must give back and has not confirmed to have given back. No other
    /// member gets them until then.
    pub(super) revoking: Places,
    /// The time at which it is removed without another heartbeat.
    pub(super) session_ends: Instant,
    /// The time at which it is removed if it has not given its partitions back. `None` while it
    /// need not give any back.
    pub(super) revoke_ends: Option<Instant>,
}

/// A pattern of topics with its text.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// The text as the member sent it.
    pub(crate) text: String,
    /// The compiled pattern, which matches whole names.
    pub(super) whole: Regex,
}

/// The progress of a member towards its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// It has its target, or can go on to the next one.
    Stable,
    /// It must give partitions back.
    Unrevoked,
    /// It waits for partitions that others must give back.
    Unreleased,
}

impl ConsumerMember {
    /// Returns true if it subscribes to the topic.
    pub(crate) fn wants(&self, topic: &str) -> bool {
        let fits = |pattern: &Pattern| pattern.whole.is_match(topic.as_bytes());
        self.topics.iter().any(|name| name == topic) || self.pattern.as_ref().is_some_and(fits)
    }

    /// Returns the time at which it is removed. Its session ends, or it has not given its
    /// partitions back.
    pub(super) fn deadline(&self) -> Instant {
        let revoke_ends = self.revoke_ends.unwrap_or(self.session_ends);
        self.session_ends.min(revoke_ends)
    }

    /// Returns true if it has the target of `epoch`, or left for a while.
    pub(super) fn is_settled(&self, epoch: i32) -> bool {
        self.state == MemberState::Stable && (self.epoch == epoch || self.epoch < 0)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
