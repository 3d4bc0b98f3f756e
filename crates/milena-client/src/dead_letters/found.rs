//! A record of a dead letter topic, with what it says of itself.

use milena_core::ConsumerRecord;
use milena_middleware::dead_letter::Letter;

/// A record of a dead letter topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundLetter {
    /// The record, at its place in the dead letter topic.
    pub record: ConsumerRecord,
    /// What its headers tell; `None` where no dialect knows them.
    pub letter: Option<Letter>,
}

impl FoundLetter {
    pub(super) fn new(record: ConsumerRecord) -> Self {
        Self {
            letter: Letter::read(&record.headers),
            record,
        }
    }
}
