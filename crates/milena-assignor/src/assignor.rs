//! The trait that divides the partitions of a classic group among its members.

use std::collections::BTreeSet;

use bytes::Bytes;
use milena_core::TopicPartition;

use crate::member::{GroupAssignment, GroupMember};
use crate::topics::GroupTopics;

/// Divides the partitions of a classic group among its members (`partition.assignment.strategy`).
///
/// Every member of a group offers its assignors by name. The coordinator picks one that all members
/// offer, and the leader of the group runs it. An assignor must give each partition to at most one
/// member. An assignment that does not is refused, and the consumer ends with an error that names
/// the assignor.
///
/// ```
/// use milena_assignor::{Assignor, GroupAssignment, GroupMember, GroupTopics};
///
/// /// The first member reads everything, the others read nothing.
/// struct OneReader;
///
/// impl Assignor for OneReader {
///     fn name(&self) -> &str {
///         "one-reader"
///     }
///
///     fn assign(&self, members: &[GroupMember], topics: &GroupTopics) -> GroupAssignment {
///         let mut assignment = GroupAssignment::new();
///         if let Some(first) = members.iter().min_by_key(|member| &member.id) {
///             let read = topics.partitions().filter(|place| first.topics.contains(&place.topic));
///             assignment.insert(first.id.clone(), read.collect());
///         }
///         assignment
///     }
/// }
/// ```
pub trait Assignor: Send + Sync + 'static {
    /// Returns the name that members offer to the coordinator, such as `range`.
    fn name(&self) -> &str;

    /// Returns the rebalance protocol, which says if members keep their partitions while the group
    /// rebalances. A consumer rebalances cooperatively only if all assignors that it offers do.
    /// Default [`RebalanceProtocol::Eager`].
    fn protocol(&self) -> RebalanceProtocol {
        RebalanceProtocol::Eager
    }

    /// Returns bytes that this member sends to the leader in addition to its subscription. Default
    /// none.
    ///
    /// `assigned` holds the partitions that it got by its last sync, `generation` the generation of
    /// that sync. `None` before the first sync and after a lost membership.
    fn user_data(
        &self,
        assigned: &BTreeSet<TopicPartition>,
        generation: Option<i32>,
    ) -> Option<Bytes> {
        let _ = (assigned, generation);
        None
    }

    /// Returns partitions by member id. A member that is left out gets none. `topics` holds only
    /// topics that exist.
    fn assign(&self, members: &[GroupMember], topics: &GroupTopics) -> GroupAssignment;
}

/// Handling of partitions by members while the group rebalances (KIP-429).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebalanceProtocol {
    /// Members give all partitions back before they join again.
    Eager,
    /// Members keep their partitions and give back only those that another member is to get. The
    /// group then rebalances a second time to assign these.
    Cooperative,
}
