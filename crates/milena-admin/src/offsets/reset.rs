//! Resets the committed offsets of a group, in two steps: a plan to look at, and its execution.

use std::time::Duration;

use milena_core::{
    Error, ErrorKind, Offset, Partition, Result, Timestamp, TopicName, TopicPartition,
};

use super::committed::Committed;
use super::listed::{ListedOffset, OffsetSpec};
use crate::PerItem;
use crate::admin::Admin;

/// The offset at which a group shall resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetTo {
    /// The first record in the log.
    Earliest,
    /// The end of the log. The group then reads only new records.
    Latest,
    /// The committed offset, moved into the range of the log.
    Current,
    /// The first record with this timestamp or a later one, or the end of the log.
    Timestamp(Timestamp),
    /// The first record written since this time ago, or the end of the log.
    Duration(Duration),
    /// This offset, moved into the range of the log.
    Offset(Offset),
    /// The committed offset plus this number, moved into the range of the log. A negative number
    /// goes back.
    ShiftBy(i64),
}

/// The partitions to reset.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetScope {
    /// All partitions of a topic.
    Topic(TopicName),
    /// One partition.
    Partition(TopicPartition),
    /// All partitions in which the group has committed.
    Committed,
}

impl From<TopicPartition> for ResetScope {
    fn from(place: TopicPartition) -> Self {
        Self::Partition(place)
    }
}

impl From<TopicName> for ResetScope {
    fn from(topic: TopicName) -> Self {
        Self::Topic(topic)
    }
}

impl From<&str> for ResetScope {
    fn from(topic: &str) -> Self {
        Self::Topic(topic.into())
    }
}

/// The planned change of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OffsetMove {
    /// The committed offset now. `None` if nothing is committed.
    pub from: Option<Offset>,
    /// The offset to commit.
    pub to: Offset,
    /// The first offset in the log.
    pub start: Offset,
    /// The offset after the last record.
    pub end: Offset,
}

/// The plan of a reset, by partition. Nothing is changed until [`Admin::apply_reset`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResetPlan {
    /// The group.
    pub group: String,
    /// The changes, sorted by topic and partition. An error says why a partition cannot be reset.
    pub moves: PerItem<TopicPartition, OffsetMove>,
}

impl Admin {
    /// Plans a reset of `group` without changing anything.
    ///
    /// # Errors
    /// The call fails if a topic of the scope does not exist or the group cannot be read. A
    /// partition fails if it has no leader and so on, and with [`State`](ErrorKind::State) for
    /// [`ResetTo::ShiftBy`] if nothing is committed in it.
    pub async fn plan_reset<S: Into<ResetScope>>(
        &self,
        group: &str,
        scope: impl IntoIterator<Item = S>,
        to: ResetTo,
    ) -> Result<ResetPlan> {
        let committed = self.group_offsets([group]).await.all()?.pop();
        let committed = committed.unwrap_or_default();
        let scope = scope.into_iter().map(Into::into).collect();
        let places = self.places_of(scope, &committed).await?;
        let all = |spec: OffsetSpec| places.iter().map(move |place| (place.clone(), spec));
        let starts = self.list_offsets(all(OffsetSpec::Earliest)).await;
        let ends = self.list_offsets(all(OffsetSpec::Latest)).await;
        let time = match to {
            ResetTo::Timestamp(time) => Some(time),
            ResetTo::Duration(ago) => {
                let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                let then = self.cluster.clock().now().to_millis().saturating_sub(ago);
                Some(Timestamp::from_millis(then.max(0)))
            }
            _ => None,
        };
        let times = match time {
            Some(time) => self.list_offsets(all(OffsetSpec::Timestamp(time))).await,
            None => PerItem::new(Vec::new()),
        };
        let found = |listed: &PerItem<TopicPartition, ListedOffset>,
                     place: &TopicPartition|
         -> Result<Option<Offset>> {
            let found = listed.of(place).cloned().transpose()?;
            Ok(found.and_then(|listed| listed.offset))
        };
        let plan = |place: &TopicPartition| -> Result<OffsetMove> {
            let (start, end) = (found(&starts, place)?, found(&ends, place)?);
            let (start, end) = (start.unwrap_or_default(), end.unwrap_or_default());
            let from = committed.get(place).map(|committed| committed.offset);
            let at_time = found(&times, place)?;
            let to = target(to, from, start, end, at_time).map_err(|error| error.at(place))?;
            Ok(OffsetMove {
                from,
                to,
                start,
                end,
            })
        };
        let moves = places.iter().map(|place| (place.clone(), plan(place)));
        Ok(ResetPlan {
            group: group.to_owned(),
            moves: PerItem::new(moves.collect()),
        })
    }

