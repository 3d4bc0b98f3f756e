//! Setters of a group member. They choose its topics, how partitions are assigned, and the
//! rebalance listener.

use std::sync::Arc;

use milena_assignor::Assignor;
use milena_core::{GroupMembershipOperation, GroupProtocol};

use super::listener::RebalanceListener;
use crate::builder::ConsumerBuilder;

impl ConsumerBuilder {
    /// Sets `partition.assignment.strategy`, the names of Kafka's assignors to offer, best first.
    /// The names are `cooperative-sticky`, `sticky`, `range` and `roundrobin`. Default
    /// `cooperative-sticky`, because it divides partitions evenly and a rebalance stops only the
    /// partitions that move.
    ///
    /// All members of a group must have one assignor in common. A consumer keeps its partitions
    /// during a rebalance only if all assignors that it offers are cooperative. To move a running
    /// group from `range`, offer both in a first round of restarts and remove `range` in a second.
    ///
    /// A second call replaces the assignors, also those of [`add_assignor`](Self::add_assignor).
    pub fn assignors<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.settings.membership.offer(names);
        self
    }

    /// Adds an assignor of your own, after those given before.
    pub fn add_assignor(mut self, assignor: impl Assignor) -> Self {
        self.settings.membership.add(Arc::new(assignor));
        self
    }

    /// Sets `group.protocol`, which decides whether the members or the coordinator assign
    /// partitions. Default [`GroupProtocol::Auto`].
    pub fn group_protocol(mut self, protocol: GroupProtocol) -> Self {
        self.settings.membership.protocol = protocol;
        self
    }

    /// Sets `group.remote.assignor`, the coordinator's assignor under the consumer protocol, such
    /// as `uniform` or `range`. By default the coordinator chooses.
    pub fn group_remote_assignor(mut self, name: impl Into<Arc<str>>) -> Self {
        self.settings.membership.remote_assignor = Some(name.into());
        self
    }

    /// Reads every topic whose whole name matches this regular expression (RE2 syntax), in addition
    /// to those given by [`topics`](Self::topics). Topics created later are read too, Kafka's
    /// internal topics are not. Default none.
    pub fn topic_pattern(mut self, pattern: impl AsRef<str>) -> Self {
        self.settings.membership.match_topics(pattern.as_ref());
        self
    }

    /// Sets the listener that is called when partitions are assigned, revoked or lost. Default
    /// none.
    pub fn rebalance_listener(mut self, listener: impl RebalanceListener) -> Self {
        self.settings.membership.listener = Some(Arc::new(listener));
        self
    }

    /// Chooses whether the member leaves the group when the consumer closes (KIP-1092). By default
    /// a dynamic member leaves and a static one stays.
    pub fn group_membership_on_close(mut self, operation: GroupMembershipOperation) -> Self {
        self.settings.membership.on_close = operation;
        self
    }

    /// Sets `client.rack`, the rack of this member. Assignors that know racks prefer partitions
    /// with a replica in the same rack (KIP-881). Default none.
    pub fn client_rack(mut self, rack: impl Into<Arc<str>>) -> Self {
        self.settings.membership.rack = Some(rack.into());
        self
    }
}
