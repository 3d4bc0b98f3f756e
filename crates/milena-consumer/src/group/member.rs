//! Identity of a classic group member, and the meaning of each error code of the coordinator for
//! it. Has no side effects.

use std::sync::Arc;

use milena_core::{Error, ErrorCode, ErrorKind};

/// The member's identity as the coordinator knows it. Only answers change it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClassicMember {
    /// The member id that the coordinator gave. `None` before the first join and after the
    /// coordinator forgot it.
    id: Option<Arc<str>>,
    /// The generation that this member joined. `None` while it is not a member.
    generation: Option<i32>,
}

/// The identity that commits and heartbeats carry. Valid from the answer to a join until the next
/// join or loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MembershipStamp {
    /// The member id.
    pub(crate) member: Arc<str>,
    /// The generation, or the member epoch under the consumer protocol.
    pub(crate) generation: i32,
}

/// The next step after the coordinator refused a join or a sync.
#[derive(Clone, Debug)]
pub(crate) enum NextJoin {
    /// Join again at once.
    Again,
    /// Join again after a backoff.
    Later,
    /// Look the coordinator up again, then join again after a backoff.
    Relocate,
    /// The group cannot be joined.
    Fail(Error),
}

/// The meaning of an answer to a heartbeat or a commit for the membership.
#[derive(Clone, Debug)]
pub(crate) enum Pulse {
    /// The membership is valid.
    Alive,
    /// The group rebalances. Give back the partitions that must go, then join again.
    Rebalance,
    /// The group is in another generation than the one in the request. Between rebalances this
    /// means that the group went on without this member. During a rebalance it means nothing.
    Superseded,
    /// The group went on without this member, which can commit nothing any more.
    Lost {
        /// True if the coordinator has forgotten the member id too.
        forgotten: bool,
    },
    /// The answer says nothing about the membership. Try again soon.
    Unsure {
        /// True if another broker may be the coordinator now, so that it must be looked up again.
        relocate: bool,
    },
    /// The member cannot continue.
    Fail(Error),
}

impl Pulse {
    /// Returns true if the membership is over, and the coordinator said so.
    pub(crate) fn is_end(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Fail(_))
    }
}

impl ClassicMember {
    /// Returns the id to join with. Empty before the first join.
    pub(crate) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    /// Returns the membership. `None` while this is not a member.
    pub(crate) fn membership(&self) -> Option<MembershipStamp> {
        Some(MembershipStamp {
            member: self.id.clone()?,
            generation: self.generation?,
        })
    }

    /// Returns true if the coordinator counts this consumer among the group's members, as far as is
    /// known.
    pub(crate) fn is_in(&self) -> bool {
        self.generation.is_some()
    }

    /// Returns true if the group cannot have gone on without this member before `generation`, since
    /// it is at most one above the generation that the member was in.
    pub(crate) fn is_next(&self, generation: i32) -> bool {
        self.generation
            .is_none_or(|known| generation <= known.saturating_add(1))
    }

    /// Notes the id and the generation from the answer to a join.
    pub(crate) fn joined(&mut self, id: &str, generation: i32) {
        self.id = Some(id.into());
        self.generation = Some(generation);
    }

    /// Notes that the join was refused, and returns the next step. `id` is the one that the answer
    /// gives (KIP-394).
    pub(crate) fn join_refused(&mut self, code: ErrorCode, id: &str) -> NextJoin {
        match code {
            ErrorCode::MEMBER_ID_REQUIRED if !id.is_empty() => {
                self.id = Some(id.into());
                NextJoin::Again
            }
            ErrorCode::UNKNOWN_MEMBER_ID => {
                self.forget(true);
                NextJoin::Later
            }
            ErrorCode::INCONSISTENT_GROUP_PROTOCOL => {
                NextJoin::Fail(Error::broker(code).setting("partition.assignment.strategy"))
            }
            ErrorCode::INVALID_SESSION_TIMEOUT => {
                NextJoin::Fail(Error::broker(code).setting("session.timeout.ms"))
            }
            ErrorCode::INVALID_GROUP_ID => NextJoin::Fail(Error::broker(code).setting("group.id")),
            _ => otherwise(code),
        }
    }

    /// Notes that the sync was refused, and returns the next step.
    pub(crate) fn sync_refused(&mut self, code: ErrorCode) -> NextJoin {
        match code {
            ErrorCode::REBALANCE_IN_PROGRESS => NextJoin::Again,
            ErrorCode::UNKNOWN_MEMBER_ID => {
                self.forget(true);
                NextJoin::Again
            }
            ErrorCode::ILLEGAL_GENERATION => {
                self.forget(false);
                NextJoin::Again
            }
            _ => otherwise(code),
        }
    }

    /// Notes that the membership ended. If `id` is true, the member id is forgotten too.
    pub(crate) fn forget(&mut self, id: bool) {
        self.generation = None;
        if id {
            self.id = None;
        }
    }
}

