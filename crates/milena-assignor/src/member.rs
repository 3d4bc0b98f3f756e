//! Members of a group, in the order in which assignors serve them, and their partitions.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use milena_core::{TopicName, TopicPartition};

/// A member of the group, as its leader sees it. The member wrote these values, so they may be
/// wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupMember {
    /// Member id that the coordinator gave it.
    pub id: String,
    /// `group.instance.id` of a static member. `None` for a dynamic one.
    pub instance: Option<String>,
    /// Topics that it subscribed to.
    pub topics: BTreeSet<TopicName>,
    /// Partitions that it keeps during the rebalance. Empty under an eager protocol.
    pub owned: BTreeSet<TopicPartition>,
    /// Generation in which these partitions were assigned to it. `None` if it did not send one.
    pub generation: Option<i32>,
    /// Rack of the member (`client.rack`). `None` if it did not send one.
    pub rack: Option<String>,
    /// Bytes that the member's assignor added. `None` if it added none.
    pub user_data: Option<Bytes>,
}

/// Partitions by member id.
pub type GroupAssignment = BTreeMap<String, Vec<TopicPartition>>;

impl GroupMember {
    /// Returns a member that subscribed to `topics` and owns nothing.
    pub fn new<I>(id: impl Into<String>, topics: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<TopicName>,
    {
        Self {
            id: id.into(),
            topics: topics.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Compares two members in Kafka's order. Static members come first, by instance id, then the
    /// others by member id.
    pub fn order(&self, other: &Self) -> Ordering {
        match (&self.instance, &other.instance) {
            (Some(first), Some(second)) => first.cmp(second),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => self.id.cmp(&other.id),
        }
    }
}

/// Returns the members in Kafka's order.
pub(crate) fn in_order(members: &[GroupMember]) -> Vec<&GroupMember> {
    let mut ordered: Vec<_> = members.iter().collect();
    ordered.sort_by(|a, b| a.order(b).then_with(|| a.id.cmp(&b.id)));
    ordered
}
