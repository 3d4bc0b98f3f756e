//! The meaning of a broker's answer for one batch, read purely from its error code.

use std::time::Duration;

use milena_core::{Error, ErrorCode, ErrorKind, Persistence, TopicPartition};

/// The next step for a batch after an attempt.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// The batch is in the log. This includes a batch that the broker had from an earlier attempt,
    /// if it says at which offset.
    Delivered,
    /// The broker has the batch's sequence range from an earlier attempt, and does not say at which
    /// offset.
    Duplicate(Error),
    /// The same bytes are sent again after a while.
    Retry {
        /// The reason.
        error: Error,
        /// True if this attempt may have been written.
        doubt: bool,
        /// True if the leaders have to be looked up first.
        stale: bool,
    },
    /// The broker misses an earlier batch. For the oldest batch it means that the broker forgot
    /// this producer.
    OutOfOrder(Error),
    /// The broker does not know this producer, so it cannot tell whether an earlier attempt was
    /// written.
    Forgotten(Error),
    /// The broker accepts no batch of this size, so the batch is sent in parts.
    TooLarge(Error),
    /// The batch is given up.
    Fail {
        /// The reason.
        error: Error,
        /// True if this attempt may have been written.
        doubt: bool,
    },
}

impl Verdict {
    /// Returns the reason of the verdict. `None` if the batch was delivered.
    pub(crate) fn error_mut(&mut self) -> Option<&mut Error> {
        match self {
            Self::Delivered => None,
            Self::Duplicate(error)
            | Self::OutOfOrder(error)
            | Self::Forgotten(error)
            | Self::TooLarge(error)
            | Self::Retry { error, .. }
            | Self::Fail { error, .. } => Some(error),
        }
    }

    /// Adjusts the verdict to the earlier attempts of the batch. `doubt` is true if one of them may
    /// have been written.
    pub(crate) fn of_batch(self, doubt: bool) -> Self {
        match self {
            Self::Duplicate(_) if doubt => Self::Delivered,
            // No attempt of this batch can have been written, so the range in the broker's memory
            // belongs to another batch.
            Self::Duplicate(error) => Self::OutOfOrder(error),
            // Under a new epoch the batch might be written a second time.
            Self::Forgotten(error) if doubt => Self::Fail { error, doubt },
            Self::Forgotten(error) => Self::OutOfOrder(error),
            verdict => verdict,
        }
    }
}

/// Reads the error code of an answer. `None` is success.
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
        // The leader has, or may have, appended the batch. Only a retry with the same sequence
        // shows it. A leader that waits for its followers answers with the codes of stale metadata
        // too, if the partition was moved or deleted meanwhile.
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

/// Returns true if brokers answer Produce with `code` only before they append anything.
///
/// The list holds the codes that are known to be refusals, and not all others. Nothing is known
/// about a code that a later broker, a proxy or another vendor introduces. A caller that reads "not
/// written" may send the record again and write it twice.
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

/// Reads the error of a request without an answer. The request may have reached the broker, unless
/// the error says that nothing was written.
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
        // This side closed the connection, because it was idle or was replaced.
        ErrorKind::Closed => Verdict::Retry {
            error,
            doubt,
            stale: false,
        },
        _ => Verdict::Fail { error, doubt },
    }
}

/// Returns the error of records that ran out of time after `attempts`. `trouble` is the reason why
/// nothing could be sent lately.
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

/// Returns true if `code` says that the topic or the partition does not exist.
pub(crate) fn is_missing(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::UNKNOWN_TOPIC_ID
    )
}

/// Returns the error of records to `place`, whose topic did not exist for `limit`.
pub(crate) fn missing_topic(place: &TopicPartition, limit: Duration) -> Error {
    let topic = &place.topic;
    let what = format!(
        "for {limit:?} the cluster reported that the topic or the partition does not exist; check its name, or create it with \
         `milena topics create {topic}` or `client.admin().create_topics(…)`"
    );
    let error = Error::broker(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    error.at(place).with_source(what)
}

/// Returns true if a request has no answer because its connection accepted no further request.
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
