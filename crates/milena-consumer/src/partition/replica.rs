//! The replica that a partition is read from. That is its leader, or a nearer replica that the
//! leader named (KIP-392).

use std::time::Duration;

use milena_core::NodeId;
use tokio::time::Instant;

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

impl Replica {
    /// Notes that the leader named `node` as the nearer replica. `known` is true if metadata has
    /// such a broker. An unknown one is not used.
    pub(super) fn prefer(&mut self, node: NodeId, known: bool, now: Instant) {
        if known {
            self.nearer = Some((node, now + COUNTS));
        } else {
            self.back_to_leader(now);
        }
    }

    /// Returns the replica to read from instead of the leader. `None` for the leader.
    pub(super) fn nearer(&self, now: Instant) -> Option<NodeId> {
        let nearer = self.nearer.filter(|(_, until)| *until > now);
        nearer.map(|(node, _)| node)
    }

    /// Notes that the nearer replica does not serve. The leader is read for a while.
    pub(super) fn back_to_leader(&mut self, now: Instant) {
        self.nearer = None;
        self.leader_until = Some(now + APART);
    }

    /// Returns true if the leader must serve the records, and must not name another replica.
    pub(super) fn wants_leader(&self, now: Instant) -> bool {
        self.leader_until.is_some_and(|until| until > now)
    }
}

/// The time for which a replica that the leader named is used. The same as the maximum age of
/// metadata.
const COUNTS: Duration = Duration::from_secs(300);
/// The time for which the leader is read after a replica did not serve.
const APART: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_does_not_serve_is_left_for_a_while() {
        let (mut replica, now) = (Replica::default(), Instant::now());
        let node = NodeId::from_wire(2).unwrap();
        replica.prefer(node, true, now);
        assert_eq!(replica.nearer(now), Some(node));
        assert_eq!(replica.nearer(now + COUNTS), None);
        replica.back_to_leader(now);
        assert_eq!(replica.nearer(now), None);
        assert!(replica.wants_leader(now) && !replica.wants_leader(now + APART));
    }
}
