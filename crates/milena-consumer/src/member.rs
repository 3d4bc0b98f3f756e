//! A classic group member's life: who it is, and what each refusal of the coordinator means for it. Pure.

use std::sync::Arc;

use milena_core::{Error, ErrorCode, ErrorKind};

/// The member's identity as the coordinator knows it; it changes only through answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    id: Option<Arc<str>>,
    generation: Option<i32>,
}

/// What commits and heartbeats carry: valid from a join's answer to the next join or loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) member: Arc<str>,
    /// The member epoch, where the coordinator assigns.
    pub(crate) generation: i32,
}

/// What to do after a request of the group was refused.
#[derive(Clone, Debug)]
pub(crate) enum Next {
    /// Join again at once.
    Again,
    /// Join again after a backoff.
    Later,
    /// Look the coordinator up anew, then join again after a backoff.
    Relocate,
    /// The group cannot be joined.
    Fail(Error),
}

/// What an answer to a heartbeat or a commit says about the membership.
#[derive(Clone, Debug)]
pub(crate) enum Pulse {
    /// All is well.
    Alive,
    /// The group rebalances: give back what is owned, then join again.
    Rebalance,
    /// The group is in another generation than the one that was named: between rebalances that means that it went on without this
    /// member, during one nothing.
    Superseded,
    /// The group went on without this member: nothing of it can be committed any more.
    Lost {
        /// Whether the coordinator has forgotten the member id too.
        forgotten: bool,
    },
    /// The answer says nothing about the membership: try again soon, after looking the coordinator up anew if so told.
    Unsure {
        /// Whether another broker may be the coordinator now.
        relocate: bool,
    },
    /// The member cannot go on.
    Fail(Error),
}

impl Member {
    /// The id to join with; empty before the first join.
    pub(crate) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    /// The membership, while there is one.
    pub(crate) fn membership(&self) -> Option<Membership> {
        Some(Membership {
            member: self.id.clone()?,
            generation: self.generation?,
        })
    }

    /// Whether the coordinator counts it among the group's members, as far as is known.
    pub(crate) fn is_in(&self) -> bool {
        self.generation.is_some()
    }

    /// Whether `generation` follows on the one this member was in, so that the group cannot have gone on without it.
    pub(crate) fn is_next(&self, generation: i32) -> bool {
        self.generation
            .is_none_or(|known| generation <= known.saturating_add(1))
    }

    /// The join was answered well.
    pub(crate) fn joined(&mut self, id: &str, generation: i32) {
        self.id = Some(id.into());
        self.generation = Some(generation);
    }

    /// The join was refused; `id` is the one that the answer gives (KIP-394).
    pub(crate) fn join_refused(&mut self, code: ErrorCode, id: &str) -> Next {
        match code {
            ErrorCode::MEMBER_ID_REQUIRED if !id.is_empty() => {
                self.id = Some(id.into());
                Next::Again
            }
            ErrorCode::UNKNOWN_MEMBER_ID => {
                self.forget(true);
                Next::Later
            }
            ErrorCode::INCONSISTENT_GROUP_PROTOCOL => {
                Next::Fail(Error::broker(code).setting("partition.assignment.strategy"))
            }
            ErrorCode::INVALID_SESSION_TIMEOUT => {
                Next::Fail(Error::broker(code).setting("session.timeout.ms"))
            }
            ErrorCode::INVALID_GROUP_ID => Next::Fail(Error::broker(code).setting("group.id")),
            _ => otherwise(code),
        }
    }

    /// The sync was refused.
    pub(crate) fn sync_refused(&mut self, code: ErrorCode) -> Next {
        match code {
            ErrorCode::REBALANCE_IN_PROGRESS => Next::Again,
            ErrorCode::UNKNOWN_MEMBER_ID => {
                self.forget(true);
                Next::Again
            }
            ErrorCode::ILLEGAL_GENERATION => {
                self.forget(false);
                Next::Again
            }
            _ => otherwise(code),
        }
    }

