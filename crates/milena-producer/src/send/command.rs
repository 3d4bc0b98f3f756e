//! The requests of callers to the send task.

use std::sync::Arc;

use milena_core::{Error, Persistence};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::delivery::Receipt;

/// The requests of callers to the sender, beyond taking their batches.
pub(crate) enum Command {
    /// Sends all that was enqueued so far. The reply holds the receipts of batches without an
    /// outcome.
    Flush(oneshot::Sender<Vec<Arc<Receipt>>>),
    /// Ends the producer once every batch has its outcome. At the deadline of the first close, the
    /// rest is given up.
    Close {
        /// The time at which this call stops waiting, and at which the first call gives up the
        /// rest.
        deadline: Instant,
        /// Receives what was given up, or `None` if this call's deadline passed first.
        reply: oneshot::Sender<Ended>,
    },
}

/// The number of records that a close gave up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GivenUp {
    /// Records that were certainly not written.
    pub(crate) not_written: u64,
    /// Records that may have been written.
    pub(crate) possibly_written: u64,
}

/// The answer to a close. It is the records that were given up, or `None` if this call's deadline
/// passed while an earlier call's has not.
pub(crate) type Ended = Option<GivenUp>;

impl GivenUp {
    /// Counts records that failed with `error`.
    pub(crate) fn count(&mut self, records: u32, error: &Error) {
        match error.persistence() {
            Some(Persistence::PossiblyWritten) => self.possibly_written += u64::from(records),
            _ => self.not_written += u64::from(records),
        }
    }
}
