//! The reason why a partition cannot be fetched, and the time since when.

use std::time::Duration;

use milena_core::{Error, ErrorCode, TopicPartition};
use tokio::time::Instant;

/// Failures of a partition in a row, of fetches or lookups. Empty while it can be read.
#[derive(Debug, Default)]
pub(super) struct Troubles(Option<Trouble>);

/// Failures in a row.
#[derive(Debug)]
struct Trouble {
    /// The time of the first failure.
    since: Instant,
    /// The latest error.
    error: Error,
    /// True if the latest error is of a whole request, and not of this partition alone.
    of_broker: bool,
    /// True once the failures were logged.
    told: bool,
}

impl Troubles {
    /// Notes that the partition could not be fetched or its position not be looked up. Returns true
    /// if that is to be logged.
    ///
    /// Failures in a row are logged once. Errors that every change of a leader brings are logged
    /// only if they last.
    pub(super) fn note(&mut self, now: Instant, error: &Error) -> bool {
        let trouble = self.add(now, error, false);
        let passes = error.code().is_some_and(ErrorCode::is_stale_metadata);
        let tell = !trouble.told && (!passes || now - trouble.since >= ROUTINE);
        trouble.told |= tell;
        tell
    }

    /// Notes that a request for it and others failed as a whole. The caller logs that once per
    /// broker. Returns true for the first failure in a row.
    pub(super) fn note_of_broker(&mut self, now: Instant, error: &Error) -> bool {
        let first = self.0.is_none();
        self.add(now, error, true).told = true;
        first
    }

    /// Returns true if this partition alone is refused, or could not be looked up.
    pub(super) fn is_refused(&self) -> bool {
        self.0.as_ref().is_some_and(|trouble| !trouble.of_broker)
    }

    /// Returns true if the latest error says that its topic may not be read.
    pub(super) fn is_denied(&self) -> bool {
        let code = self.0.as_ref().and_then(|trouble| trouble.error.code());
        code.is_some_and(ErrorCode::is_authorization)
    }

    /// Notes that its broker answers again, though the answer says nothing about this partition.
    pub(super) fn broker_answers(&mut self) {
        self.0.take_if(|trouble| trouble.of_broker);
    }

    /// Returns the latest error, and the time since the first one.
    pub(super) fn latest(&self, now: Instant) -> Option<(Error, Duration)> {
        let trouble = self.0.as_ref()?;
        let age = now.saturating_duration_since(trouble.since);
        Some((trouble.error.clone(), age))
    }

    /// Notes that the partition was fetched or looked up. Logs that if a failure of this partition
    /// alone was logged.
    pub(super) fn end(&mut self, partition: &TopicPartition) {
        if let Some(trouble) = self.0.take()
            && trouble.told
            && !trouble.of_broker
        {
            tracing::info!(%partition, after = ?trouble.since.elapsed(), "a partition can be read again");
        }
    }

    /// Notes an error, and returns the failures in a row.
    fn add(&mut self, now: Instant, error: &Error, of_broker: bool) -> &mut Trouble {
        let trouble = self.0.get_or_insert_with(|| Trouble {
            since: now,
            error: error.clone(),
            of_broker,
            told: false,
        });
        trouble.error = error.clone();
        trouble.of_broker = of_broker;
        trouble
    }
}

/// The time within which most changes of a leader are over.
const ROUTINE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_error_of_every_change_of_a_leader_is_logged_once_it_lasts() {
        let (mut troubles, now) = (Troubles::default(), Instant::now());
        let passing = Error::broker(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        assert!(!troubles.note(now, &passing));
        assert!(troubles.note(now + ROUTINE, &passing));
        assert!(!troubles.note(now + ROUTINE, &passing), "once in a row");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_the_broker_ends_no_refusal_of_the_partition_alone() {
        let (mut troubles, now) = (Troubles::default(), Instant::now());
        let denied = Error::broker(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        assert!(troubles.note_of_broker(now, &denied));
        troubles.broker_answers();
        assert!(troubles.latest(now).is_none());
        assert!(troubles.note(now, &denied));
        troubles.broker_answers();
        assert!(troubles.is_refused() && troubles.is_denied());
    }
}
