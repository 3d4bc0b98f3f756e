//! A record of a dead letter topic, with the origin and the cause that it names.

use milena_core::ConsumerRecord;
use milena_middleware::dead_letter::Letter;

/// A record of a dead letter topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundLetter {
    /// The record, at its place in the dead letter topic.
    pub record: ConsumerRecord,
    /// The origin and the cause that its headers name. `None` if no dialect matches.
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
