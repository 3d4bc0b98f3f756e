//! What a handler answers: what is to become of the record.

use std::borrow::Cow;
use std::time::Duration;

use crate::Timestamp;

/// Why, in words for a person.
pub type Reason = Cow<'static, str>;

/// What is to become of a record. A value, not an effect: only the driver settles offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "an outcome that is not returned settles nothing"]
pub enum Outcome {
    /// Done: the offset may be committed.
    Ack,
    /// Left undone on purpose: the offset may be committed.
    Skip(Reason),
    /// To be tried again, after the given wait or, with `None`, as the retry layer's backoff says.
    Retry {
        /// The wait before the next attempt.
        after: Option<Duration>,
        /// Why.
        reason: Reason,
    },
    /// To be written to the dead letter topic; without a dead letter layer the lane stops and nothing is lost.
    DeadLetter(Reason),
    /// Was written to a dead letter topic, where a broker acknowledged it: the offset may be committed. The answer of dead letter layers.
    DeadLettered(Reason),
    /// Was written to a retry topic, where a broker acknowledged it and from where it is read again when its time has come: the offset
    /// may be committed. The answer of delayed retry layers.
    Forwarded(Reason),
    /// Not before that time: the lane waits, the partition pauses, no attempt is counted.
    Hold(Timestamp),
    /// The consumer is to stop; this record is not settled and will be read again.
    Stop(Reason),
}

impl Outcome {
    /// [`Outcome::Skip`] with a reason.
    pub fn skip(reason: impl Into<Reason>) -> Self {
        Self::Skip(reason.into())
    }

    /// [`Outcome::Retry`] as the retry layer's backoff says.
    pub fn retry(reason: impl Into<Reason>) -> Self {
        Self::Retry {
            after: None,
            reason: reason.into(),
        }
    }

    /// [`Outcome::Retry`] after a wait.
    pub fn retry_after(after: Duration, reason: impl Into<Reason>) -> Self {
        Self::Retry {
            after: Some(after),
            reason: reason.into(),
        }
    }

    /// [`Outcome::DeadLetter`] with a reason.
    pub fn dead_letter(reason: impl Into<Reason>) -> Self {
        Self::DeadLetter(reason.into())
    }

    /// [`Outcome::Stop`] with a reason.
    pub fn stop(reason: impl Into<Reason>) -> Self {
        Self::Stop(reason.into())
    }

    /// Whether the offset may be committed once this is returned to the driver.
    #[must_use]
    pub const fn settles(&self) -> bool {
        matches!(
            self,
            Self::Ack | Self::Skip(_) | Self::DeadLettered(_) | Self::Forwarded(_)
        )
    }

    /// One word, for logs and labels.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Skip(_) => "skip",
            Self::Retry { .. } => "retry",
            Self::DeadLetter(_) => "dead_letter",
            Self::DeadLettered(_) => "dead_lettered",
            Self::Forwarded(_) => "forwarded",
            Self::Hold(_) => "hold",
            Self::Stop(_) => "stop",
        }
    }
}
