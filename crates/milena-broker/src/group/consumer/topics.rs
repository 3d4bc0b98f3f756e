//! The topics of the cluster as a group sees them.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{ConsumerGroup, ConsumerMember};

/// Topics by name: id and partition count.
pub(crate) type World = BTreeMap<String, (Uuid, usize)>;

impl ConsumerGroup {
    /// The topics that any member reads.
    pub(super) fn read_of(&self, world: &World) -> World {
        let read = world
            .iter()
            .filter(|(name, _)| self.members.values().any(|member| member.reads(name)));
        read.map(|(name, topic)| (name.clone(), *topic)).collect()
    }
}

impl ConsumerMember {
    /// As [`wants`](Self::wants), without internal topics that only its pattern fits.
    pub(super) fn reads(&self, topic: &str) -> bool {
        let named = self.topics.iter().any(|name| name == topic);
        named || (self.wants(topic) && !crate::topic::is_internal(topic))
    }
}
