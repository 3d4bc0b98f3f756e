//! Types for groups and their members.

use std::fmt;

use milena_core::{Error, NodeId, Result, TopicName, TopicPartition};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A word that this version of milena does not know.
            Unknown,
        }

        impl $name {
            /// Reads Kafka's word, in any case. Other words become [`Unknown`](Self::Unknown).
            #[must_use]
            pub fn from_word(word: &str) -> Self {
                $(if word.eq_ignore_ascii_case($word) {
                    return Self::$variant;
                })*
                Self::Unknown
            }

            /// Returns Kafka's word.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Unknown => "Unknown",
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words! {
    /// The state of a group.
    GroupState {
        /// The group has no members. It may have committed offsets.
        Empty = "Empty",
        /// Members are asked to join again (classic).
        PreparingRebalance = "PreparingRebalance",
        /// All members have joined. The group leader must send the assignment (classic).
        CompletingRebalance = "CompletingRebalance",
        /// The coordinator computes an assignment (KIP-848).
        Assigning = "Assigning",
        /// Members move to their new assignment (KIP-848).
        Reconciling = "Reconciling",
        /// Every member has its assignment.
        Stable = "Stable",
        /// The group is being removed.
        Dead = "Dead",
        /// Members wait for topics that are missing (streams).
        NotReady = "NotReady",
    }
}

words! {
    /// The protocol of a group's members.
    GroupType {
        /// JoinGroup and SyncGroup. A member computes the assignment.
        Classic = "Classic",
        /// KIP-848. The coordinator computes the assignment.
        Consumer = "Consumer",
        /// Share groups (KIP-932).
        Share = "Share",
        /// Streams groups (KIP-1071).
        Streams = "Streams",
    }
}

/// A group in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupListing {
    /// The group's id.
    pub group: String,
    /// The kind of members, `consumer` for consumers. Empty for a group that only stores offsets.
    pub protocol_type: String,
    /// The group's state. `None` from brokers before Kafka 2.6.
    pub state: Option<GroupState>,
    /// The group's type. `None` from brokers before Kafka 3.8.
    pub kind: Option<GroupType>,
    /// The group's coordinator.
    pub coordinator: NodeId,
}

/// The groups of all brokers that answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupListings {
    /// The groups, sorted by id.
    pub groups: Vec<GroupListing>,
    /// The brokers that did not answer. Their groups are missing in `groups`.
    pub failures: Vec<(NodeId, Error)>,
}

impl GroupListings {
    /// Returns the groups if every broker answered.
    ///
    /// # Errors
    /// The error of the first broker that did not answer.
    pub fn all(self) -> Result<Vec<GroupListing>> {
        match self.failures.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(self.groups),
        }
    }
}

/// A group and its members.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupDescription {
    /// The group's id.
    pub group: String,
    /// The protocol of the group's members.
    pub kind: GroupType,
    /// The group's state.
    pub state: GroupState,
    /// The kind of members, `consumer` for consumers. Empty for a group that only stores offsets.
    pub protocol_type: String,
    /// The assignor in use. `None` while there is none.
    pub assignor: Option<String>,
    /// The group's epoch (KIP-848). `None` for a classic group.
    pub epoch: Option<i32>,
    /// The group's coordinator.
    pub coordinator: NodeId,
    /// The group's members.
    pub members: Vec<MemberDescription>,
}

impl GroupDescription {
    /// Returns the member that owns `partition`.
    #[must_use]
    pub fn member_of(&self, partition: &TopicPartition) -> Option<&MemberDescription> {
        let mut members = self.members.iter();
        members.find(|member| member.assignment.contains(partition))
    }
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberDescription {
    /// The member's id in the group.
    pub id: String,
    /// The member's `group.instance.id`. `None` for a dynamic member.
    pub instance_id: Option<String>,
    /// The member's client id.
    pub client_id: String,
    /// The host from which the member connects.
    pub client_host: String,
    /// The rack that the member named. `None` if it named none.
    pub rack: Option<String>,
    /// The member's epoch (KIP-848). `None` for a classic member.
    pub epoch: Option<i32>,
    /// The topics to which the member subscribed by name.
    pub subscribed: Vec<TopicName>,
    /// The partitions that the member owns, sorted.
    pub assignment: Vec<TopicPartition>,
    /// The partitions that the member shall own (KIP-848), sorted. `None` for a classic member.
    pub target: Option<Vec<TopicPartition>>,
}

impl fmt::Display for MemberDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.client_host.trim_start_matches('/');
        write!(f, "{} (client {}, host {host})", self.id, self.client_id)
    }
}
