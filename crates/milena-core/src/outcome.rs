//! The answer of a handler, which decides what happens to the record.

use std::borrow::Cow;
use std::time::Duration;

use crate::Timestamp;

/// A reason, in words for people.
pub type Reason = Cow<'static, str>;

/// A decision about a record. It has no effect by itself, since only the driver settles offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "an outcome that is not returned settles nothing"]
pub enum Outcome {
    /// The record is done. Its offset may be committed.
    Ack,
    /// The record was skipped on purpose. Its offset may be committed.
    Skip(Reason),
    /// The record must be retried.
    Retry {
        /// The wait before the next attempt. `None` uses the retry layer's backoff.
        after: Option<Duration>,
        /// The reason.
        reason: Reason,
    },
    /// The record must be written to the dead letter topic. Without a dead letter layer the lane
    /// stops, and nothing is lost.
    DeadLetter(Reason),
    /// The record was written to a dead letter topic and a broker acknowledged it. Its offset may
    /// be committed. Dead letter layers answer with this.
    DeadLettered(Reason),
    /// The record was written to a retry topic and a broker acknowledged it. It is read again from
    /// there when its time has come. Its offset may be committed. Delayed retry layers answer with
    /// this.
    Forwarded(Reason),
    /// The record must not be processed before that time. The lane waits, the partition is paused,
    /// and no attempt is counted.
    Hold(Timestamp),
    /// The consumer must stop. The record is not settled and will be read again.
    Stop(Reason),
}

impl Outcome {
    /// Returns [`Outcome::Skip`] with a reason.
    pub fn skip(reason: impl Into<Reason>) -> Self {
        Self::Skip(reason.into())
    }

    /// Returns [`Outcome::Retry`] with the wait of the retry layer's backoff.
    pub fn retry(reason: impl Into<Reason>) -> Self {
        Self::Retry {
            after: None,
            reason: reason.into(),
        }
    }

    /// Returns [`Outcome::Retry`] with a wait.
    pub fn retry_after(after: Duration, reason: impl Into<Reason>) -> Self {
        Self::Retry {
            after: Some(after),
            reason: reason.into(),
        }
    }

    /// Returns [`Outcome::DeadLetter`] with a reason.
    pub fn dead_letter(reason: impl Into<Reason>) -> Self {
        Self::DeadLetter(reason.into())
    }

    /// Returns [`Outcome::Stop`] with a reason.
    pub fn stop(reason: impl Into<Reason>) -> Self {
        Self::Stop(reason.into())
    }

    /// Returns true if the offset may be committed once the driver has this outcome.
    #[must_use]
    pub const fn settles(&self) -> bool {
        matches!(
            self,
            Self::Ack | Self::Skip(_) | Self::DeadLettered(_) | Self::Forwarded(_)
        )
    }

    /// Returns the outcome as one word, for logs and labels.
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
