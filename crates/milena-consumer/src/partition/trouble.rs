//! Why a partition cannot be fetched, and since when.

use milena_core::{Error, ErrorCode};
use tokio::time::Instant;

use super::{Partition, State};

/// Failures in a row.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) since: Instant,
    /// The latest.
    pub(super) error: Error,
    /// Whether it is that of a whole fetch, and not of this partition alone.
    of_broker: bool,
    /// Whether it was logged.
    told: bool,
}

impl Partition {
    /// Notes that it could not be fetched, or its position not looked up. Returns whether that is to be logged: once for failures in a
    /// row, and for what any change of leaders brings only where it lasts.
    pub(crate) fn troubled(&self, now: Instant, error: &Error) -> bool {
        let mut state = self.state.lock();
        let trouble = state.note_trouble(now, error, false);
        let passes = error.code().is_some_and(ErrorCode::is_stale_metadata);
        let tell = !trouble.told && (!passes || now - trouble.since >= ROUTINE);
        trouble.told |= tell;
        tell
    }

    /// Notes that a fetch of it and others failed as a whole, which is logged by broker. Returns whether it is the first failure in a row.
    pub(crate) fn troubled_with_broker(&self, now: Instant, error: &Error) -> bool {
        let mut state = self.state.lock();
        let first = state.trouble.is_none();
        state.note_trouble(now, error, true).told = true;
        first
    }

    /// Whether it alone is refused, or could not be looked up.
    pub(crate) fn is_refused(&self) -> bool {
        let state = self.state.lock();
        state
            .trouble
            .as_ref()
            .is_some_and(|trouble| !trouble.of_broker)
    }

    /// Whether its topic may not be read, as a broker said last.
    pub(crate) fn is_denied(&self) -> bool {
        let state = self.state.lock();
        let code = state
            .trouble
            .as_ref()
            .and_then(|trouble| trouble.error.code());
        code.is_some_and(ErrorCode::is_authorization)
    }

    /// Notes that its broker answers again, though the answer tells nothing new of it.
    pub(crate) fn broker_answers(&self) {
        self.state
            .lock()
            .trouble
            .take_if(|trouble| trouble.of_broker);
    }
}

impl State {
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

    /// Notes that it was fetched, or looked up.
    pub(super) fn is_well(&mut self, partition: &milena_core::TopicPartition) {
        if let Some(trouble) = self.trouble.take()
            && trouble.told
            && !trouble.of_broker
        {
            tracing::info!(%partition, after = ?trouble.since.elapsed(), "a partition can be read again");
        }
    }
}

/// How long a change of leaders takes at most, mostly.
const ROUTINE: std::time::Duration = std::time::Duration::from_secs(2);
