//! The record that passes through the layers to its handler.

use crate::{CancelToken, Extensions, SharedRecord};

/// A consumed record, with what the layers and the driver know about this delivery. Cloning is
/// cheap.
///
/// It has no method that acknowledges the record. The handler returns an
/// [`Outcome`](crate::Outcome), and only the driver settles offsets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Incoming {
    /// The record. It dereferences to a [`ConsumerRecord`](crate::ConsumerRecord).
    pub record: SharedRecord,
    /// Number of this attempt, counted from 1. A retry layer increases it.
    pub attempt: u32,
    /// Values that outer layers pass to inner layers and to the handler.
    pub extensions: Extensions,
    /// Cancelled when this attempt must end, because it timed out or because its partition was
    /// revoked and the drain time is over.
    pub cancel: CancelToken,
    /// Cancelled when the partition is about to be revoked or the consumer stops. A running attempt
    /// may finish, but no attempt and no wait should begin. The next owner of the partition reads
    /// again what is not settled by then.
    pub stopping: CancelToken,
}

impl Incoming {
    /// Wraps the first delivery of `record`, with tokens that are never cancelled.
    #[must_use]
    pub fn new(record: impl Into<SharedRecord>) -> Self {
        Self::with_cancel(record, CancelToken::new())
    }

    /// Wraps the first delivery of `record`. `cancel` serves as both tokens.
    #[must_use]
    pub fn with_cancel(record: impl Into<SharedRecord>, cancel: CancelToken) -> Self {
        let stopping = cancel.clone();
        Self::with_tokens(record, cancel, stopping)
    }

    /// Wraps the first delivery of `record`. `cancel` ends the attempt, and `stopping` asks that
    /// nothing new begins.
    #[must_use]
    #[inline]
    pub fn with_tokens(
        record: impl Into<SharedRecord>,
        cancel: CancelToken,
        stopping: CancelToken,
    ) -> Self {
        Self {
            record: record.into(),
            attempt: 1,
            extensions: Extensions::new(),
            cancel,
            stopping,
        }
    }
}
