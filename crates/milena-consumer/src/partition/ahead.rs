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
    /// What was found in place of a batch.
    Bad(Bad),
}

/// A batch as it was fetched.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) batch: Batch,
    pub(crate) turn: u64,
    pub(crate) pinned: Arc<Pinned>,
    /// By which its opening is told.
    pub(crate) id: u64,
    /// Where the batch behind it begins, as far as that was fetched with it. Only known of a batch whose checksum was not checked on
    /// its way in.
    pub(crate) following: Option<Offset>,
}

impl Closed {
    /// Where it ends when it could not be opened; `checked` is whether its checksum is right.
    pub(crate) fn end(&self, checked: bool) -> BatchEnd {
        match checked {
            true => BatchEnd::Told(self.batch.next_offset()),
            false => BatchEnd::Following(self.following),
        }
    }
}

/// Where what cannot be read ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchEnd {
    /// As its header says.
    Told(Offset),
    /// Where the batch behind it begins, if one was fetched with it: its header may be what is wrong.
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
    /// Takes the next batch that waits for an opener. `None` where none does; the openers have to be
    /// told of this partition again then, once one does.
    pub(crate) fn take_waiting(&self) -> Option<Closed> {
        let mut state = self.state.lock();
        let waiting = |step: &&mut Ahead| matches!(step, Ahead::Waiting(_));
        let Some(step) = state.ahead.iter_mut().find(waiting) else {
            state.openers_told = false;
            return None;
        };
        let header = step.header()?;
        state.taken += 1;
        let id = state.taken;
        let step = state.ahead.iter_mut().find(waiting)?;
        match std::mem::replace(step, Ahead::Opening(id, header)) {
            Ahead::Waiting(closed) => Some(Closed { id, ..closed }),
            _ => None,
        }
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

/// How many batches of a partition are taken ahead at most: enough to keep some cores busy with small ones, and little memory with
/// large ones.
pub(super) fn most(largest_batch: usize) -> usize {
    if largest_batch <= SMALL { 8 } else { 2 }
}

/// The size up to which a batch is small, in bytes as fetched.
const SMALL: usize = 128 << 10;
