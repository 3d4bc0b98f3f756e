//! The replica that a partition is read from. That is its leader, or a nearer replica that the
//! leader named (KIP-392).

use std::time::Duration;

use milena_core::NodeId;
use tokio::time::Instant;

use super::Partition;

/// The state of the choice between leader and nearer replica.
#[derive(Debug, Default)]
pub(super) struct Replica {
    /// The replica that the leader named, and the time until which that is valid. `None` to read
    /// from the leader.
    nearer: Option<(NodeId, Instant)>,
    /// The time until which the leader is read and not asked for a nearer replica, after one did
    /// not serve. `None` for no such time.
    leader_until: Option<Instant>,
}

impl Partition {
    /// Notes that the leader named `node` as the nearer replica. `known` is true if metadata has
    /// such a broker. An unknown one is not used.
    pub(crate) fn prefer(&self, node: NodeId, known: bool, now: Instant) {
        let mut state = self.state.lock();
        if known {
            state.replica.nearer = Some((node, now + COUNTS));
        } else {
            state.replica.nearer = None;
            state.replica.leader_until = Some(now + APART);
        }
    }

    /// Returns the replica to read from instead of the leader. `None` for the leader.
    pub(crate) fn nearer(&self, now: Instant) -> Option<NodeId> {
        let state = self.state.lock();
        let nearer = state.replica.nearer.filter(|(_, until)| *until > now);
        nearer.map(|(node, _)| node)
    }

    /// Notes that the nearer replica does not serve. The leader is read for a while.
    pub(crate) fn back_to_leader(&self, now: Instant) {
        let mut state = self.state.lock();
        state.replica.nearer = None;
        state.replica.leader_until = Some(now + APART);
    }

    /// Returns true if the leader must serve the records, and must not name another replica.
    pub(crate) fn wants_leader(&self, now: Instant) -> bool {
        let state = self.state.lock();
        state.replica.leader_until.is_some_and(|until| until > now)
    }
}

/// The time for which a replica that the leader named is used. The same as the maximum age of
/// metadata.
const COUNTS: Duration = Duration::from_secs(300);
/// The time for which the leader is read after a replica did not serve.
const APART: Duration = Duration::from_secs(30);
