//! Checks the checksums of an answer while it arrives, when its batches are still in the
//! processor's cache.

use milena_core::Result;

use super::TOPIC_IDS_FROM;
use crate::api::ApiKey;
use crate::batch::{BatchHeader, HEADER_LEN, crc_of};
use crate::hints;
use crate::produce::read_throttle;
use crate::reader::Reader;

/// Walks over the body of a Fetch answer while it arrives, and checks each batch as soon as it is
/// whole.
///
/// It only notes what it found right ([`Intact`]). Everything else is left to the readers of the
/// answer, such as a wrong checksum, a format before v2, or lengths that do not add up.
#[derive(Debug)]
pub struct FetchCheck {
    /// The version of the answer.
    version: i16,
    /// True if the version has compact types and tagged fields.
    flexible: bool,
    /// The index in the body that the walk has reached. It is past the end while a skipped field
    /// has not arrived.
    at: usize,
    /// The part of the answer at that index.
    next: Next,
    /// The topics that are left.
    topics: usize,
    /// The partitions that are left in the topic.
    partitions: usize,
    /// The batches found right so far.
    intact: Intact,
}

/// The part of the answer at the index that the walk has reached.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// The fields before the first topic.
    Head,
    /// A topic.
    Topic,
    /// A partition's fields before its records.
    Partition,
    /// A batch, or the end of the records. `start` and `end` are the bounds of the records in the
    /// body.
    Batch { start: usize, end: usize },
    /// The tagged fields of a partition.
    PartitionTags,
    /// The tagged fields of a topic.
    TopicTags,
    /// Nothing. The walk has ended.
    Over,
}

/// The batches of an answer whose checksums were found right. Of each records field these are the
/// batches in its first bytes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Intact {
    /// The index of each records field in the body, and the number of bytes, by ascending index.
    fields: Vec<(usize, usize)>,
}

impl FetchCheck {
    /// Starts a walk over the body of an answer of `version`.
    pub fn new(version: i16) -> Self {
        let known = ApiKey::Fetch.supported().contains(version);
        Self {
            version,
            flexible: ApiKey::Fetch.is_flexible(version),
            at: 0,
            next: if known { Next::Head } else { Next::Over },
            topics: 0,
            partitions: 0,
            intact: Intact::default(),
        }
    }

    /// Walks on as far as `body` allows. `body` is all that has arrived of it, from its first byte
    /// on.
    pub fn look(&mut self, body: &[u8]) {
        while let Some(rest) = body.get(self.at..) {
            let gone_on = match self.next {
                Next::Over => return,
                Next::Batch { start, end } => self.batch(rest, start, end),
                _ => self.fields(rest),
            };
            if !gone_on {
                return;
            }
        }
    }

    /// Takes out what was found right so far.
    pub fn take(&mut self) -> Intact {
        std::mem::take(&mut self.intact)
    }

    /// Reads the fields between two records fields. Returns false if more of them has to arrive, or
    /// if they make no sense.
    fn fields(&mut self, rest: &[u8]) -> bool {
        let seen = rest.get(..MOST_FIELDS).unwrap_or(rest);
        let mut reader = Reader::new(seen);
        let Ok(next) = self.read(&mut reader) else {
            if seen.len() == MOST_FIELDS {
                self.next = Next::Over;
            }
            return false;
        };
        self.at = self.at.saturating_add(reader.position());
        self.next = match next {
            // The bounds can be computed only now that the index of the first batch is known.
            Next::Batch { end: len, .. } => match self.at.checked_add(len) {
                Some(end) => Next::Batch {
                    start: self.at,
                    end,
                },
                None => Next::Over,
            },
            next => next,
        };
        true
    }

    /// Reads one part of the answer. Returns the next one, with the records as the range from 0 to
    /// their length.
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<Next> {
        let flexible = self.flexible;
        match self.next {
            Next::Head => {
                read_throttle(reader)?;
                if self.version >= 7 {
                    reader.skip(6)?;
                }
                self.topics = reader.bytes_len(flexible)?.unwrap_or(0);
                Ok(self.after_topic())
            }
            Next::Topic => {
                hints::read_topic(reader, self.version >= TOPIC_IDS_FROM, flexible)?;
                self.partitions = reader.bytes_len(flexible)?.unwrap_or(0);
                self.topics = self.topics.saturating_sub(1);
                Ok(self.after_partition())
            }
            Next::Partition => {
                let len = skip_to_records(reader, self.version, flexible)?;
                self.partitions = self.partitions.saturating_sub(1);
                Ok(Next::Batch { start: 0, end: len })
            }
            Next::PartitionTags => {
                if flexible {
                    reader.skip_tagged()?;
                }
                Ok(self.after_partition())
            }
            Next::TopicTags => {
                if flexible {
                    reader.skip_tagged()?;
                }
                Ok(self.after_topic())
            }
            Next::Batch { .. } | Next::Over => Ok(Next::Over),
        }
    }

    /// Returns the next part behind a topic.
    const fn after_topic(&self) -> Next {
        if self.topics == 0 {
            Next::Over
        } else {
            Next::Topic
        }
    }

    /// Returns the next part behind a partition.
    const fn after_partition(&self) -> Next {
        if self.partitions == 0 {
            Next::TopicTags
        } else {
            Next::Partition
        }
    }

    /// Checks the batch at the front of `rest`. Returns false if more of it has to arrive.
    fn batch(&mut self, rest: &[u8], start: usize, end: usize) -> bool {
        let left = end.saturating_sub(self.at);
        if left >= HEADER_LEN && rest.len() < HEADER_LEN {
            return false;
        }
        let own = rest.get(..left).unwrap_or(rest);
        let size = match BatchHeader::parse(own) {
            Ok(header) if header.size <= left => match own.get(..header.size) {
                None => return false,
                Some(batch) => (crc_of(batch) == header.crc).then_some(header.size),
            },
            _ => None,
        };
        match size {
            Some(size) => self.at = self.at.saturating_add(size),
            // This is the end of the records, or bytes that the reader of the answer has to judge.
            None => {
                if self.at > start {
                    self.intact.fields.push((start, self.at - start));
                }
                self.at = end;
                self.next = Next::PartitionTags;
            }
        }
        true
    }
}

impl Intact {
    /// Returns the number of bytes, at the front of the records field that begins at `start`, whose
    /// batches were found right.
    pub(crate) fn of(&self, start: usize) -> usize {
        let found = self.fields.binary_search_by_key(&start, |field| field.0);
        found
            .ok()
            .and_then(|at| self.fields.get(at))
            .map_or(0, |field| field.1)
    }
}

/// Skips a partition's fields up to its records. Returns their length.
fn skip_to_records(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<usize> {
    // These are partition, error, high watermark and last stable offset.
    reader.skip(4 + 2 + 8 + 8)?;
    if version >= 5 {
        reader.skip(8)?;
    }
    for _ in 0..reader.bytes_len(flexible)?.unwrap_or(0) {
        reader.skip(16)?;
        if flexible {
            reader.skip_tagged()?;
        }
    }
    if version >= 11 {
        reader.skip(4)?;
    }
    Ok(reader.bytes_len(flexible)?.unwrap_or(0))
}

/// The most bytes between two records fields, at which the walk ends. A very long list of aborted
/// transactions takes more, and would be walked over again at each call.
const MOST_FIELDS: usize = 64 << 10;
