//! Setters of a group member: what it reads, how partitions are divided and moved, who hears of it.

use std::sync::Arc;

use super::listener::RebalanceListener;
use super::protocol::GroupProtocol;
use super::signals::GroupMembershipOperation;
use crate::assignor::Assignor;
use crate::builder::ConsumerBuilder;

impl ConsumerBuilder {
    /// `partition.assignment.strategy`: Kafka's assignors to offer by their names, best first: `cooperative-sticky`, `sticky`, `range`,
    /// `roundrobin`. Default cooperative-sticky: shares are even, and a rebalance stops only what moves.
    ///
    /// All members of a group must have one in common. A consumer keeps its partitions during a rebalance only where all that it
    /// offers are cooperative; to move a running group from `range`, offer both first and take `range` out in a second round.
    ///
    /// Called again, it replaces, those of [`add_assignor`](Self::add_assignor) too.
    pub fn assignors<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.settings.membership.offer(names);
        self
    }

    /// Adds an assignor of your own, behind those given before.
    pub fn add_assignor(mut self, assignor: impl Assignor) -> Self {
        self.settings.membership.add(Arc::new(assignor));
        self
    }

    /// `group.protocol`: who assigns partitions, the members or the coordinator. Default [`GroupProtocol::Auto`].
    pub fn group_protocol(mut self, protocol: GroupProtocol) -> Self {
        self.settings.membership.protocol = protocol;
        self
    }

    /// `group.remote.assignor`: the coordinator's assignor under the consumer protocol, such as `uniform` or `range`. Default the
    /// coordinator's choice.
    pub fn group_remote_assignor(mut self, name: impl Into<Arc<str>>) -> Self {
        self.settings.membership.remote_assignor = Some(name.into());
        self
    }

    /// Reads every topic whose whole name fits this regular expression (RE2 syntax), beside those given by
    /// [`topics`](Self::topics): also topics that are made later, and none of Kafka's internal ones. Default none.
    pub fn topic_pattern(mut self, pattern: impl AsRef<str>) -> Self {
        self.settings.membership.match_topics(pattern.as_ref());
        self
    }

    /// Who hears of partitions that come and go. Default nobody.
    pub fn rebalance_listener(mut self, listener: impl RebalanceListener) -> Self {
        self.settings.membership.listener = Some(Arc::new(listener));
        self
    }

    /// What becomes of the membership at the end (KIP-1092). Default: a dynamic member leaves, a static one stays.
    pub fn group_membership_on_close(mut self, operation: GroupMembershipOperation) -> Self {
        self.settings.membership.on_close = operation;
        self
    }

    /// `client.rack`: where this member stands; assignors that know racks give it near partitions first (KIP-881). Default none.
    pub fn client_rack(mut self, rack: impl Into<Arc<str>>) -> Self {
        self.settings.membership.rack = Some(rack.into());
        self
    }
}
