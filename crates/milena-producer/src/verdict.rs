//! What a broker's answer for one batch means: a pure reading of its error code.

use std::time::Duration;

use milena_core::{Error, ErrorCode, ErrorKind, Persistence};

/// What becomes of a batch after an attempt.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// It is in the log; also when the broker had it from an earlier attempt and says where.
    Delivered,
    /// The broker holds its sequence range from an earlier attempt, and does not say where.
    Duplicate(Error),
    /// Send the same bytes again after a while.
    Retry {
        /// Why.
        error: Error,
        /// Whether this attempt may have been written.
        doubt: bool,
        /// Whether the leaders have to be asked for first.
        stale: bool,
    },
    /// The broker misses what comes before it: of the oldest batch it means that the broker forgot this producer.
    OutOfOrder(Error),
    /// The broker does not know this producer, and so cannot tell whether an earlier attempt was written.
    Forgotten(Error),
    /// The broker takes no batch as large: send it in parts.
    TooLarge(Error),
    /// Give it up.
    Fail {
        /// Why.
        error: Error,
        /// Whether this attempt may have been written.
        doubt: bool,
    },
}

impl Verdict {
    /// The same, for a batch of which an earlier attempt may, or may not, have been written.
    pub(crate) fn of_batch(self, doubt: bool) -> Self {
        match self {
            Self::Duplicate(_) if doubt => Self::Delivered,
            // Never in doubt, it cannot be the batch that the broker holds under this range.
            Self::Duplicate(error) => Self::OutOfOrder(error),
            // Under a new epoch it might be written twice.
            Self::Forgotten(error) if doubt => Self::Fail { error, doubt },
            Self::Forgotten(error) => Self::OutOfOrder(error),
            verdict => verdict,
        }
    }
}

/// Reads the code of an answer; `None` is success.
pub(crate) fn of_answer(code: Option<ErrorCode>) -> Verdict {
    let Some(code) = code else {
        return Verdict::Delivered;
    };
    let error = Error::broker(code).api("Produce");
    match code {
        ErrorCode::DUPLICATE_SEQUENCE_NUMBER => Verdict::Duplicate(error),
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER => Verdict::OutOfOrder(error),
        ErrorCode::UNKNOWN_PRODUCER_ID | ErrorCode::INVALID_PRODUCER_EPOCH => {
            Verdict::Forgotten(error)
        }
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE => Verdict::TooLarge(error),
        ErrorCode::PRODUCER_FENCED => Verdict::Fail {
            error: Error::new(
                ErrorKind::Fenced,
                "another producer uses the same producer id",
            )
            .api("Produce"),
            doubt: false,
        },
        // Appended by the leader, or perhaps: only a retry with the same sequence tells. A leader that waits for its followers
        // answers with the codes of stale metadata too, when the partition was moved or deleted meanwhile.
        ErrorCode::REQUEST_TIMED_OUT
        | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
        | ErrorCode::NETWORK_EXCEPTION
        | ErrorCode::KAFKA_STORAGE_ERROR
        | ErrorCode::NOT_LEADER_OR_FOLLOWER
        | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::UNKNOWN_TOPIC_ID => Verdict::Retry {
            error,
            doubt: true,
            stale: code.is_stale_metadata(),
        },
        code if code.is_retriable() || code.is_stale_metadata() => Verdict::Retry {
            error,
            doubt: !is_before_append(code),
            stale: code.is_stale_metadata(),
        },
        code => Verdict::Fail {
            error,
            doubt: !is_before_append(code),
        },
    }
}

/// Whether a broker answers Produce with `code` only before it appends anything.
///
/// A list of those that are known to be refusals, and not of the others: about a code that a later broker, a proxy or another vendor
/// brings nothing is known, and who is told "not written" may send the record again.
fn is_before_append(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::CORRUPT_MESSAGE
            | ErrorCode::MESSAGE_TOO_LARGE
            | ErrorCode::RECORD_LIST_TOO_LARGE
            | ErrorCode::INVALID_TOPIC_EXCEPTION
            | ErrorCode::NOT_ENOUGH_REPLICAS
            | ErrorCode::INVALID_REQUIRED_ACKS
            | ErrorCode::TOPIC_AUTHORIZATION_FAILED
            | ErrorCode::CLUSTER_AUTHORIZATION_FAILED
            | ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            | ErrorCode::INVALID_TIMESTAMP
            | ErrorCode::UNSUPPORTED_VERSION
            | ErrorCode::INVALID_REQUEST
            | ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT
            | ErrorCode::POLICY_VIOLATION
            | ErrorCode::INVALID_PRODUCER_ID_MAPPING
            | ErrorCode::UNSUPPORTED_COMPRESSION_TYPE
            | ErrorCode::INVALID_RECORD
            | ErrorCode::THROTTLING_QUOTA_EXCEEDED
    )
}

