//! Assigns the partitions of a classic group to its members. Holds the trait for assignors and
//! finds Kafka's own by name.

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
/// Every member of a group offers its assignors by name. The coordinator picks one that all members
/// offer, and the leader of the group runs it. An assignor must give each partition to at most one
/// member. An assignment that does not is refused, and the consumer ends with an error that names
/// the assignor.
///
/// ```
/// use milena_consumer::{Assignor, GroupAssignment, GroupMember, GroupTopics};
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
fn in_order(members: &[GroupMember]) -> Vec<&GroupMember> {
    let mut ordered: Vec<_> = members.iter().collect();
    ordered.sort_by(|a, b| a.order(b).then_with(|| a.id.cmp(&b.id)));
    ordered
}

/// Returns Kafka's assignor of this name.
///
/// # Errors
/// [`ErrorKind::Config`] if there is none. The text lists the known names.
pub(crate) fn named(name: &str) -> Result<Arc<dyn Assignor>> {
    Ok(match name {
        "range" => Arc::new(RangeAssignor),
        "roundrobin" => Arc::new(RoundRobinAssignor),
        "sticky" => Arc::new(StickyAssignor),
        "cooperative-sticky" => Arc::new(CooperativeStickyAssignor),
        _ => {
            let what = format!(
                "there is no assignor `{name}`: use range, roundrobin, sticky or cooperative-sticky, or add your own with \
                 `add_assignor`"
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
