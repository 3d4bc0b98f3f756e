//! The topics of the cluster as a group sees them.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::ConsumerGroup;

/// Topics by name: id and partition count.
pub(crate) type World = BTreeMap<String, (Uuid, usize)>;

impl ConsumerGroup {
    /// The topics that any member reads.
    pub(super) fn read_of(&self, world: &World) -> World {
        let read = world
            .iter()
            .filter(|(name, _)| self.members.values().any(|member| member.wants(name)));
        read.map(|(name, topic)| (name.clone(), *topic)).collect()
    }
}
