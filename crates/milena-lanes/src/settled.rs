//! The ends of a record whose offset may be committed.

use milena_core::Outcome;

/// The end of a record that is done. Its source may forget it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Settled {
    /// The handler acknowledged the record.
    Acked,
    /// The record was skipped on purpose.
    Skipped,
    /// The record was written to a dead letter topic.
    DeadLettered,
    /// The record was written to a retry topic, from which it is read again later.
    Forwarded,
}

impl Settled {
    /// Returns the end that an outcome stands for. `None` if the record is not done.
    #[must_use]
    #[inline]
    pub const fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Ack => Some(Self::Acked),
            Outcome::Skip(_) => Some(Self::Skipped),
            Outcome::DeadLettered(_) => Some(Self::DeadLettered),
            Outcome::Forwarded(_) => Some(Self::Forwarded),
            _ => None,
        }
    }

    /// Returns the [name](Outcome::name) of the outcome.
    #[must_use]
    #[inline]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acked => "ack",
            Self::Skipped => "skip",
            Self::DeadLettered => "dead_lettered",
            Self::Forwarded => "forwarded",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_outcomes_that_settle_are_ends_and_keep_their_names() {
        for outcome in [
            Outcome::Ack,
            Outcome::skip("old"),
            Outcome::retry("busy"),
            Outcome::dead_letter("refused"),
            Outcome::DeadLettered("refused".into()),
            Outcome::Forwarded("busy".into()),
            Outcome::Hold(milena_core::Timestamp::from_millis(0)),
            Outcome::stop("full"),
        ] {
            let end = Settled::of(&outcome);
            assert_eq!(end.is_some(), outcome.settles(), "{outcome:?}");
            assert!(end.is_none_or(|end| end.name() == outcome.name()));
        }
    }
}
