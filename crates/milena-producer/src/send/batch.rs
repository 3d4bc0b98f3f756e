//! A closed batch on the sender's side, in its place in the partition's order, until it has its
//! outcome.

use std::sync::Arc;

use milena_core::{Error, Persistence};
use milena_protocol::batch::{BatchBuilder, ProducerStamp, SealedBatch};
use tokio::time::Instant;

use crate::delivery::{Fate, Receipt};
use crate::enqueue::memory::Charge;
use crate::enqueue::partition::OpenBatch;

/// The place of a batch in its partition's order. Parts of a split batch keep the batch's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The number of the batch, counted up by the partition's queue.
    pub(crate) number: u64,
    /// The index of the part's first record in the original batch. 0 for a whole batch.
    pub(crate) first: u32,
}

/// A closed batch.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The place in the partition's order.
    pub(crate) place: Place,
    /// The encoded records. `None` while they are being compressed or rebuilt.
    pub(crate) sealed: Option<SealedBatch>,
    /// The number of records.
    pub(crate) count: u32,
    /// The receipt that the deliveries of its records share.
    pub(crate) receipt: Arc<Receipt>,
    /// The bytes of the budget that the batch holds until it has its outcome.
    pub(crate) charge: Charge,
    /// The time at which it was opened. The delivery timeout runs from here.
    pub(crate) opened: Instant,
    /// The time at which it was first sent. `None` before.
    pub(crate) first_sent: Option<Instant>,
    /// The producer id, epoch and sequence. Set at the first send, and `None` before or without
    /// idempotence.
    pub(crate) stamp: Option<ProducerStamp>,
    /// The number of ranges that the partition had given out before this batch's. 0 before the
    /// first send.
    pub(crate) range: u64,
    /// The number of times that it was sent.
    pub(crate) attempts: u32,
    /// True if an attempt may have been written.
    pub(crate) doubt: bool,
    /// True if this batch is one part of a batch that was split after an attempt of unknown
    /// outcome. If the broker answers OUT_OF_ORDER, the unsplit batch may already be in the log.
    pub(crate) suspect: bool,
    /// The number of times that refused records were taken out of it.
    pub(crate) trims: u8,
}

impl Batch {
    /// Returns the batch that a caller's open batch becomes at `place`, without its bytes, and the
    /// builder that holds them.
    pub(crate) fn closed(place: Place, open: OpenBatch) -> (BatchBuilder, Self) {
        let OpenBatch {
            builder,
            receipt,
            charge,
            opened,
            ..
        } = open;
        let batch = Self {
            place,
            sealed: None,
            count: builder.count(),
            receipt,
            charge,
            opened,
            first_sent: None,
            stamp: None,
            range: 0,
            attempts: 0,
            doubt: false,
            suspect: false,
            trims: 0,
        };
        (builder, batch)
    }

    /// Returns an empty batch with the history of this one, from which its parts are made. It holds
    /// no bytes of the budget.
    pub(crate) fn like(&mut self) -> Self {
        Self {
            place: self.place,
            sealed: None,
            count: 0,
            receipt: self.receipt.clone(),
            charge: self.charge.split(0),
            opened: self.opened,
            first_sent: self.first_sent,
            stamp: self.stamp,
            range: self.range,
            attempts: self.attempts,
            doubt: self.doubt,
            suspect: self.suspect,
            trims: self.trims,
        }
    }

    /// Returns the bytes that it takes on the wire. 0 while it is being compressed.
    pub(crate) fn wire_len(&self) -> usize {
        self.sealed.as_ref().map_or(0, SealedBatch::wire_len)
    }

    /// Returns the bytes of its header and its records before compression. 0 while it is being
    /// compressed.
    pub(crate) fn plain_len(&self) -> usize {
        self.sealed.as_ref().map_or(0, |sealed| {
            sealed.wire_len() - sealed.body().len() + sealed.uncompressed_len()
        })
    }

    /// Returns whether its records may be in the log although no broker acknowledged them.
    pub(crate) fn persistence(&self) -> Persistence {
        if self.doubt {
            Persistence::PossiblyWritten
        } else {
            Persistence::NotWritten
        }
    }

    /// Adds the partition and the persistence to an error of its records.
    pub(crate) fn failure(&self, error: Error, at: &milena_core::TopicPartition) -> Error {
        error.at(at).with_persistence(self.persistence())
    }

    /// Gives the batch up for `error`. Returns the number of records that fail, and their error.
    /// `None` if the batch had its outcome before.
    pub(crate) fn fail(
        &self,
        error: Error,
        at: &milena_core::TopicPartition,
    ) -> Option<(u32, Error)> {
        let error = self.failure(error, at);
        let first = self.receipt.settle(Fate::Failed(error.clone()));
        first.then_some((self.count, error))
    }
}
