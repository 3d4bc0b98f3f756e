//! A record on its way through layers to its handler.

use crate::{CancelToken, ConsumerRecord, Extensions};

/// A consumed record with what the layers and the driver know of this delivery. A clone is cheap.
///
/// It carries no way to acknowledge it: the handler answers with an [`Outcome`](crate::Outcome), and only the driver settles
/// offsets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Incoming {
    /// The record.
    pub record: ConsumerRecord,
    /// Which attempt this is, counted from 1; a retry layer counts it up.
    pub attempt: u32,
    /// Values that layers pass inwards.
    pub extensions: Extensions,
    /// Cancelled when the attempt times out, the partition is revoked or the consumer stops.
    pub cancel: CancelToken,
}

impl Incoming {
    /// The first delivery of `record`.
    #[must_use]
    pub fn new(record: ConsumerRecord) -> Self {
        Self::with_cancel(record, CancelToken::new())
    }

    /// The first delivery of `record`, which `cancel` ends.
    #[must_use]
    pub const fn with_cancel(record: ConsumerRecord, cancel: CancelToken) -> Self {
        Self {
            record,
            attempt: 1,
            extensions: Extensions::new(),
            cancel,
        }
    }
}
