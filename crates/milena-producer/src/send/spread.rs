//! The number of connections to a broker, and the spread of partitions over them.
//!
//! A broker works on one request of a connection at a time. While batches of several partitions
//! wait behind each other on one connection, half of those partitions move to another one. This
//! goes on until each has its own, or until there are as many connections as allowed. Once no batch
//! has been full for a while, all partitions move back to the first connection. A partition moves
//! while none of its batches is in flight, so that its order is kept.

use std::collections::HashMap;
use std::time::Duration;

use milena_core::NodeId;
use tokio::time::Instant;

/// The brokers to which there is more than one connection.
#[derive(Debug, Default)]
pub(crate) struct ConnectionSpread(HashMap<NodeId, BrokerLoad>);

/// The load and the refusals of a broker that has more than one connection.
#[derive(Clone, Copy, Debug)]
struct BrokerLoad {
    /// The time at which a full batch last left for this broker, or partitions last moved.
    busy: Instant,
    /// The time at which the broker last refused a further connection. `None` if it never did.
    refused: Option<Instant>,
}

/// The time without a full batch after which one connection is enough.
const CALM: Duration = Duration::from_secs(30);

/// The time after a refused connection in which no further one is tried.
const REFUSED: Duration = Duration::from_secs(10);

impl ConnectionSpread {
    /// Notes that a full batch leaves for a broker.
    pub(crate) fn busy(&mut self, node: NodeId, now: Instant) {
        if let Some(load) = self.0.get_mut(&node) {
            load.busy = now;
        }
    }

    /// Notes that a broker refused a further connection.
    pub(crate) fn refused(&mut self, node: NodeId, now: Instant) {
        self.load(node, now).refused = Some(now);
    }

    /// Returns true if a further connection to a broker may be tried.
    pub(crate) fn may_grow(&self, node: NodeId, now: Instant) -> bool {
        let refused = self.0.get(&node).and_then(|load| load.refused);
        refused.is_none_or(|refused| refused + REFUSED <= now)
    }

    /// Notes that partitions use a further connection from now on.
    pub(crate) fn grown(&mut self, node: NodeId, now: Instant) {
        self.load(node, now).busy = now;
    }

    /// Returns the entry of a broker, a new one if it has none.
    fn load(&mut self, node: NodeId, now: Instant) -> &mut BrokerLoad {
        self.0.entry(node).or_insert(BrokerLoad {
            busy: now,
            refused: None,
        })
    }

    /// Returns true if one connection to a broker is enough, since no full batch has left for it in
    /// 30 s.
    pub(crate) fn is_over(&self, node: NodeId, now: Instant) -> bool {
        let busy = self.0.get(&node).map(|load| load.busy);
        busy.is_none_or(|busy| busy + CALM <= now)
    }
}

/// Decides how to relieve connection `from`, where `loads` counts the partitions on each. Returns
/// the connection to move to and the number of partitions to move. `None` if no move would help.
pub(crate) fn share(loads: &[usize], from: usize) -> Option<(usize, usize)> {
    let own = *loads.get(from)?;
    let (to, least) = loads.iter().enumerate().min_by_key(|(_, load)| **load)?;
    let count = own.saturating_sub(*least) / 2;
    (count > 0).then_some((to, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_is_too_much_moves_to_where_least_is() {
        assert_eq!(share(&[4, 0, 0, 0], 0), Some((1, 2)));
        assert_eq!(share(&[2, 2, 0, 0], 1), Some((2, 1)));
        assert_eq!(share(&[16, 0], 0), Some((1, 8)));
        assert_eq!(share(&[1, 0], 0), None, "one partition needs its order");
        assert_eq!(share(&[3, 2, 2], 0), None);
        assert_eq!(share(&[4, 3, 1], 0), Some((2, 1)));
    }
}
