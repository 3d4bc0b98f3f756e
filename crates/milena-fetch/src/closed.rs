//! A batch as it was fetched, before its checksum is checked and its records are decompressed.

use std::sync::Arc;

use milena_core::{Codec, Error, Offset, Timestamp, TimestampType};
use milena_protocol::batch::{Batch, BatchHeader};

use crate::budget::Pinned;

/// A batch as it was fetched.
#[derive(Clone, Debug)]
pub struct Closed {
    /// The bytes of the batch.
    pub batch: Batch,
    /// The turn of its reader in which it was taken. Its records do not count in a later one.
    pub turn: u64,
    /// The fetched frame that holds the bytes.
    pub pinned: Arc<Pinned>,
    /// The number by which an opener finds its place again. 0 before an opener takes the batch.
    pub id: u64,
    /// The first offset of the next batch, if that was fetched together with this one. Only set for
    /// a batch whose checksum was not checked on its way in.
    pub following: Option<Offset>,
}

impl Closed {
    /// Returns the end of a batch that could not be opened. `checked` is true if its checksum is
    /// right.
    #[must_use]
    pub fn end(&self, checked: bool) -> BatchEnd {
        match checked {
            true => BatchEnd::Told(self.batch.next_offset()),
            false => BatchEnd::Following(self.following),
        }
    }
}

/// The end of a batch that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchEnd {
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
pub struct Bad {
    /// The fault of the batch.
    pub error: Error,
    /// The end of the batch, as far as it is known.
    pub end: BatchEnd,
}

/// The time that a batch takes to open, in three classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Less than to wake another thread.
    Light,
    /// Long enough for several cores to share the work.
    Heavy,
    /// So long that other tasks of the reader's thread would have to wait.
    Huge,
}

impl Weight {
    /// Returns the class of `batch`, by its size as fetched.
    #[must_use]
    pub fn of(batch: &Batch) -> Self {
        match batch.bytes().len() {
            _ if batch.header().attributes.codec() == Some(Codec::None) => Self::Light,
            HUGE.. => Self::Huge,
            HEAVY.. => Self::Heavy,
            _ => Self::Light,
        }
    }
}

/// Returns the timestamp of a batch's first record. With log append time, all records have that of
/// the batch.
#[must_use]
pub fn batch_time(header: &BatchHeader) -> Option<Timestamp> {
    let raw = match header.attributes.timestamp_type() {
        TimestampType::LogAppend => header.max_timestamp,
        TimestampType::Create => header.base_timestamp,
    };
    Timestamp::from_wire(raw)
}

/// The size in bytes from which on an opener may decompress a batch beside the task that reads it.
/// To decompress this much takes longer than to wake another thread.
const HEAVY: usize = 8 << 10;
/// The size in bytes from which on the task that reads a batch never decompresses it itself. It
/// would keep its worker of the runtime for more than about a millisecond.
const HUGE: usize = 512 << 10;
