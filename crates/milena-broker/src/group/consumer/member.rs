//! One member of a group of the consumer protocol.

use std::time::Duration;

use regex::bytes::Regex;
use tokio::time::Instant;

use super::Places;

/// A member.
#[derive(Clone, Debug)]
pub(crate) struct ConsumerMember {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) rack: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    /// How long it may take to give partitions back.
    pub(super) rebalance_timeout: Duration,
    pub(crate) topics: Vec<String>,
    pub(crate) pattern: Option<Pattern>,
    /// The server-side assignor that it prefers.
    pub(super) assignor: Option<String>,
    /// -2 for a static member that went away for a while.
    pub(crate) epoch: i32,
    pub(super) previous_epoch: i32,
    pub(super) state: MemberState,
    /// What it may use.
    pub(crate) assigned: Places,
    /// What it has not yet confirmed to have given back.
    pub(super) revoking: Places,
    pub(super) session_ends: Instant,
    /// Until when it has to give partitions back.
    pub(super) revoke_ends: Option<Instant>,
}

/// A pattern of topics with its text.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) text: String,
    pub(super) whole: Regex,
}

/// How far a member is with its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberState {
    Stable,
    /// It is to give partitions back.
    Unrevoked,
    /// It waits for what others are to give back.
    Unreleased,
}

impl ConsumerMember {
    /// Whether it reads the topic.
    pub(crate) fn wants(&self, topic: &str) -> bool {
        let fits = |pattern: &Pattern| pattern.whole.is_match(topic.as_bytes());
        self.topics.iter().any(|name| name == topic) || self.pattern.as_ref().is_some_and(fits)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
