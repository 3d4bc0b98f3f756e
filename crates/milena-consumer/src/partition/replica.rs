//! Which replica a partition is read from: its leader, or one nearer that the leader named (KIP-392).

use std::time::Duration;

use milena_core::NodeId;
use tokio::time::Instant;

use super::Partition;

/// What is known of nearer replicas.
#[derive(Debug, Default)]
pub(super) struct Replica {
    /// The one that the leader named, and until when that counts.
    nearer: Option<(NodeId, Instant)>,
    /// It did not serve: until then the leader is read, and not asked for another.
    leader_until: Option<Instant>,
}

impl Partition {
    /// The leader named `node` as nearer; `known` is whether there is such a broker.
    pub(crate) fn prefer(&self, node: NodeId, known: bool, now: Instant) {
        let mut state = self.state.lock();
        if known {
            state.replica.nearer = Some((node, now + COUNTS));
        } else {
            state.replica.nearer = None;
            state.replica.leader_until = Some(now + APART);
        }
    }

    /// The replica to read from instead of the leader, if any.
    pub(crate) fn nearer(&self, now: Instant) -> Option<NodeId> {
        let state = self.state.lock();
        let nearer = state.replica.nearer.filter(|(_, until)| *until > now);
        nearer.map(|(node, _)| node)
    }

    /// The nearer replica does not serve: its leader does, for a while.
    pub(crate) fn back_to_leader(&self, now: Instant) {
        let mut state = self.state.lock();
        state.replica.nearer = None;
        state.replica.leader_until = Some(now + APART);
    }

    /// Whether its leader is to serve it, and not to name another replica.
    pub(crate) fn wants_leader(&self, now: Instant) -> bool {
        let state = self.state.lock();
        state.replica.leader_until.is_some_and(|until| until > now)
    }
}

/// How long the leader's word counts, as metadata does.
const COUNTS: Duration = Duration::from_secs(300);
/// How long a replica that did not serve is left alone.
const APART: Duration = Duration::from_secs(30);
