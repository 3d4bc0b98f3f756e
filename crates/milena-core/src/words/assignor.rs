//! The names of Kafka's assignors.

use super::table::words;

/// An assignor of classic groups that Kafka's clients know by name
/// (`partition.assignment.strategy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AssignorName {
    /// Shares are even, members keep most of what they have, and a rebalance stops only the
    /// partitions that move. The default.
    #[default]
    CooperativeSticky,
    /// Shares are even, and members keep most of what they have. A rebalance stops all partitions.
    Sticky,
    /// Each member takes a run of neighbouring partitions of each topic.
    Range,
    /// The partitions of all topics go to the members in turn.
    RoundRobin,
}

words! {
    AssignorName of "partition.assignment.strategy" {
        CooperativeSticky = "cooperative-sticky",
        Sticky = "sticky",
        Range = "range",
        RoundRobin = "roundrobin",
    }
}
