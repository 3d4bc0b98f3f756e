//! The committed offsets of a group.

use std::collections::BTreeMap;

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    /// The offset to resume at.
    pub(crate) offset: i64,
    /// The leader epoch of the last consumed record, -1 if it is unknown.
    pub(crate) leader_epoch: i32,
    /// The client's own text.
    pub(crate) metadata: String,
}

/// The committed offsets by topic and partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommittedOffsets(BTreeMap<(String, i32), Committed>);

impl CommittedOffsets {
    /// Stores a committed offset.
    pub(crate) fn store(&mut self, topic: &str, partition: i32, committed: Committed) {
        self.0.insert((topic.to_owned(), partition), committed);
    }

    /// Returns the committed offset of a partition.
    pub(crate) fn get(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.0.get(&(topic.to_owned(), partition))
    }

    /// Returns all offsets as topic, partition and offset, ordered by topic and partition.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, i32, &Committed)> {
        self.0
            .iter()
            .map(|((topic, partition), committed)| (topic.as_str(), *partition, committed))
    }

    /// Returns true if there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Deletes the committed offset of a partition.
    pub(crate) fn forget(&mut self, topic: &str, partition: i32) {
        self.0.remove(&(topic.to_owned(), partition));
    }

    /// Deletes the committed offsets of a topic.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        self.0.retain(|(name, _), _| name != topic);
    }
}
