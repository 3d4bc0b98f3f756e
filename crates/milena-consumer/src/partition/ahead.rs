//! Batches of a partition that are unpacked beside their reader, in the order of the log.

use std::sync::Arc;

use milena_core::Offset;
use milena_fetch::{Bad, Closed, Pinned};
use milena_protocol::batch::{BatchHeader, Records};

/// One step of the log, taken ahead of the reader.
#[derive(Debug)]
pub(super) enum Ahead {
    /// Nothing for the user below this offset.
    Skip(Offset),
    /// A small batch, which its reader opens.
    Closed(Closed),
    /// A large compressed batch. An opener opens it, or its reader where that comes first.
    Waiting(Closed),
    /// A batch that an opener is opening.
    Opening(u64, BatchHeader),
    /// A batch that was opened elsewhere.
    Open(Records, Arc<Pinned>),
    /// An error in place of a batch.
    Bad(Bad),
}

impl Ahead {
    /// Returns the batch's header. `None` for a step without a batch.
    pub(super) fn header(&self) -> Option<BatchHeader> {
        match self {
            Self::Closed(closed) | Self::Waiting(closed) => Some(*closed.batch.header()),
            Self::Opening(_, header) => Some(*header),
            Self::Open(records, _) => Some(*records.header()),
            Self::Skip(_) | Self::Bad(_) => None,
        }
    }
}

/// Returns how many batches of a partition are taken ahead at most. That is enough to keep some
/// cores busy with small batches, and holds little memory with large ones.
pub(super) fn most(largest_batch: usize) -> usize {
    if largest_batch <= SMALL { 8 } else { 2 }
}

/// The size up to which a batch is small, in bytes as fetched.
const SMALL: usize = 128 << 10;
