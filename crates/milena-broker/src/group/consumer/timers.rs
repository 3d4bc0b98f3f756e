//! The timers of a group of the consumer protocol. Sessions end, and members that do not give
//! partitions back in time are removed.

use tokio::time::Instant;

use super::{ConsumerGroup, World};

impl ConsumerGroup {
    /// Returns the time at which [`tick`](Self::tick) has something to do next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let members = self.members.values();
        members
            .flat_map(|member| [Some(member.session_ends), member.revoke_ends])
            .flatten()
            .min()
    }

    /// Removes the members whose time is up.
    pub(crate) fn tick(&mut self, now: Instant) {
        let late = |m: &&super::ConsumerMember| {
            m.session_ends <= now || m.revoke_ends.is_some_and(|ends| ends <= now)
        };
        let late: Vec<String> = self
            .members
            .values()
            .filter(late)
            .map(|m| m.id.clone())
            .collect();
        // The last known topics are good enough here. The next heartbeat looks at the cluster
        // again.
        let world: World = self.topics.clone();
        for id in late {
            self.remove(now, &id, &world);
        }
    }
}
