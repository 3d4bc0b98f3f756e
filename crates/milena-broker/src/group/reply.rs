//! The replies to JoinGroup and SyncGroup, which wait until the other members have come.

use bytes::Bytes;
use milena_core::ErrorCode;

/// The reply to a parked request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Join(JoinReply),
    Sync(SyncReply),
}

/// The answer to JoinGroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JoinReply {
    /// The error. `None` for success.
    pub(crate) error: Option<ErrorCode>,
    /// The generation, -1 with an error.
    pub(crate) generation: i32,
    /// The kind of members.
    pub(crate) protocol_type: Option<String>,
    /// The assignor that was chosen.
    pub(crate) protocol: Option<String>,
    /// The member id of the leader.
    pub(crate) leader: String,
    /// True if the leader must not assign (KIP-814).
    pub(crate) skip_assignment: bool,
    /// The id of the member that asked.
    pub(crate) member_id: String,
    /// The members with their static identities and subscriptions. Empty for all but the leader.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
}

impl JoinReply {
    /// Makes the answer to a refused join.
    pub(crate) fn refused(code: ErrorCode, member_id: &str) -> Self {
        Self {
            error: Some(code),
            generation: -1,
            member_id: member_id.to_owned(),
            ..Self::default()
        }
    }
}

/// The answer to SyncGroup.
pub(crate) type SyncReply = Result<Synced, ErrorCode>;

/// The part of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Synced {
    /// The kind of members.
    pub(crate) protocol_type: Option<String>,
    /// The assignor.
    pub(crate) protocol: Option<String>,
    /// The member's part of the assignment, as the leader wrote it.
    pub(crate) assignment: Bytes,
}
