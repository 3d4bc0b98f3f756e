//! Who gets which partitions: the seam for assignors of classic groups, and Kafka's own by their names.

mod cooperative;
mod range;
mod round_robin;
mod sticky;
mod topics;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use milena_core::{Error, ErrorKind, Result, TopicName, TopicPartition};

pub(crate) use cooperative::{check, withhold};
pub use range::RangeAssignor;
pub use round_robin::RoundRobinAssignor;
pub use sticky::{CooperativeStickyAssignor, StickyAssignor};
pub use topics::GroupTopics;

/// Divides the partitions of a classic group among its members (`partition.assignment.strategy`).
///
/// Every member of a group offers the same assignors by name; the coordinator picks one that all offer, and the member that leads
/// the group runs it. An assignor must give each partition to at most one member: an assignment that does not is refused, and the
/// consumer ends with an error that names the assignor.
///
/// ```
/// use milena_consumer::{Assignor, GroupAssignment, GroupMember, GroupTopics};
///
/// /// The first member reads everything; the others stand by.
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
    /// The name that members offer to the coordinator, such as `range`.
    fn name(&self) -> &str;

    /// Whether members keep their partitions while the group rebalances. A consumer rebalances cooperatively where all its assignors
    /// do. Default [`RebalanceProtocol::Eager`].
    fn protocol(&self) -> RebalanceProtocol {
        RebalanceProtocol::Eager
    }

    /// What this member tells the leader beside its subscription: `assigned` is what it had after its last sync, `generation` that
    /// sync's generation. Default nothing.
    fn user_data(
        &self,
        assigned: &BTreeSet<TopicPartition>,
        generation: Option<i32>,
    ) -> Option<Bytes> {
        let _ = (assigned, generation);
        None
    }

    /// The assignment: partitions by member id. A member that is left out gets none; `topics` holds the topics that exist.
    fn assign(&self, members: &[GroupMember], topics: &GroupTopics) -> GroupAssignment;
}

/// What members do with their partitions while the group rebalances (KIP-429).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebalanceProtocol {
    /// They give all back before they join again.
    Eager,
    /// They keep them, and give back only what another member is to get; the group rebalances a second time for that.
    Cooperative,
}

/// A member of the group, as its leader sees it. Everything in it was written by that member, and may be wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupMember {
    /// The id that the coordinator gave it.
    pub id: String,
    /// The static member's `group.instance.id`.
    pub instance: Option<String>,
    /// What it subscribed to.
    pub topics: BTreeSet<TopicName>,
    /// What it holds on to during the rebalance; nothing under an eager protocol.
    pub owned: BTreeSet<TopicPartition>,
    /// The generation in which it was assigned that; `None` where it does not tell.
    pub generation: Option<i32>,
    /// Where it stands (`client.rack`).
    pub rack: Option<String>,
    /// What its assignor added.
    pub user_data: Option<Bytes>,
}

/// Partitions by member id.
pub type GroupAssignment = BTreeMap<String, Vec<TopicPartition>>;

impl GroupMember {
    /// A member that subscribed to `topics` and owns nothing.
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

    /// Kafka's order of members: static ones first, by their instance id, then the others by member id.
    pub fn order(&self, other: &Self) -> Ordering {
        match (&self.instance, &other.instance) {
            (Some(first), Some(second)) => first.cmp(second),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => self.id.cmp(&other.id),
        }
    }
}

/// Members in Kafka's order.
fn in_order(members: &[GroupMember]) -> Vec<&GroupMember> {
    let mut ordered: Vec<_> = members.iter().collect();
    ordered.sort_by(|a, b| a.order(b).then_with(|| a.id.cmp(&b.id)));
    ordered
}

/// Kafka's assignor of that name.
///
/// # Errors
/// [`ErrorKind::Config`] naming the known ones.
pub(crate) fn named(name: &str) -> Result<Arc<dyn Assignor>> {
    Ok(match name {
        "range" => Arc::new(RangeAssignor),
        "roundrobin" => Arc::new(RoundRobinAssignor),
        "sticky" => Arc::new(StickyAssignor),
        "cooperative-sticky" => Arc::new(CooperativeStickyAssignor),
        _ => {
            let what = format!(
                "there is no assignor `{name}`: Kafka's are range, roundrobin, sticky and cooperative-sticky, and others are added \
                 with `assignor`"
            );
            return Err(
                Error::new(ErrorKind::Config, what).setting("partition.assignment.strategy")
            );
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_assignors_are_found_by_their_names_and_others_are_told() {
        for name in ["range", "roundrobin", "sticky", "cooperative-sticky"] {
            assert_eq!(named(name).unwrap().name(), name);
        }
        let error = named("rnage").err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("cooperative-sticky"), "{error}");
    }
}
