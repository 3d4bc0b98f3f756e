//! Checksums of an answer that is still arriving: its batches are checked while they are in the processor's cache.

use milena_core::Result;

use super::TOPIC_IDS_FROM;
use crate::api::ApiKey;
use crate::batch::{BatchHeader, HEADER_LEN, crc_of};
use crate::hints;
use crate::produce::read_throttle;
use crate::reader::Reader;

/// Walks the body of the answer to a Fetch while it arrives and checks each batch as soon as it is whole.
///
/// It only ever notes what it found right ([`Intact`]). Whatever it cannot make sense of (a wrong checksum, a format from before v2,
/// lengths that do not add up) it leaves to those who read the answer.
#[derive(Debug)]
pub struct FetchCheck {
    version: i16,
    flexible: bool,
    /// How much of the body is walked over; past its end where a field is skipped that has not arrived yet.
    at: usize,
    next: Next,
    topics: usize,
    partitions: usize,
    intact: Intact,
}

/// What stands at the place that the walk has come to.
#[derive(Clone, Copy, Debug)]
enum Next {
    Head,
    Topic,
    Partition,
    Batch { start: usize, end: usize },
    PartitionTags,
    TopicTags,
    Over,
}

/// Which batches of an answer were found right: for each records field, those in so many bytes at its front.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Intact {
    /// Where a field begins in the body, and how many bytes; ascending.
    fields: Vec<(usize, usize)>,
}

impl FetchCheck {
    /// A walk over the body of an answer of `version`.
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

    /// Goes on as far as `body` allows: all that has arrived of it, from its first byte on.
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

    /// What was found right so far, which is then forgotten here.
    pub fn take(&mut self) -> Intact {
        std::mem::take(&mut self.intact)
    }

    /// Reads what stands between records; `false` when more of it has to arrive, or it makes no sense.
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
            // Known only now that the place of the first batch is.
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

    const fn after_topic(&self) -> Next {
        if self.topics == 0 {
            Next::Over
        } else {
            Next::Topic
        }
    }

    const fn after_partition(&self) -> Next {
        if self.partitions == 0 {
            Next::TopicTags
        } else {
            Next::Partition
        }
    }

    /// Checks the batch at the front of `rest`; `false` when more of it has to arrive.
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
            // The field's end, or what its reader is to judge.
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
    /// How many bytes at the front of the records field that begins at `start` hold batches found right.
    pub(crate) fn of(&self, start: usize) -> usize {
        let found = self.fields.binary_search_by_key(&start, |field| field.0);
        found
            .ok()
            .and_then(|at| self.fields.get(at))
            .map_or(0, |field| field.1)
    }
}

/// Skips a partition's entry up to its records; gives their length.
fn skip_to_records(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<usize> {
    // Partition, error, high watermark, last stable offset.
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

/// More bytes than this between two records fields, as a very long list of aborted transactions takes, end the walk: they would be gone
/// over again at each look.
const MOST_FIELDS: usize = 64 << 10;
