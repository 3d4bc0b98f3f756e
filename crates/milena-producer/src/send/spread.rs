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

use crate::network::LinkId;
use crate::send::queue::Queue;
use crate::send::task::Sender;

/// The state of a connection that shows whether it is crowded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Crowd {
    /// The time of the last look. `None` before the first.
    looked: Option<Instant>,
    /// The looks in a row in which the connection was crowded.
    streak: u8,
}

/// The time between two looks at a connection.
const LOOK: Duration = Duration::from_millis(2);

/// The looks in a row in which a connection has to be crowded. A burst ends sooner.
const STREAK: u8 = 4;

impl Crowd {
    /// Returns true if it is time for the next look.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.looked.is_none_or(|looked| looked + LOOK <= now)
    }

    /// Notes a look. Returns true if the connection has been crowded for long enough.
    pub(crate) fn note(&mut self, crowded: bool, now: Instant) -> bool {
        self.looked = Some(now);
        self.streak = if crowded { self.streak + 1 } else { 0 };
        let long = self.streak >= STREAK;
        if long {
            self.streak = 0;
        }
        long
    }
}

/// The brokers to which there is more than one connection.
#[derive(Debug, Default)]
pub(crate) struct Fans(HashMap<NodeId, Fan>);

/// The load and the refusals of a broker that has more than one connection.
#[derive(Clone, Copy, Debug)]
struct Fan {
    /// The time at which a full batch last left for this broker, or partitions last moved.
    busy: Instant,
    /// The time at which the broker last refused a further connection. `None` if it never did.
    refused: Option<Instant>,
}

/// The time without a full batch after which one connection is enough.
const CALM: Duration = Duration::from_secs(30);

/// The time after a refused connection in which no further one is tried.
const REFUSED: Duration = Duration::from_secs(10);

impl Fans {
    /// Notes that a full batch leaves for a broker.
    pub(crate) fn busy(&mut self, node: NodeId, now: Instant) {
        if let Some(fan) = self.0.get_mut(&node) {
            fan.busy = now;
        }
    }

    /// Notes that a broker refused a further connection.
    pub(crate) fn refused(&mut self, node: NodeId, now: Instant) {
        self.fan(node, now).refused = Some(now);
    }

    /// Returns true if a further connection to a broker may be tried.
    fn may_grow(&self, node: NodeId, now: Instant) -> bool {
        let refused = self.0.get(&node).and_then(|fan| fan.refused);
        refused.is_none_or(|refused| refused + REFUSED <= now)
    }

    /// Notes that partitions use a further connection from now on.
    fn grown(&mut self, node: NodeId, now: Instant) {
        self.fan(node, now).busy = now;
    }

    /// Returns the entry of a broker, a new one if it has none.
    fn fan(&mut self, node: NodeId, now: Instant) -> &mut Fan {
        self.0.entry(node).or_insert(Fan {
            busy: now,
            refused: None,
        })
    }

    /// Moves a partition back to connection 0 once no full batch has left for its broker in 30 s.
    pub(crate) fn calm(&self, queue: &mut Queue) {
        let Some(link) = queue.link().filter(|link| link.number > 0) else {
            return;
        };
        let busy = self.0.get(&link.node).map(|fan| fan.busy);
        if busy.is_none_or(|busy| busy + CALM <= Instant::now()) {
            queue.go_by(0);
        }
    }
}

/// Decides how to relieve connection `from`, where `loads` counts the partitions on each. Returns
/// the connection to move to and the number of partitions to move. `None` if no move would help.
fn share(loads: &[usize], from: usize) -> Option<(usize, usize)> {
    let own = *loads.get(from)?;
    let (to, least) = loads.iter().enumerate().min_by_key(|(_, load)| **load)?;
    let count = own.saturating_sub(*least) / 2;
    (count > 0).then_some((to, count))
}

impl Sender {
    /// Checks whether partitions wait behind each other on a connection, and moves half of them to
    /// another one.
    pub(crate) fn ease(&mut self, on: LinkId, now: Instant) {
        let most = usize::from(self.settings.max_connections);
        let Some(link) = self.links.get_mut(&on) else {
            return;
        };
        if most < 2 || !link.crowd.is_due(now) {
            return;
        }
        let queues = self.queues.iter().map(|outlet| &outlet.queue);
        // Crowded means that the broker works on one request while another waits behind it. On a
        // slow link requests wait for the link, and another connection would not help.
        let crowded = !self.windows.of(on.node).is_slow()
            && link.full_in_flight >= self.settings.max_in_flight.min(2)
            && queues
                .clone()
                .filter(|queue| queue.link() == Some(on) && queue.is_loaded())
                .nth(1)
                .is_some();
        if !link.crowd.note(crowded, now) || !self.fans.may_grow(on.node, now) {
            return;
        }
        let mut loads = vec![0; most];
        for queue in queues.filter(|queue| queue.is_loaded()) {
            if let Some(link) = queue.link().filter(|link| link.node == on.node)
                && let Some(load) = loads.get_mut(usize::from(link.number))
            {
                *load += 1;
            }
        }
        let Some((to, count)) = share(&loads, usize::from(on.number)) else {
            return;
        };
        let to = LinkId {
            number: u8::try_from(to).unwrap_or_default(),
            ..on
        };
        // The connection is opened before any partition moves to it, so that those can send at
        // once.
        if !self.is_up(to, now) {
            return;
        }
        tracing::debug!(node = %on.node, connection = to.number, partitions = count, "partitions move to another connection");
        self.fans.grown(on.node, now);
        let queues = self.queues.iter_mut().map(|outlet| &mut outlet.queue);
        let loaded = queues.filter(|queue| queue.link() == Some(on) && queue.is_loaded());
        loaded.take(count).for_each(|queue| queue.go_by(to.number));
    }
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

    #[tokio::test(start_paused = true)]
    async fn a_connection_counts_as_crowded_when_it_stays_so() {
        let mut crowd = Crowd::default();
        let mut times = 0;
        for crowded in [true, true, false, true, true, true] {
            assert!(crowd.is_due(Instant::now()));
            assert!(!crowd.note(crowded, Instant::now()));
            assert!(!crowd.is_due(Instant::now()));
            tokio::time::advance(LOOK).await;
            times += 1;
        }
        assert!(crowd.note(true, Instant::now()));
        assert_eq!(times, 6);
    }
}
