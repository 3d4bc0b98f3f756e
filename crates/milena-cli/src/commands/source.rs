//! Where records come from when they are read: partitions or a group; from where, and up to where.

use std::collections::BTreeMap;
use std::time::Duration;

use milena::admin::OffsetSpec;
use milena::consumer::FetchBatch;
use milena::{
    AssignedConsumer, Consumer, ConsumerRecord, Offset, Partition, StartAt, Timestamp,
    TopicPartition,
};

use crate::failure::Failure;
use crate::session::Session;

/// A consumer, of either kind.
pub(super) enum Source {
    Assigned(AssignedConsumer),
    Member(Consumer),
}

/// What it gave.
pub(super) enum Given {
    Batch(FetchBatch),
    Record(Box<ConsumerRecord>),
}

impl Source {
    /// The next records; `None` where none came within `wait`.
    pub(super) async fn next(&self, wait: Duration) -> Result<Option<Given>, Failure> {
        let next = async {
            match self {
                Self::Assigned(consumer) => consumer.recv_batch().await.map(Given::Batch),
                // One by one, so that no more is committed than was shown.
                Self::Member(consumer) => {
                    let record = consumer.recv().await?;
                    Ok(Given::Record(Box::new(record)))
                }
            }
        };
        match tokio::time::timeout(wait, next).await {
            Ok(given) => Ok(Some(given?)),
            Err(_) => Ok(None),
        }
    }

    /// Where it stands in a partition; `None` where that is not known or not its partition.
    pub(super) fn position(&self, place: &TopicPartition) -> Option<Offset> {
        match self {
            Self::Assigned(consumer) => consumer.position(place).ok().flatten(),
            Self::Member(consumer) => consumer.position(place).ok().flatten(),
        }
    }

    /// Reads a partition no more.
    pub(super) fn leave(&self, place: &TopicPartition) {
        if let Self::Assigned(consumer) = self {
            consumer.unassign([place.clone()]);
        }
    }

    /// Commits what was shown, where it is a member, and ends.
    pub(super) async fn close(&self) -> Result<(), Failure> {
        match self {
            Self::Assigned(consumer) => consumer.close().await,
            Self::Member(consumer) => {
                let committed = consumer.commit().await;
                consumer.close().await;
                committed?;
            }
        }
        Ok(())
    }
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Beginning,
    End,
    Offset(i64),
    /// So many before the end.
    Last(i64),
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
                .ok_or_else(|| format!("'{text}' is none of beginning, end, N, -N, @TIME"))?;
            Ok(if last {
                From::Last(number)
            } else {
                From::Offset(number)
            })
        }
    }
}

/// Up to where is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// What is there now.
    End,
    Time(i64),
}

/// Reads `end` or a time.
pub(super) fn until(text: &str) -> Result<Until, String> {
    match text {
        "end" => Ok(Until::End),
        text => time(text.strip_prefix('@').unwrap_or(text)).map(Until::Time),
    }
}

/// Reads milliseconds since 1970, or a date such as `2026-02-17`, `2026-02-17T09:30:00Z` or `…00.250Z`, in UTC.
pub(super) fn time(text: &str) -> Result<i64, String> {
    if let Ok(millis) = text.parse::<i64>() {
        return Ok(millis);
    }
    let wrong = || {
        format!(
            "'{text}' is neither milliseconds since 1970 nor a date such as 2026-02-17T09:30:00Z"
        )
    };
    let (date, clock) = match text.split_once(['T', ' ']) {
        Some((date, clock)) => (date, clock.trim_end_matches('Z')),
        None => (text.trim_end_matches('Z'), "0:0:0"),
    };
    let numbers = |text: &str, by: char| {
        let parts: Result<Vec<i64>, _> = text.split(by).map(str::parse).collect();
        parts.map_err(|_| wrong())
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let millis: f64 = format!("0.{fraction}").parse().map_err(|_| wrong())?;
    let [year, month, day] = numbers(date, '-')?[..] else {
        return Err(wrong());
    };
    let (hour, minute, second) = match numbers(clock, ':')?[..] {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return Err(wrong()),
    };
    let sound = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..61).contains(&second);
    if !sound {
        return Err(wrong());
    }
    // Years begin in March, so that the leap day is the last.
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let year = year - i64::from(month <= 2);
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * shifted + 2) / 5 + day - 1;
    let days = days - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Ok(seconds * 1000 + (millis * 1000.0) as i64)
}

impl Session {
    /// The partitions of a topic, or those of them that were named.
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

    /// Where to begin in each partition.
    pub(super) async fn starts(
        &self,
        places: &[TopicPartition],
        from: From,
    ) -> Result<Vec<(TopicPartition, StartAt)>, Failure> {
        let ends = match from {
            From::Last(_) => self.offsets(places, OffsetSpec::Latest).await?,
            _ => BTreeMap::new(),
        };
        let start = |place: &TopicPartition| match from {
            From::Beginning => StartAt::Beginning,
            From::End => StartAt::End,
            From::Offset(offset) => StartAt::Offset(Offset::from_wire(offset).unwrap_or_default()),
            From::Time(time) => StartAt::Timestamp(Timestamp::from_millis(time)),
            From::Last(count) => {
                let end = ends.get(place).copied().unwrap_or_default().to_wire();
                let first = (end - count).max(0);
                StartAt::Offset(Offset::from_wire(first).unwrap_or_default())
            }
        };
        Ok(places
            .iter()
            .map(|place| (place.clone(), start(place)))
            .collect())
    }

    /// Where to end in each partition.
    pub(super) async fn ends(
        &self,
        places: &[TopicPartition],
        until: Until,
    ) -> Result<BTreeMap<TopicPartition, Offset>, Failure> {
        let mut ends = self.offsets(places, OffsetSpec::Latest).await?;
        if let Until::Time(time) = until {
            let since = OffsetSpec::Timestamp(Timestamp::from_millis(time));
            // Where nothing was written since, all that is there is older.
            ends.extend(self.offsets(places, since).await?);
        }
        Ok(ends)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_milliseconds_or_dates() {
        assert_eq!(time("1771320600250"), Ok(1_771_320_600_250));
        assert_eq!(time("2026-02-17T09:30:00.250Z"), Ok(1_771_320_600_250));
        assert_eq!(time("2024-02-29"), Ok(1_709_164_800_000));
        assert_eq!(time("1970-01-01 00:01"), Ok(60_000));
        for wrong in ["", "today", "2026-13-01", "2026-02-17T25:00", "2026-02"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

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