/// Reads a request that got no answer. It was on its way unless the error says that nothing was written.
pub(crate) fn of_failure(error: Error) -> Verdict {
    let doubt = error.persistence() != Some(Persistence::NotWritten);
    match error.kind() {
        ErrorKind::Transport | ErrorKind::Timeout | ErrorKind::Decode | ErrorKind::State => {
            Verdict::Retry {
                error,
                doubt,
                stale: true,
            }
        }
        // A connection that this side closed while it was idle or was replaced.
        ErrorKind::Closed => Verdict::Retry {
            error,
            doubt,
            stale: false,
        },
        _ => Verdict::Fail { error, doubt },
    }
}

/// The error of records that ran out of time after so many `attempts`; `trouble` is why nothing could be sent lately.
pub(crate) fn timed_out(attempts: u32, timeout: Duration, trouble: Option<&Error>) -> Error {
    let what = match attempts {
        0 => "the record was not sent",
        _ => "no broker acknowledged the record",
    };
    let error = Error::new(ErrorKind::Timeout, format!("{what} within {timeout:?}"))
        .setting("delivery.timeout.ms");
    match trouble {
        Some(cause) => error.with_source(cause.clone()),
        None => error,
    }
}

/// Whether a broker says by `code` that the topic is not there.
pub(crate) fn is_missing(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::UNKNOWN_TOPIC_ID
    )
}

/// The error of records whose topic was not there for `limit`.
pub(crate) fn missing_topic(limit: Duration) -> Error {
    let what = format!("the cluster has not known the topic or the partition for {limit:?}");
    Error::broker(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION).with_source(what)
}

/// Whether an answer never came since the connection took no further request.
pub(crate) fn was_not_taken(error: &Error) -> bool {
    error.kind() == ErrorKind::State && error.persistence() == Some(Persistence::NotWritten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_is_told_from_a_delivery() {
        let verdict = of_answer(Some(ErrorCode::DUPLICATE_SEQUENCE_NUMBER));
        assert!(matches!(verdict, Verdict::Duplicate(_)));
        assert!(matches!(of_answer(None), Verdict::Delivered));
    }

    #[test]
    fn an_answer_after_the_append_leaves_doubt_and_a_refusal_does_not() {
        let doubt = |code| match of_answer(Some(code)) {
            Verdict::Retry { doubt, .. } | Verdict::Fail { doubt, .. } => doubt,
            other => panic!("{other:?}"),
        };
        assert!(doubt(ErrorCode::REQUEST_TIMED_OUT));
        assert!(doubt(ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND));
        assert!(doubt(ErrorCode::UNKNOWN_SERVER_ERROR));
        assert!(!doubt(ErrorCode::NOT_ENOUGH_REPLICAS));
        assert!(doubt(ErrorCode::NOT_LEADER_OR_FOLLOWER));
        assert!(!doubt(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    }

    #[test]
    fn only_codes_that_are_known_as_refusals_leave_no_doubt() {
        let sure: Vec<_> = (-1..2_000)
            .filter_map(ErrorCode::from_wire)
            .filter(|code| {
                matches!(
                    of_answer(Some(*code)),
                    Verdict::Retry { doubt: false, .. } | Verdict::Fail { doubt: false, .. }
                )
            })
            .map(ErrorCode::to_wire)
            .collect();
        let known = [
            2, 17, 19, 21, 29, 31, 32, 35, 42, 43, 44, 49, 53, 76, 87, 89, 90,
        ];
        assert_eq!(sure, known);
    }

    #[test]
    fn a_lost_connection_leaves_doubt_unless_nothing_was_written() {
        let lost = Error::new(ErrorKind::Transport, "reset");
        let unsent = lost.clone().with_persistence(Persistence::NotWritten);
        assert!(matches!(
            of_failure(lost),
            Verdict::Retry { doubt: true, .. }
        ));
        assert!(matches!(
            of_failure(unsent),
            Verdict::Retry { doubt: false, .. }
        ));
    }

    #[test]
    fn stale_leaders_are_asked_for() {
        for code in [
            ErrorCode::NOT_LEADER_OR_FOLLOWER,
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode::LEADER_NOT_AVAILABLE,
        ] {
            assert!(matches!(
                of_answer(Some(code)),
                Verdict::Retry { stale: true, .. }
            ));
        }
    }
}
