//! One member of a group.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// The number of a request that is parked until the group moves on.
pub(crate) type Ticket = u64;

/// The identity that a request gives for its member.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    /// The member id. Empty for a new member.
    pub(crate) member_id: String,
    /// The static identity. `None` for a dynamic member.
    pub(crate) instance_id: Option<String>,
}

/// A member of a classic group.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// The member id.
    pub(super) id: String,
    /// The static identity. `None` for a dynamic member.
    pub(super) instance_id: Option<String>,
    /// The client id.
    pub(super) client_id: String,
    /// The client's address.
    pub(super) client_host: String,
    /// The time after which it is removed without a request.
    pub(super) session_timeout: Duration,
    /// The time that a rebalance waits for it.
    pub(super) rebalance_timeout: Duration,
    /// The assignors that it offers, best first, each with its subscription.
    pub(super) protocols: Vec<(String, Bytes)>,
    /// Its part of the assignment, as the leader wrote it. Empty before.
    pub(super) assignment: Bytes,
    /// The parked join. `None` unless it waits for a rebalance to complete.
    pub(super) joining: Option<Ticket>,
    /// The parked sync. `None` unless it waits for the leader's assignment.
    pub(super) syncing: Option<Ticket>,
    /// The time at which it is removed, unless one of its requests is parked here.
    pub(super) session_ends: Instant,
}

impl Member {
    /// Returns true if one of its requests is parked.
    pub(super) fn is_parked(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }

    /// Begins its session anew.
    pub(super) fn renew(&mut self, now: Instant) {
        self.session_ends = now + self.session_timeout;
    }

    /// Returns its subscription for an assignor. Empty if it does not offer it.
    pub(super) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let found = self
            .protocols
            .iter()
            .find(|(name, _)| Some(name.as_str()) == protocol);
        found
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }
}
