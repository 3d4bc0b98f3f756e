//! Records that are being placed, with what was decided for one, and the next ones of many.

use milena_core::{HeadersRef, Partition};
use tokio::time::Instant;

use crate::enqueue::draft::RecordDraft;
use crate::enqueue::key_value::KeyValue;
use crate::enqueue::memory::Charge;
use crate::enqueue::topic::Route;

/// A key and a value of the caller, borrowed, with the size that they take in a batch.
///
/// A list of these is a third of the size of a list of drafts, and is filled anew for each run.
#[derive(Clone, Copy)]
pub(crate) struct KeyValueRef<'a> {
    /// The key. `None` is null.
    key: Option<&'a [u8]>,
    /// The value. `None` is null, a tombstone.
    value: Option<&'a [u8]>,
    /// The most bytes that it takes in a batch.
    size: usize,
}

impl<'a> KeyValueRef<'a> {
    /// An empty entry. It fills the places of a list until records are written there.
    pub(crate) const EMPTY: Self = Self {
        key: None,
        value: None,
        size: 0,
    };

    /// Returns the record to encode.
    #[inline(always)]
    pub(crate) fn draft(&self) -> RecordDraft<'a> {
        RecordDraft {
            key: self.key,
            value: self.value,
            headers: HeadersRef::empty(),
            timestamp: None,
            size: self.size,
        }
    }
}

/// The answer to where records go, for each that can be taken at all.
pub(crate) trait Decide {
    /// Asks the partitioner for the destination. `None` if the record cannot be taken.
    fn decide(&self, draft: &RecordDraft<'_>) -> Option<Route>;
}

/// The state of a record between the attempts to place it.
#[derive(Default)]
pub(crate) struct Entry {
    /// The partition that the record names. `None` leaves it to the partitioner.
    pub(crate) named: Option<Partition>,
    /// The destination. `None` before the first attempt.
    pub(crate) route: Option<Route>,
    /// Memory that the record has waited for. `None` before, and once a batch has taken it.
    pub(crate) spare: Option<Charge>,
    /// The time until which it may wait. `None` before the first wait.
    pub(crate) deadline: Option<Instant>,
}

impl Entry {
    /// Returns the state of a record that names this partition, or leaves it to the partitioner.
    pub(crate) fn new(named: Option<Partition>) -> Self {
        Self {
            named,
            ..Self::default()
        }
    }

    /// Returns the state of a record whose route may have been decided before.
    pub(crate) fn decided(route: Option<Route>) -> Self {
        Self {
            route,
            ..Self::default()
        }
    }
}

/// Records that are being placed, taken from the caller's iterator one chunk at a time.
///
/// The iterator, the records and their partitioner are the caller's code. They may block, panic, or
/// enqueue to the same partition. So all of them run before the partition is locked, and records
/// are dropped after it is unlocked.
pub(crate) struct Ahead<I, R> {
    /// The records after those of `chunk`.
    rest: I,
    /// The records taken last. One buffer serves all chunks.
    chunk: Vec<R>,
    /// The count of records of `chunk` that are placed or refused.
    done: usize,
    /// The index in `chunk` before which every record may go to any partition, as the partitioner
    /// decided. At least `done`.
    sticky: usize,
    /// The destination of the record at `sticky`. `None` if it was not decided yet.
    route: Option<Route>,
}

impl<I: Iterator<Item = R>, R: KeyValue> Ahead<I, R> {
    pub(crate) fn new(records: impl IntoIterator<IntoIter = I>) -> Self {
        Self {
            rest: records.into_iter(),
            chunk: Vec::new(),
            done: 0,
            sticky: 0,
            route: None,
        }
    }

    /// Takes the next chunk if all records of the present one are done. Returns false at the end
    /// of the records.
    pub(crate) fn refill(&mut self) -> bool {
        if self.done < self.chunk.len() {
            return true;
        }
        self.chunk.clear();
        self.done = 0;
        self.sticky = 0;
        self.route = None;
        self.chunk.extend(self.rest.by_ref().take(Self::CHUNK));
        !self.chunk.is_empty()
    }

    /// Returns the next record, and its destination if that was decided. `None` if no record of the
    /// chunk is left.
    pub(crate) fn first(&self) -> Option<(&R, Option<Route>)> {
        let sticky = (self.done < self.sticky).then_some(Route::Sticky);
        Some((self.chunk.get(self.done)?, sticky.or(self.route)))
    }

    /// Returns true if the next record may go to any partition. `by` is asked once for each record.
    pub(crate) fn is_sticky(&mut self, by: &impl Decide) -> bool {
        if self.done < self.sticky {
            return true;
        }
        let Some(record) = self.chunk.get(self.done) else {
            return false;
        };
        if self.route.is_none() {
            self.route = by.decide(&RecordDraft::of(record));
        }
        if !matches!(self.route, Some(Route::Sticky)) {
            return false;
        }
        self.route = None;
        self.sticky += 1;
        true
    }

    /// Returns the next records of the chunk up to the first one that may not go to any partition.
    /// `by` is asked once for each record.
    #[inline(always)]
    pub(crate) fn run<'a, 'b>(
        &'a mut self,
        into: &'b mut [KeyValueRef<'a>; LONGEST_RUN],
        by: &impl Decide,
    ) -> &'b [KeyValueRef<'a>] {
        let mut count = 0;
        let records = self.chunk.iter().enumerate().skip(self.done);
        for ((at, record), place) in records.zip(into.iter_mut()) {
            let draft = RecordDraft::of(record);
            if at >= self.sticky {
                let route = self.route.take().or_else(|| by.decide(&draft));
                if !matches!(route, Some(Route::Sticky)) {
                    self.route = route;
                    break;
                }
                self.sticky = at + 1;
            }
            *place = KeyValueRef {
                key: draft.key,
                value: draft.value,
                size: draft.size,
            };
            count += 1;
        }
        into.get(..count).unwrap_or_default()
    }

    /// Moves past the next `count` records, which are placed or refused.
    pub(crate) fn advance(&mut self, count: usize) {
        self.done += count;
        if self.done > self.sticky {
            self.sticky = self.done;
            self.route = None;
        }
    }

    /// The most records taken at a time. Fewer if the type is large, since the memory budget does
    /// not count the chunk.
    const CHUNK: usize = {
        let fit = (16 << 10) / (size_of::<R>() + 1);
        if fit == 0 {
            1
        } else if fit > LONGEST_RUN {
            LONGEST_RUN
        } else {
            fit
        }
    };
}

/// The most records placed under one lock. They take a few microseconds, in which other callers and
/// the sender wait. A larger count hardly makes a record cheaper.
pub(crate) const LONGEST_RUN: usize = 128;