    /// Executes a plan by committing its offsets. Skips partitions that could not be planned.
    ///
    /// # Errors
    /// The call fails with [`State`](ErrorKind::State) if the group has members. The text names
    /// them, and nothing is changed. An item fails like with
    /// [`alter_offsets`](Self::alter_offsets).
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, the offsets may or may not be set.
    pub async fn apply_reset(&self, plan: &ResetPlan) -> Result<PerItem<TopicPartition, ()>> {
        let moves = plan.moves.iter();
        let offsets = moves.filter_map(|(place, planned)| {
            let planned = planned.as_ref().ok()?;
            Some((place.clone(), planned.to))
        });
        self.alter_offsets(&plan.group, offsets).await
    }

    /// Returns the partitions of the scope, sorted and without duplicates.
    async fn places_of(
        &self,
        scope: Vec<ResetScope>,
        committed: &Committed,
    ) -> Result<Vec<TopicPartition>> {
        let (mut places, mut topics) = (Vec::new(), Vec::new());
        for each in scope {
            match each {
                ResetScope::Topic(topic) => topics.push(topic),
                ResetScope::Partition(place) => places.push(place),
                ResetScope::Committed => places.extend(committed.keys().cloned()),
            }
        }
        if !topics.is_empty() {
            for topic in self.describe_topics(topics).await?.all()? {
                let partitions = topic.partitions.iter();
                let numbers = partitions.map(|each| each.partition);
                places.extend(
                    numbers.map(|number: Partition| TopicPartition::new(&topic.name, number)),
                );
            }
        }
        places.sort();
        places.dedup();
        Ok(places)
    }
}

/// Returns the offset to commit in one partition.
fn target(
    to: ResetTo,
    from: Option<Offset>,
    start: Offset,
    end: Offset,
    at_time: Option<Offset>,
) -> Result<Offset> {
    let within = |offset: Offset| offset.clamp(start, end.max(start));
    Ok(match to {
        ResetTo::Earliest => start,
        ResetTo::Latest => end,
        ResetTo::Current => from.map_or(end, within),
        ResetTo::Timestamp(_) | ResetTo::Duration(_) => at_time.unwrap_or(end),
        ResetTo::Offset(offset) => within(offset),
        ResetTo::ShiftBy(by) => {
            let from = from.ok_or_else(|| {
                let what = "nothing is committed here, so there is nothing to shift from";
                Error::new(ErrorKind::State, what)
            })?;
            let shifted = from.to_wire().saturating_add(by);
            within(Offset::from_wire(shifted).unwrap_or_default())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u32) -> Offset {
        Offset::from(offset)
    }

    fn to(to: ResetTo, from: Option<u32>, at_time: Option<u32>) -> Option<i64> {
        let found = target(to, from.map(at), at(10), at(20), at_time.map(at));
        found.ok().map(Offset::to_wire)
    }

    #[test]
    fn every_target_stays_within_what_is_there() {
        assert_eq!(to(ResetTo::Earliest, None, None), Some(10));
        assert_eq!(to(ResetTo::Latest, None, None), Some(20));
        assert_eq!(to(ResetTo::Current, Some(3), None), Some(10));
        assert_eq!(to(ResetTo::Current, None, None), Some(20));
        assert_eq!(to(ResetTo::Offset(at(99)), None, None), Some(20));
        assert_eq!(to(ResetTo::Offset(at(15)), None, None), Some(15));
        assert_eq!(to(ResetTo::ShiftBy(-4), Some(18), None), Some(14));
        assert_eq!(to(ResetTo::ShiftBy(-40), Some(18), None), Some(10));
        assert_eq!(to(ResetTo::ShiftBy(i64::MAX), Some(18), None), Some(20));
    }

    #[test]
    fn a_time_after_the_newest_record_means_the_end() {
        let time = ResetTo::Timestamp(Timestamp::from_millis(5));
        assert_eq!(to(time, None, Some(12)), Some(12));
        assert_eq!(to(time, None, None), Some(20));
    }

    #[test]
    fn there_is_no_shift_from_nothing() {
        assert_eq!(to(ResetTo::ShiftBy(1), None, None), None);
    }
}
