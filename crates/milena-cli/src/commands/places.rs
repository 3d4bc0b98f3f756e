//! Where records are read from and up to where, partition by partition.

use std::collections::BTreeMap;

use milena::admin::OffsetSpec;
use milena::{Offset, Partition, StartAt, Timestamp, TopicPartition};

use super::source::{From, Until};
use crate::failure::Failure;
use crate::session::Session;

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
            From::Last(_) | From::Offset(_) => self.offsets(places, OffsetSpec::Latest).await?,
            _ => BTreeMap::new(),
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
                let first = (end - count).max(0);
                StartAt::Offset(Offset::from_wire(first).unwrap_or_default())
            }
        };
        Ok(places
            .iter()
            .map(|place| (place.clone(), start(place)))
            .collect())
    }

    /// That offset in each partition, or what lies nearest to it; one of them has to hold it.
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