/// Returns the meaning of the error code in an answer to a heartbeat or a commit.
pub(crate) fn pulse(code: Option<ErrorCode>) -> Pulse {
    let Some(code) = code else {
        return Pulse::Alive;
    };
    match code {
        ErrorCode::REBALANCE_IN_PROGRESS => Pulse::Rebalance,
        ErrorCode::ILLEGAL_GENERATION => Pulse::Superseded,
        ErrorCode::UNKNOWN_MEMBER_ID => Pulse::Lost { forgotten: true },
        ErrorCode::FENCED_MEMBER_EPOCH => Pulse::Lost { forgotten: false },
        // The coordinator knows a newer epoch, which comes with the answer to a heartbeat.
        ErrorCode::STALE_MEMBER_EPOCH => Pulse::Unsure { relocate: false },
        ErrorCode::FENCED_INSTANCE_ID => Pulse::Fail(fenced(code)),
        _ if code.is_stale_coordinator() => Pulse::Unsure { relocate: true },
        _ if code.is_retriable() || is_unknown(code) => Pulse::Unsure { relocate: false },
        _ => Pulse::Fail(Error::broker(code)),
    }
}

/// Returns the next step for codes that mean the same for a join and a sync.
fn otherwise(code: ErrorCode) -> NextJoin {
    match code {
        ErrorCode::FENCED_INSTANCE_ID => NextJoin::Fail(fenced(code)),
        _ if code.is_stale_coordinator() => NextJoin::Relocate,
        ErrorCode::REBALANCE_IN_PROGRESS => NextJoin::Later,
        _ if code.is_retriable() || is_unknown(code) => NextJoin::Later,
        _ => NextJoin::Fail(Error::broker(code)),
    }
}

/// Returns true if the code says nothing, since it is UNKNOWN_SERVER_ERROR or a code that this
/// client does not know.
pub(crate) fn is_unknown(code: ErrorCode) -> bool {
    code == ErrorCode::UNKNOWN_SERVER_ERROR || code.name().is_none()
}

fn fenced(code: ErrorCode) -> Error {
    let what = "another consumer joined with the same group.instance.id";
    Error::new(ErrorKind::Fenced, what)
        .setting("group.instance.id")
        .with_source(Error::broker(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member() -> ClassicMember {
        let mut member = ClassicMember::default();
        member.joined("m-1", 3);
        member
    }

    #[test]
    fn a_required_member_id_is_taken_and_sent_at_once() {
        let mut fresh = ClassicMember::default();
        let next = fresh.join_refused(ErrorCode::MEMBER_ID_REQUIRED, "m-7");
        assert!(matches!(next, NextJoin::Again));
        assert_eq!(fresh.id(), "m-7");
        assert_eq!(fresh.membership(), None);
    }

    #[test]
    fn a_forgotten_member_joins_as_a_new_one_and_a_late_one_keeps_its_id() {
        let mut gone = member();
        assert!(matches!(
            gone.sync_refused(ErrorCode::UNKNOWN_MEMBER_ID),
            NextJoin::Again
        ));
        assert_eq!(gone.id(), "");
        let mut late = member();
        assert!(matches!(
            late.sync_refused(ErrorCode::ILLEGAL_GENERATION),
            NextJoin::Again
        ));
        assert_eq!((late.id(), late.membership()), ("m-1", None));
    }

    #[test]
    fn a_moved_or_loading_coordinator_never_resets_the_member() {
        for code in [
            ErrorCode::NOT_COORDINATOR,
            ErrorCode::COORDINATOR_NOT_AVAILABLE,
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ] {
            let mut moved = member();
            assert!(!matches!(moved.join_refused(code, ""), NextJoin::Fail(_)));
            assert_eq!(moved, member());
            assert!(matches!(pulse(Some(code)), Pulse::Unsure { .. }));
        }
        assert!(matches!(
            pulse(Some(ErrorCode::NOT_COORDINATOR)),
            Pulse::Unsure { relocate: true }
        ));
    }

    #[test]
    fn what_says_nothing_about_the_membership_changes_nothing_of_it() {
        for code in [-1, 9999].into_iter().filter_map(ErrorCode::from_wire) {
            assert!(matches!(pulse(Some(code)), Pulse::Unsure { .. }), "{code}");
            let mut met = member();
            assert!(
                matches!(met.join_refused(code, ""), NextJoin::Later),
                "{code}"
            );
            assert!(matches!(met.sync_refused(code), NextJoin::Later), "{code}");
            assert_eq!(met, member());
        }
    }

    #[test]
    fn a_heartbeat_tells_a_rebalance_from_a_loss() {
        assert!(matches!(pulse(None), Pulse::Alive));
        assert!(matches!(
            pulse(Some(ErrorCode::REBALANCE_IN_PROGRESS)),
            Pulse::Rebalance
        ));
        assert!(matches!(
            pulse(Some(ErrorCode::UNKNOWN_MEMBER_ID)),
            Pulse::Lost { forgotten: true }
        ));
        assert!(matches!(
            pulse(Some(ErrorCode::ILLEGAL_GENERATION)),
            Pulse::Superseded
        ));
    }

    #[test]
    fn a_refusal_that_waiting_cannot_mend_names_the_setting() {
        let mut fresh = ClassicMember::default();
        for (code, key) in [
            (
                ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
                "partition.assignment.strategy",
            ),
            (ErrorCode::INVALID_SESSION_TIMEOUT, "session.timeout.ms"),
        ] {
            let NextJoin::Fail(error) = fresh.join_refused(code, "") else {
                panic!("{code:?} cannot be mended by waiting");
            };
            assert_eq!(error.place().setting.as_deref(), Some(key));
        }
        let NextJoin::Fail(error) = fresh.join_refused(ErrorCode::FENCED_INSTANCE_ID, "") else {
            panic!("a fenced instance must not join again");
        };
        assert_eq!(error.kind(), ErrorKind::Fenced);
    }
}
