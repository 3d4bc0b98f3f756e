//! Who a consumer is in its group.

use std::sync::Arc;

/// A consumer's membership, as a transactional producer needs it to commit offsets for the group (KIP-447).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    /// The group's id (`group.id`).
    pub group: Arc<str>,
    /// The generation (classic) or member epoch (KIP-848); `None` before the first join.
    pub generation: Option<i32>,
    /// The member id that the coordinator knows; empty before the first join.
    pub member: Arc<str>,
    /// The static member's `group.instance.id` (KIP-345), where one is set.
    pub instance: Option<Arc<str>>,
}
