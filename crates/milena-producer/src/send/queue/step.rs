//! The decisions of a queue, which its callers carry out.

use milena_core::Error;
use tokio::time::Instant;

use crate::send::batch::Batch;
use crate::send::identity::Identity;

/// The thing that a partition may send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing waits, so the open batch may leave.
    Open,
    /// The waiting batch at this index.
    Send(usize),
    /// Nothing before this time.
    Not(Instant),
    /// Nothing before an answer, a compressed batch or a leader comes.
    Later,
    /// Nothing before the producer has an identity.
    NoIdentity,
    /// Nothing before the partition takes an identity other than this.
    Renew(Option<Identity>),
}

/// The effect of an answer on a batch.
#[derive(Debug)]
pub(crate) enum Settled {
    /// The batch is in the log.
    Delivered(Batch),
    /// The batch waits to be sent again, or its halves do.
    Retried {
        /// The number of times that it was sent.
        attempts: u32,
        /// The number of records that it holds.
        records: u32,
        /// The reason for the retry.
        error: Error,
    },
    /// The batch is given up.
    Failed(Batch, Error),
    /// The broker found the batch too large, and it has to be sent in parts.
    TooLarge(Batch, Error),
    /// The batch had its outcome before, so there is nothing to report.
    Gone,
}
