//! Batches of a partition that are unpacked beside their reader, in the order of the log.

use std::sync::Arc;

use milena_core::{Error, Offset};
use milena_protocol::batch::{Batch, BatchHeader, Records};

use super::Partition;
use crate::budget::Pinned;

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

/// A batch as it was fetched.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    /// The bytes of the batch.
    pub(crate) batch: Batch,
    /// The turn of the partition in which it was taken. Its records do not count in a later one.
    pub(crate) turn: u64,
    /// The fetched frame that holds the bytes.
    pub(crate) pinned: Arc<Pinned>,
    /// The number by which an opener finds its place again. 0 before an opener takes the batch.
    pub(crate) id: u64,
    /// The first offset of the next batch, if that was fetched together with this one. Only set for
    /// a batch whose checksum was not checked on its way in.
    pub(crate) following: Option<Offset>,
}

impl Closed {
    /// Returns the end of a batch that could not be opened. `checked` is true if its checksum is
    /// right.
    pub(crate) fn end(&self, checked: bool) -> BatchEnd {
        match checked {
            true => BatchEnd::Told(self.batch.next_offset()),
            false => BatchEnd::Following(self.following),
        }
    }
}

/// The end of a batch that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchEnd {
    /// The end that its header names.
    Told(Offset),
    /// The first offset of the next batch, if one was fetched with it. The header of this one may
    /// be wrong.
    Following(Option<Offset>),
    /// Not even its header could be read.
    Unknown,
}

/// A batch that cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Bad {
    pub(crate) error: Error,
    pub(crate) end: BatchEnd,
}

impl Ahead {
    /// The batch's header, where it is one.
    pub(super) fn header(&self) -> Option<BatchHeader> {
        match self {
            Self::Closed(closed) | Self::Waiting(closed) => Some(*closed.batch.header()),
            Self::Opening(_, header) => Some(*header),
            Self::Open(records, _) => Some(*records.header()),
            Self::Skip(_) | Self::Bad(_) => None,
        }
    }
}

impl Partition {
    /// Takes the next batch that waits for an opener. Returns `None` if none does. The partition
    /// then has to be added to the openers again once a batch waits.
    pub(crate) fn take_waiting(&self) -> Option<Closed> {
        let state = &mut *self.state.lock();
        for step in &mut state.ahead {
            if let Ahead::Waiting(closed) = step {
                state.taken += 1;
                let id = state.taken;
                let closed = Closed {
                    id,
                    ..closed.clone()
                };
                *step = Ahead::Opening(id, *closed.batch.header());
                return Some(closed);
            }
        }
        state.openers_told = false;
        None
    }

    /// Stores what an opener made of `closed`. Returns whether the reader may have waited for it.
    pub(crate) fn opened(
        &self,
        closed: &Closed,
        opened: Result<(Records, Arc<Pinned>), Bad>,
    ) -> bool {
        let mut state = self.state.lock();
        if state.turn != closed.turn {
            return false;
        }
        let opening = |step: &&mut Ahead| matches!(step, Ahead::Opening(id, _) if *id == closed.id);
        if let Some(step) = state.ahead.iter_mut().find(opening) {
            *step = match opened {
                Ok((records, pinned)) => Ahead::Open(records, pinned),
                Err(bad) => Ahead::Bad(bad),
            };
        }
        // A reader that still has a batch in hand looks for the next one by itself.
        let waited_for = state.has_something();
        drop(state);
        if waited_for {
            self.tell_readable();
        }
        waited_for
    }
}

/// Returns how many batches of a partition are taken ahead at most. That is enough to keep some
/// cores busy with small batches, and holds little memory with large ones.
pub(super) fn most(largest_batch: usize) -> usize {
    if largest_batch <= SMALL { 8 } else { 2 }
}

/// The size up to which a batch is small, in bytes as fetched.
const SMALL: usize = 128 << 10;
