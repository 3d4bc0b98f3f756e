//! Decides what a refused heartbeat of the consumer protocol means for a member. Pure.

use milena_core::{Error, ErrorCode, ErrorKind};

use super::protocol::refused;
use crate::group::member::is_unknown;

/// Reaction to a refused heartbeat.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// Other members own the partitions. Release all of them and join again with the same member
    /// id.
    Rejoin,
    /// Another broker may be the coordinator now. Ask again after a wait, with everything in the
    /// request.
    Relocate,
    /// Ask again after a wait, with everything in the request.
    Later,
    /// Another consumer holds the instance id, which may be this one's predecessor that crashed.
    /// Ask again until its session is over.
    Held(Error),
    /// The member cannot go on.
    Fail(Error),
}

/// Returns the reaction to the error code of a heartbeat. `why` is the broker's own explanation.
pub(super) fn refusal(code: ErrorCode, why: Option<&str>) -> Refusal {
    match code {
        ErrorCode::FENCED_MEMBER_EPOCH | ErrorCode::UNKNOWN_MEMBER_ID => Refusal::Rejoin,
        ErrorCode::FENCED_INSTANCE_ID => Refusal::Fail(fenced(
            code,
            "another consumer joined with the same group.instance.id",
        )),
        ErrorCode::UNRELEASED_INSTANCE_ID => Refusal::Held(fenced(
            code,
            "another consumer holds the same group.instance.id",
        )),
        _ if code.is_stale_coordinator() => Refusal::Relocate,
        _ if code.is_retriable() || is_unknown(code) => Refusal::Later,
        _ => Refusal::Fail(refused(code, why)),
    }
}

fn fenced(code: ErrorCode, what: &'static str) -> Error {
    Error::new(ErrorKind::Fenced, what)
        .setting("group.instance.id")
        .with_source(Error::broker(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fenced_epoch_joins_again_and_a_fenced_instance_ends() {
        for code in [ErrorCode::FENCED_MEMBER_EPOCH, ErrorCode::UNKNOWN_MEMBER_ID] {
            assert!(matches!(refusal(code, None), Refusal::Rejoin));
        }
        let Refusal::Fail(error) = refusal(ErrorCode::FENCED_INSTANCE_ID, None) else {
            panic!("a twin took over");
        };
        assert_eq!(error.kind(), ErrorKind::Fenced);
    }

    #[test]
    fn a_coordinator_that_moves_or_loads_changes_nothing() {
        for code in [
            ErrorCode::NOT_COORDINATOR,
            ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ] {
            assert!(matches!(refusal(code, None), Refusal::Relocate));
        }
        let loading = refusal(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, None);
        assert!(matches!(loading, Refusal::Later));
        for unknown in [-1, 9999].into_iter().filter_map(ErrorCode::from_wire) {
            assert!(matches!(refusal(unknown, None), Refusal::Later));
        }
    }

    #[test]
    fn what_waiting_cannot_mend_names_the_setting_and_the_brokers_words() {
        for (code, key) in [
            (ErrorCode::UNSUPPORTED_ASSIGNOR, "group.remote.assignor"),
            (ErrorCode::INVALID_REGULAR_EXPRESSION, "topic_pattern"),
            (ErrorCode::GROUP_ID_NOT_FOUND, "group.protocol"),
        ] {
            let Refusal::Fail(error) = refusal(code, Some("because")) else {
                panic!("{code:?} cannot be mended by waiting");
            };
            assert_eq!(error.place().setting.as_deref(), Some(key));
            assert!(std::error::Error::source(&error).is_some());
        }
    }
}
