//! The protocol of a group, and the end of a membership.

use super::table::words;

/// The way in which a group assigns its partitions (`group.protocol`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupProtocol {
    /// The consumer protocol if the cluster has finalized it (`group.version`), the classic one
    /// otherwise. The default.
    ///
    /// A group that has classic members is joined by the classic protocol, so that a group never
    /// mixes the two. A named or added assignor selects the classic protocol as well.
    #[default]
    Auto,
    /// The members assign the partitions, by an assignor that all of them offer.
    Classic,
    /// The coordinator assigns the partitions (KIP-848). A change moves only the partitions that it
    /// must, and no member waits for the others. The broker sets the session timeout and the
    /// heartbeat interval.
    Consumer,
}

words! {
    GroupProtocol of "group.protocol" {
        Auto = "auto",
        Classic = "classic",
        Consumer = "consumer",
    }
}

/// The end of the membership when the consumer closes.
///
/// # References
/// KIP-1092.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupMembershipOperation {
    /// A dynamic member leaves the group, a static one stays in it. The default.
    #[default]
    Default,
    /// The member leaves, also a static one. Its partitions go to other members at once.
    LeaveGroup,
    /// The member stays, also a dynamic one. Its partitions stay assigned to it until the session
    /// ends. Use it for a restart that takes less time than that.
    RemainInGroup,
}

words! {
    GroupMembershipOperation of "group_membership_on_close" {
        Default = "default",
        LeaveGroup = "leave_group",
        RemainInGroup = "remain_in_group",
    }
}

impl GroupMembershipOperation {
    /// Returns true if the member leaves the group at the end.
    #[must_use]
    pub const fn leaves(self, is_static: bool) -> bool {
        match self {
            Self::Default => !is_static,
            Self::LeaveGroup => true,
            Self::RemainInGroup => false,
        }
    }
}
