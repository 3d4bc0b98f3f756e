//! The names of queues.

/// Names a queue in [`Outlets`](crate::send::outlets::Outlets). Queues are never removed, so an id
/// stays valid for the life of the send task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QueueId(u32);

impl QueueId {
    /// Returns the id of the queue at `index`. Only `Outlets` calls this, since it alone knows the
    /// indices that exist.
    pub(crate) fn nth(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// Returns the index of the queue.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}
