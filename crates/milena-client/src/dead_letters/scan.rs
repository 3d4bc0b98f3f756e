//! Reads a dead letter topic from its beginning to the end that it had at the start.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use milena_admin::OffsetSpec;
use milena_consumer::{AssignedConsumer, StartAt};
use milena_core::{ConsumerRecord, Error, ErrorKind, Offset, Result, TopicName, TopicPartition};
use tokio::time::{Instant, timeout};

use super::filter::LetterFilter;
use super::found::FoundLetter;
use super::marks::is_mark;
use super::same::Sources;
use crate::client::Client;

/// An iterator over letters, up to the end that the topic had when it began.
///
/// It remembers about a hundred bytes of each letter, to recognise letters of [the same
/// record](FoundLetter::same_as).
pub struct LetterScan {
    /// Reads the partitions of the topic.
    consumer: AssignedConsumer,
    /// The letters to return.
    filter: LetterFilter,
    /// The end of each partition that is not read completely.
    ends: BTreeMap<TopicPartition, Offset>,
    /// The records of the letters that it has given.
    sources: Sources,
    /// The time of the last record, or of the start.
    heard: Instant,
}

impl LetterScan {
    pub(super) async fn start(
        client: &Client,
        topic: &TopicName,
        filter: LetterFilter,
    ) -> Result<Self> {
        let (admin, consumer) = (client.admin(), client.assigned_consumer().build()?);
        let partitions = consumer.partitions_for(topic.clone()).await?;
        let at = |spec: OffsetSpec| {
            let place = |partition: &_| (TopicPartition::new(topic, *partition), spec);
            partitions.iter().map(place).collect::<Vec<_>>()
        };
        let first = filter
            .since
            .map_or(OffsetSpec::Earliest, OffsetSpec::Timestamp);
        let starts = admin.list_offsets(at(first)).await;
        // Letters of an open transaction cannot be read, so the scan ends before them instead of
        // waiting for them.
        let ends = admin.list_offsets(at(OffsetSpec::LastStable)).await;
        let mut open = BTreeMap::new();
        let mut assigned = Vec::new();
        for (place, end) in ends.iter() {
            let end = end.as_ref().map_err(Clone::clone)?.offset;
            let start = match starts.of(place) {
                Some(start) => start.as_ref().map_err(Clone::clone)?.offset,
                None => None,
            };
            if let (Some(start), Some(end)) = (start, end)
                && start < end
            {
                open.insert(place.clone(), end);
                assigned.push((place.clone(), StartAt::Offset(start)));
            }
        }
        consumer.assign(assigned);
        Ok(Self {
            consumer,
            filter,
            ends: open,
            sources: Sources::default(),
            heard: Instant::now(),
        })
    }

    /// Returns the next letter that passes the filter, or `None` at the end.
    ///
    /// # Errors
    /// An error if the topic cannot be read. [`ErrorKind::Timeout`] if no record arrived for 30 s
    /// before the end was reached, for example behind a transaction that stays open.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, no letter is lost.
    pub async fn next(&mut self) -> Result<Option<FoundLetter>> {
        while let Some(record) = self.record().await? {
            if is_mark(&record) {
                continue;
            }
            let mut found = FoundLetter::new(record);
            if self.filter.wants(&found) {
                let letter = found.letter.as_ref();
                found.same_as =
                    letter.and_then(|letter| self.sources.first_of(&found.record, letter));
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Returns the next record, which may be a mark, or `None` at the end.
    pub(super) async fn record(&mut self) -> Result<Option<ConsumerRecord>> {
        loop {
            // The offsets behind the last letter may hold no records, for example transaction
            // markers. Then only the position moves.
            let consumer = &self.consumer;
            self.ends.retain(|place, end| {
                let position = consumer.position(place).ok().flatten();
                position.is_none_or(|position| position < *end)
            });
            if self.ends.is_empty() {
                return Ok(None);
            }
            let Ok(record) = timeout(LOOK, self.consumer.recv()).await else {
                if self.heard.elapsed() > PATIENCE {
                    let what = "no record arrived for 30 s, and the end of the dead letter topic was not reached";
                    return Err(Error::new(ErrorKind::Timeout, what));
                }
                continue;
            };
            let record = record?;
            self.heard = Instant::now();
            let place = record.topic_partition();
            // Records that were written after the scan began are not part of it.
            let is_ours = self
                .ends
                .get(&place)
                .is_some_and(|end| record.offset < *end);
            if is_ours {
                return Ok(Some(record));
            }
        }
    }
}

impl fmt::Debug for LetterScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LetterScan")
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

/// The interval at which the positions are checked while no record arrives.
const LOOK: Duration = Duration::from_millis(50);
/// The longest time without a record.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
