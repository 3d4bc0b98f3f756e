//! The offsets at which reading begins and ends in each partition.

use std::collections::BTreeMap;
use std::ops::Range;

use milena::admin::OffsetSpec;
use milena::{IsolationLevel, Offset, Partition, StartAt, Timestamp, TopicPartition};

use super::time::time;
use crate::failure::Failure;
use crate::session::Session;

/// The start of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Beginning,
    End,
    Offset(i64),
    /// This many offsets before the end.
    Last(i64),
    /// The first record at or after this time, in milliseconds since 1970.
    Time(i64),
}

/// Reads `beginning`, `end`, an offset, `-N` for the last N, or `@TIME`.
pub(super) fn from(text: &str) -> Result<From, String> {
    match text {
        "beginning" | "earliest" => Ok(From::Beginning),
        "end" | "latest" => Ok(From::End),
        text => {
            if let Some(text) = text.strip_prefix('@') {
                return time(text).map(From::Time);
            }
            let (last, digits) = match text.strip_prefix('-') {
                Some(digits) => (true, digits),
                None => (false, text),
            };
            let number = digits.parse().ok().filter(|number| *number >= 0);
            let number = number
                .ok_or_else(|| format!("'{text}' is not one of beginning, end, N, -N, @TIME"))?;
            Ok(if last {
                From::Last(number)
            } else {
                From::Offset(number)
            })
        }
    }
}

/// The end of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// The present end of each partition.
    End,
    /// The first record at or after this time, in milliseconds since 1970.
    Time(i64),
}

/// Reads `end` or a time.
pub(super) fn until(text: &str) -> Result<Until, String> {
    match text {
        "end" => Ok(Until::End),
        text => time(text.strip_prefix('@').unwrap_or(text)).map(Until::Time),
    }
}

impl Session {
    /// Returns the partitions of a topic, or the named ones. Fails if one does not exist.
    pub(super) async fn chosen(
        &self,
        topic: &str,
        named: &[u32],
    ) -> Result<Vec<TopicPartition>, Failure> {
        let count = self.partitions_of(topic).await?;
        if let Some(missing) = named.iter().find(|number| **number >= count) {
            let words = format!("{topic} has {count} partitions, and no partition {missing}");
            return Err(Failure::usage(words));
        }
        let all: Vec<u32> = (0..count).collect();
        let numbers = if named.is_empty() { &all[..] } else { named };
        let places = numbers
            .iter()
            .map(|number| TopicPartition::new(topic, Partition::new(*number)));
        Ok(places.collect())
    }

    /// Returns the start in each partition.
    pub(super) async fn starts(
        &self,
        places: &[TopicPartition],
        from: From,
        level: IsolationLevel,
    ) -> Result<Vec<(TopicPartition, StartAt)>, Failure> {
        let ends = match from {
            From::Last(_) => self.offsets(places, end_of(level)).await?,
            From::Offset(_) => self.offsets(places, OffsetSpec::Latest).await?,
            From::Beginning | From::End | From::Time(_) => BTreeMap::new(),
        };
        if let From::Offset(offset) = from {
            return self.held(places, &ends, offset).await;
        }
        let start = |place: &TopicPartition| match from {
            From::Beginning | From::Offset(_) => StartAt::Beginning,
            From::End => StartAt::End,
            From::Time(time) => StartAt::Timestamp(Timestamp::from_millis(time)),
            From::Last(count) => {
                let end = ends.get(place).copied().unwrap_or_default().to_wire();
                let first = end.saturating_sub(count).max(0);
                StartAt::Offset(Offset::from_wire(first).unwrap_or_default())
            }
        };
        Ok(places
            .iter()
            .map(|place| (place.clone(), start(place)))
            .collect())
    }

    /// Returns this offset in each partition, or the nearest one that exists. Fails if no partition
    /// holds it.
    async fn held(
        &self,
        places: &[TopicPartition],
        ends: &BTreeMap<TopicPartition, Offset>,
        offset: i64,
    ) -> Result<Vec<(TopicPartition, StartAt)>, Failure> {
        let starts = self.offsets(places, OffsetSpec::Earliest).await?;
        let offset = Offset::from_wire(offset).unwrap_or_default();
        let range = |place: &TopicPartition| {
            let of = |map: &BTreeMap<_, Offset>| map.get(place).copied().unwrap_or_default();
            (of(&starts), of(ends))
        };
        let holds = |(start, end)| start <= offset && offset <= end;
        if !places.iter().any(|place| holds(range(place))) {
            let ranges = places.iter().map(|place| {
                let (start, end) = range(place);
                format!("{place} goes from {start} to {end}")
            });
            let ranges: Vec<String> = ranges.collect();
            let words = format!("there is no offset {offset}: {}", ranges.join(", "));
            return Err(Failure::usage(words));
        }
        let start = |place: &TopicPartition| {
            let (start, end) = range(place);
            StartAt::Offset(offset.max(start).min(end))
        };
        Ok(places
            .iter()
            .map(|place| (place.clone(), start(place)))
            .collect())
    }

    /// Returns the range to read in each partition, from its first offset to the end of reading.
    pub(super) async fn ranges(
        &self,
        places: &[TopicPartition],
        until: Until,
        level: IsolationLevel,
    ) -> Result<BTreeMap<TopicPartition, Range<Offset>>, Failure> {
        let starts = self.offsets(places, OffsetSpec::Earliest).await?;
        // Records of open transactions do not exist for readers of committed records.
        let mut ends = self.offsets(places, end_of(level)).await?;
        if let Until::Time(time) = until {
            let since = OffsetSpec::Timestamp(Timestamp::from_millis(time));
            // A partition without a record since that time is read to its end, because all its
            // records are older.
            for (place, offset) in self.offsets(places, since).await? {
                let end = ends.entry(place).or_insert(offset);
                *end = offset.min(*end);
            }
        }
        let range = |(place, end)| {
            let start = starts.get(&place).copied().unwrap_or_default();
            (place, start..end)
        };
        Ok(ends.into_iter().map(range).collect())
    }

    /// Looks up one offset in each partition.
    async fn offsets(
        &self,
        places: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, Offset>, Failure> {
        let asked = places.iter().map(|place| (place.clone(), spec));
        let listed = self.admin.list_offsets(asked).await;
        let mut found = BTreeMap::new();
        for (place, offset) in listed {
            if let Some(offset) = offset?.offset {
                found.insert(place, offset);
            }
        }
        Ok(found)
    }
}

/// Returns the offset that is the end for readers at this level.
fn end_of(level: IsolationLevel) -> OffsetSpec {
    match level {
        IsolationLevel::ReadCommitted => OffsetSpec::LastStable,
        IsolationLevel::ReadUncommitted => OffsetSpec::Latest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_begin_and_end_are_read() {
        assert_eq!(from("beginning"), Ok(From::Beginning));
        assert_eq!(from("42"), Ok(From::Offset(42)));
        assert_eq!(from("-10"), Ok(From::Last(10)));
        assert_eq!(from("@60000"), Ok(From::Time(60_000)));
        assert!(from("soon").is_err());
        assert_eq!(until("end"), Ok(Until::End));
        assert_eq!(until("@5"), Ok(Until::Time(5)));
    }
}
