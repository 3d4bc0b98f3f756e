//! What is said of groups and their members.

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
            /// Kafka's word, in any case; [`Unknown`](Self::Unknown) for one that is not known.
            #[must_use]
            pub fn from_word(word: &str) -> Self {
                $(if word.eq_ignore_ascii_case($word) {
                    return Self::$variant;
                })*
                Self::Unknown
            }

            /// Kafka's word for it.
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
        /// No members; there may be committed offsets.
        Empty = "Empty",
        /// Members are asked to join again (classic).
        PreparingRebalance = "PreparingRebalance",
        /// All have joined; the leader is to hand in the assignment (classic).
        CompletingRebalance = "CompletingRebalance",
        /// The coordinator works out an assignment (KIP-848).
        Assigning = "Assigning",
        /// Members move to their new assignment (KIP-848).
        Reconciling = "Reconciling",
        /// Everybody has what is assigned.
        Stable = "Stable",
        /// The group is going away.
        Dead = "Dead",
        /// Members wait for topics that are missing (streams).
        NotReady = "NotReady",
    }
}

words! {
    /// Which protocol a group's members speak.
    GroupType {
        /// JoinGroup and SyncGroup; members assign.
        Classic = "Classic",
        /// KIP-848; the coordinator assigns.
        Consumer = "Consumer",
        /// Share groups (KIP-932).
        Share = "Share",
        /// Streams groups (KIP-1071).
        Streams = "Streams",
    }
}

/// A group as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupListing {
    /// Its id.
    pub group: String,
    /// What its members are, `consumer` for consumers; empty for a group that only keeps offsets.
    pub protocol_type: String,
    /// Its state; `None` from brokers before Kafka 2.6.
    pub state: Option<GroupState>,
    /// Its type; `None` from brokers before Kafka 3.8.
    pub kind: Option<GroupType>,
    /// The broker that coordinates it.
    pub coordinator: NodeId,
}

/// The groups of all brokers that answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupListings {
    /// The groups, by id.
    pub groups: Vec<GroupListing>,
    /// The brokers that could not be asked; their groups are missing above.
    pub failures: Vec<(NodeId, Error)>,
}

impl GroupListings {
    /// The groups, where every broker answered.
    ///
    /// # Errors
    /// That of the first broker that did not answer.
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
    /// Its id.
    pub group: String,
    /// Which protocol its members speak.
    pub kind: GroupType,
    /// Its state.
    pub state: GroupState,
    /// What its members are, `consumer` for consumers; empty for a group that only keeps offsets.
    pub protocol_type: String,
    /// The assignor in use; `None` while there is none.
    pub assignor: Option<String>,
    /// The group's epoch (KIP-848); `None` for a classic group.
    pub epoch: Option<i32>,
    /// The broker that coordinates it.
    pub coordinator: NodeId,
    /// Its members.
    pub members: Vec<MemberDescription>,
}

impl GroupDescription {
    /// The member that `partition` is assigned to.
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
    /// The id that it has in the group.
    pub id: String,
    /// Its static identity (`group.instance.id`).
    pub instance_id: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
    /// The rack it says it stands in.
    pub rack: Option<String>,
    /// Its member epoch (KIP-848).
    pub epoch: Option<i32>,
    /// The topics that it subscribed to by name.
    pub subscribed: Vec<TopicName>,
    /// What it has, by topic and partition.
    pub assignment: Vec<TopicPartition>,
    /// What it shall have (KIP-848); `None` for a classic group.
    pub target: Option<Vec<TopicPartition>>,
}

impl fmt::Display for MemberDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.client_host.trim_start_matches('/');
        write!(f, "{} (client {}, host {host})", self.id, self.client_id)
    }
}
