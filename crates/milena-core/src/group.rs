//! The identity of a consumer in its group.

use std::sync::Arc;

/// The membership of a consumer. A transactional producer needs it to commit offsets for the group
/// (KIP-447).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    /// The group's id (`group.id`).
    pub group: Arc<str>,
    /// The generation (classic) or member epoch (KIP-848). `None` before the first join.
    pub generation: Option<i32>,
    /// The member id that the coordinator knows. Empty before the first join.
    pub member: Arc<str>,
    /// The `group.instance.id` of a static member (KIP-345). `None` for a dynamic member.
    pub instance: Option<Arc<str>>,
}