    /// The membership ended; with `id` the member id is worthless, too.
    pub(crate) fn forget(&mut self, id: bool) {
        self.generation = None;
        if id {
            self.id = None;
        }
    }
}

/// What the code of a heartbeat's or a commit's answer says about the membership.
pub(crate) fn pulse(code: Option<ErrorCode>) -> Pulse {
    let Some(code) = code else {
        return Pulse::Alive;
    };
    match code {
        ErrorCode::REBALANCE_IN_PROGRESS => Pulse::Rebalance,
        ErrorCode::ILLEGAL_GENERATION => Pulse::Superseded,
        ErrorCode::UNKNOWN_MEMBER_ID => Pulse::Lost { forgotten: true },
        ErrorCode::FENCED_MEMBER_EPOCH => Pulse::Lost { forgotten: false },
        // A newer one is on its way with a heartbeat's answer.
        ErrorCode::STALE_MEMBER_EPOCH => Pulse::Unsure { relocate: false },
        ErrorCode::FENCED_INSTANCE_ID => Pulse::Fail(fenced(code)),
        _ if code.is_stale_coordinator() => Pulse::Unsure { relocate: true },
        _ if code.is_retriable() || is_unknown(code) => Pulse::Unsure { relocate: false },
        _ => Pulse::Fail(Error::broker(code)),
    }
}

fn otherwise(code: ErrorCode) -> Next {
    match code {
        ErrorCode::FENCED_INSTANCE_ID => Next::Fail(fenced(code)),
        _ if code.is_stale_coordinator() => Next::Relocate,
        ErrorCode::REBALANCE_IN_PROGRESS => Next::Later,
        _ if code.is_retriable() || is_unknown(code) => Next::Later,
        _ => Next::Fail(Error::broker(code)),
    }
}

/// Whether nothing is known about what the code means: a broker's own fault, or a code of the future.
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

    fn member() -> Member {
        let mut member = Member::default();
        member.joined("m-1", 3);
        member
    }

    #[test]
    fn a_required_member_id_is_taken_and_sent_at_once() {
        let mut fresh = Member::default();
        let next = fresh.join_refused(ErrorCode::MEMBER_ID_REQUIRED, "m-7");
        assert!(matches!(next, Next::Again));
        assert_eq!(fresh.id(), "m-7");
        assert_eq!(fresh.membership(), None);
    }

    #[test]
    fn a_forgotten_member_joins_as_a_new_one_and_a_late_one_keeps_its_id() {
        let mut gone = member();
        assert!(matches!(
            gone.sync_refused(ErrorCode::UNKNOWN_MEMBER_ID),
            Next::Again
        ));
        assert_eq!(gone.id(), "");
        let mut late = member();
        assert!(matches!(
            late.sync_refused(ErrorCode::ILLEGAL_GENERATION),
            Next::Again
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
            assert!(!matches!(moved.join_refused(code, ""), Next::Fail(_)));
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
            assert!(matches!(met.join_refused(code, ""), Next::Later), "{code}");
            assert!(matches!(met.sync_refused(code), Next::Later), "{code}");
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
        let mut fresh = Member::default();
        for (code, key) in [
            (
                ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
                "partition.assignment.strategy",
            ),
            (ErrorCode::INVALID_SESSION_TIMEOUT, "session.timeout.ms"),
        ] {
            let Next::Fail(error) = fresh.join_refused(code, "") else {
                panic!("{code:?} cannot be mended by waiting");
            };
            assert_eq!(error.place().setting.as_deref(), Some(key));
        }
        let Next::Fail(error) = fresh.join_refused(ErrorCode::FENCED_INSTANCE_ID, "") else {
            panic!("a fenced instance must not join again");
        };
        assert_eq!(error.kind(), ErrorKind::Fenced);
    }
}
