//! A record on its way through layers to its handler.

use crate::{CancelToken, Extensions, SharedRecord};

/// A consumed record with what the layers and the driver know of this delivery. A clone is cheap.
///
/// It carries no way to acknowledge it: the handler answers with an [`Outcome`](crate::Outcome), and only the driver settles
/// offsets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Incoming {
    /// The record; it reads as a [`ConsumerRecord`](crate::ConsumerRecord).
    pub record: SharedRecord,
    /// Which attempt this is, counted from 1; a retry layer counts it up.
    pub attempt: u32,
    /// Values that layers pass inwards.
    pub extensions: Extensions,
    /// Cancelled when this attempt is to end: it timed out, or the partition was given back and the time to drain is over.
    pub cancel: CancelToken,
    /// Cancelled when the partition is to be given back or the consumer stops: an attempt under way may end, but nothing should begin
    /// or be waited for. What is not settled then is read again by the next owner.
    pub stopping: CancelToken,
}

impl Incoming {
    /// The first delivery of `record`.
    #[must_use]
    pub fn new(record: impl Into<SharedRecord>) -> Self {
        Self::with_cancel(record, CancelToken::new())
    }

    /// The first delivery of `record`, which `cancel` ends.
    #[must_use]
    pub fn with_cancel(record: impl Into<SharedRecord>, cancel: CancelToken) -> Self {
        let stopping = cancel.clone();
        Self::with_tokens(record, cancel, stopping)
    }

    /// The first delivery of `record`, which `cancel` ends, and after which nothing is to begin once `stopping` is cancelled.
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
