//! A batch on the sender's side: closed, in its place in the partition's order, until it has its fate.

use std::sync::Arc;

use milena_core::{Error, Persistence};
use milena_protocol::batch::{ProducerStamp, SealedBatch};
use tokio::time::Instant;

use crate::delivery::{Fate, Receipt};
use crate::memory::Charge;

/// The place of a batch in its partition's order; parts of a split batch keep the batch's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) number: u64,
    /// The index of the part's first record in the batch as it was.
    pub(crate) first: u32,
}

/// A closed batch.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) place: Place,
    /// `None` while it is being compressed.
    pub(crate) sealed: Option<SealedBatch>,
    pub(crate) count: u32,
    pub(crate) receipt: Arc<Receipt>,
    pub(crate) charge: Charge,
    pub(crate) opened: Instant,
    /// When it was sent first.
    pub(crate) first_sent: Option<Instant>,
    /// The sequence range, from the first sending on.
    pub(crate) stamp: Option<ProducerStamp>,
    /// How many batches had a range before it, where it has one.
    pub(crate) range: u64,
    /// How often it was sent.
    pub(crate) attempts: u32,
    /// Whether an attempt may have been written.
    pub(crate) doubt: bool,
    /// Whether it is a part of a batch that was cut while in doubt: out of order, the broker may hold the whole.
    pub(crate) suspect: bool,
    /// How often records that a broker refused were taken out of it.
    pub(crate) trims: u8,
}

impl Batch {
    /// An empty batch with the past of this one: for its parts, which bring what is theirs. It is charged for nothing.
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

    /// The bytes that it takes on the wire.
    pub(crate) fn wire_len(&self) -> usize {
        self.sealed.as_ref().map_or(0, SealedBatch::wire_len)
    }

    /// The bytes of its records before compression, with the header.
    pub(crate) fn plain_len(&self) -> usize {
        self.sealed.as_ref().map_or(0, |sealed| {
            sealed.wire_len() - sealed.body().len() + sealed.uncompressed_len()
        })
    }

    /// Whether its records may be in the log although nobody acknowledged them.
    pub(crate) fn persistence(&self) -> Persistence {
        if self.doubt {
            Persistence::PossiblyWritten
        } else {
            Persistence::NotWritten
        }
    }

    /// The error for its records: `error`, placed, with what is known of the log.
    pub(crate) fn failure(&self, error: Error, at: &milena_core::TopicPartition) -> Error {
        error.at(at).with_persistence(self.persistence())
    }

    /// Settles it as given up for `error`: how many records that fails, and with what; `None` when it had its fate before.
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
