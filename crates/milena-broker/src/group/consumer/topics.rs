//! The topics of the cluster, as far as groups need them.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::ConsumerGroup;

/// The topics by name, with their id and partition count.
pub(crate) type World = BTreeMap<String, (Uuid, usize)>;

impl ConsumerGroup {
    /// Returns the topics that any member subscribes to.
    pub(super) fn read_of(&self, world: &World) -> World {
        let read = world
            .iter()
            .filter(|(name, _)| self.members.values().any(|member| member.wants(name)));
        read.map(|(name, topic)| (name.clone(), *topic)).collect()
    }
}
