//! One member of a group.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// Names a request that is parked until the group moves on.
pub(crate) type Ticket = u64;

/// Who a request says it is from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
}

/// A member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    /// The assignors it offers, best first, each with its subscription.
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    pub(super) joining: Option<Ticket>,
    pub(super) syncing: Option<Ticket>,
    /// When it is taken for dead, unless one of its requests is parked here.
    pub(super) session_ends: Instant,
}

impl Member {
    pub(super) fn is_parked(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }

    /// Its session begins anew.
    pub(super) fn renew(&mut self, now: Instant) {
        self.session_ends = now + self.session_timeout;
    }

    /// What it subscribes to under this assignor.
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
