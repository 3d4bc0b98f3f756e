//! What time does to a group of the consumer protocol: sessions end, and who does not give back in time is out.

use tokio::time::Instant;

use super::{ConsumerGroup, World};

impl ConsumerGroup {
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let members = self.members.values();
        members
            .flat_map(|member| [Some(member.session_ends), member.revoke_ends])
            .flatten()
            .min()
    }

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
        // The world is looked at anew with the next beat.
        let world: World = self.topics.clone();
        for id in late {
            self.remove(now, &id, &world);
        }
    }
}
