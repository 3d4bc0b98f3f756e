//! The states of a group, by Kafka's names.

/// The state of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// No members. There may be committed offsets.
    Empty,
    /// The members have to join again.
    PreparingRebalance,
    /// All members have joined. The leader has to send the assignment.
    CompletingRebalance,
    /// All members have an assignment.
    Stable,
    /// The target assignment is out of date. Only groups of the consumer protocol have this state.
    Assigning,
    /// Members are on their way to their targets. Only groups of the consumer protocol have this
    /// state.
    Reconciling,
    /// The group does not exist.
    Dead,
}

impl GroupState {
    /// Returns Kafka's name of the state.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Dead => "Dead",
        }
    }
}
