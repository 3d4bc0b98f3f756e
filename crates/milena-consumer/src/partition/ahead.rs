//! Batches of a partition that are unpacked beside their reader, in the order of the log.

use std::sync::Arc;

use milena_core::Offset;
use milena_fetch::{Bad, Closed, Openable, Pinned};
use milena_protocol::batch::{BatchHeader, Records};

use super::Partition;

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

impl Openable for Partition {
    fn take_waiting(&self) -> Option<Closed> {
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

    fn opened(&self, closed: &Closed, opened: Result<(Records, Arc<Pinned>), Bad>) -> bool {
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
