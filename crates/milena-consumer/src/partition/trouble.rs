//! The reason why a partition cannot be fetched, and the time since when.

use milena_core::{Error, ErrorCode};
use tokio::time::Instant;

use super::{Partition, PartitionState};

/// Failures of a partition in a row, of fetches or lookups.
#[derive(Debug)]
pub(super) struct Trouble {
    /// The time of the first failure.
    pub(super) since: Instant,
    /// The latest error.
    pub(super) error: Error,
    /// True if the latest error is of a whole request, and not of this partition alone.
    of_broker: bool,
    /// True once the failures were logged.
    told: bool,
}

impl Partition {
    /// Notes that it could not be fetched or its position not be looked up. Returns true if that is
    /// to be logged.
    ///
    /// Failures in a row are logged once. Errors that every change of a leader brings are logged
    /// only if they last.
    pub(crate) fn troubled(&self, now: Instant, error: &Error) -> bool {
        let mut state = self.state.lock();
        let trouble = state.note_trouble(now, error, false);
        let passes = error.code().is_some_and(ErrorCode::is_stale_metadata);
        let tell = !trouble.told && (!passes || now - trouble.since >= ROUTINE);
        trouble.told |= tell;
        tell
    }

    /// Notes that a request for it and others failed as a whole. The caller logs that once per
    /// broker. Returns true for the first failure in a row.
    pub(crate) fn troubled_with_broker(&self, now: Instant, error: &Error) -> bool {
        let mut state = self.state.lock();
        let first = state.trouble.is_none();
        state.note_trouble(now, error, true).told = true;
        first
    }

    /// Returns true if this partition alone is refused, or could not be looked up.
    pub(crate) fn is_refused(&self) -> bool {
        let state = self.state.lock();
        state
            .trouble
            .as_ref()
            .is_some_and(|trouble| !trouble.of_broker)
    }

    /// Returns true if the latest error says that its topic may not be read.
    pub(crate) fn is_denied(&self) -> bool {
        let state = self.state.lock();
        let code = state
            .trouble
            .as_ref()
            .and_then(|trouble| trouble.error.code());
        code.is_some_and(ErrorCode::is_authorization)
    }

    /// Notes that its broker answers again, though the answer says nothing about this partition.
    pub(crate) fn broker_answers(&self) {
        self.state
            .lock()
            .trouble
            .take_if(|trouble| trouble.of_broker);
    }
}

impl PartitionState {
    /// Notes an error, and returns the failures in a row.
    fn note_trouble(&mut self, now: Instant, error: &Error, of_broker: bool) -> &mut Trouble {
        let trouble = self.trouble.get_or_insert_with(|| Trouble {
            since: now,
            error: error.clone(),
            of_broker,
            told: false,
        });
        trouble.error = error.clone();
        trouble.of_broker = of_broker;
        trouble
    }

    /// Notes that it was fetched or looked up. Logs that if a failure of this partition alone was
    /// logged.
    pub(super) fn is_well(&mut self, partition: &milena_core::TopicPartition) {
        if let Some(trouble) = self.trouble.take()
            && trouble.told
            && !trouble.of_broker
        {
            tracing::info!(%partition, after = ?trouble.since.elapsed(), "a partition can be read again");
        }
    }
}

/// The time within which most changes of a leader are over.
const ROUTINE: std::time::Duration = std::time::Duration::from_secs(2);
