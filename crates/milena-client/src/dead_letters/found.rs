//! A record of a dead letter topic, with the origin and the cause that it names.

use milena_core::{ConsumerRecord, Offset, Partition};
use milena_middleware::dead_letter::Letter;

/// A record of a dead letter topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundLetter {
    /// The record, at its place in the dead letter topic.
    pub record: ConsumerRecord,
    /// The origin and the cause that its headers name. `None` if no dialect matches.
    pub letter: Option<Letter>,
    /// The place in the dead letter topic of an earlier letter of the same record. `None` if this
    /// is the first of them that was read.
    ///
    /// A consumer that crashes after it wrote a letter and before it committed reads the record
    /// again, and writes a second letter.
    pub same_as: Option<(Partition, Offset)>,
}

impl FoundLetter {
    pub(super) fn new(record: ConsumerRecord) -> Self {
        Self {
            letter: Letter::read(&record.headers),
            record,
            same_as: None,
        }
    }
}
