//! The lag of groups, in records and as the age of the next record.

mod next;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use milena_core::{Error, ErrorCode, Offset, Result, TopicName, TopicPartition};
use uuid::Uuid;

use self::next::Next;
use crate::PerItem;
use crate::admin::Admin;
use crate::answers::unanswered;
use crate::groups::{GroupDescription, MemberDescription};
use crate::offsets::{ListedOffset, OffsetSpec};

/// The lag of a group.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupLag {
    /// The group, its state and its members. `None` if the group does not exist.
    pub description: Option<GroupDescription>,
    /// The lag of each partition, sorted by topic and number. Holds all partitions of each topic in
    /// which the group has committed, to which a member subscribed by name, or of which a member
    /// owns a partition.
    pub partitions: PerItem<TopicPartition, PartitionLag>,
}

impl GroupLag {
    /// Adds up the lag of all partitions with a known lag. See [`unknown`](Self::unknown).
    #[must_use]
    pub fn records(&self) -> u64 {
        let known = self
            .partitions
            .iter()
            .filter_map(|(_, lag)| lag.as_ref().ok()?.records);
        known.fold(0, u64::saturating_add)
    }

    /// Counts the partitions with an unknown lag. Their offsets could not be listed, or they hold
    /// records and nothing is committed, or the committed offset is above the end.
    #[must_use]
    pub fn unknown(&self) -> usize {
        let lags = self.partitions.iter();
        let unknown = lags.filter(|(_, lag)| !matches!(lag, Ok(lag) if lag.records.is_some()));
        unknown.count()
    }

    /// Returns the longest time that a partition is behind. `None` if the time of any partition is
    /// unknown.
    #[must_use]
    pub fn behind(&self) -> Option<Duration> {
        let times = self.partitions.iter();
        let times = times.map(|(_, lag)| lag.as_ref().ok()?.behind);
        times.collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}

/// The lag of a group in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionLag {
    /// The offset at which the group resumes. `None` if nothing is committed.
    pub committed: Option<Offset>,
    /// The first offset in the log.
    pub start: Offset,
    /// The offset after the last record.
    pub end: Offset,
    /// The number of offsets from the committed one to the end, or from `start` if that is later.
    /// Zero if the partition is empty or no record is left before the end.
    ///
    /// `None` if the lag is unknown, because nothing is committed in a partition that holds
    /// records, or because the committed offset [is above the end](Self::is_above_end).
    pub records: Option<u64>,
    /// The age of the next record. Zero if no record is left, `None` if the age is unknown.
    pub behind: Option<Duration>,
    /// The member that owns the partition. `None` if no member does.
    pub member: Option<MemberDescription>,
}

impl PartitionLag {
    fn new(
        committed: Option<Offset>,
        start: Offset,
        end: Offset,
        member: Option<MemberDescription>,
    ) -> Self {
        let records = match committed {
            _ if end <= start && committed.is_none() => Some(0),
            // The log was truncated, or the topic was deleted and created again. The group will not
            // read records below its committed offset, so the lag cannot be counted.
            Some(committed) if committed > end => None,
            // Records that retention removed do not count, since nobody can read them.
            Some(committed) => Some(end.since(committed.max(start))),
            None => None,
        };
        let behind = records.filter(|records| *records == 0);
        Self {
            committed,
            start,
            end,
            records,
            behind: behind.map(|_| Duration::ZERO),
            member,
        }
    }

    /// Returns true if the committed offset is above the end of the log. That happens if the topic
    /// was deleted and created again.
    #[must_use]
    pub fn is_above_end(&self) -> bool {
        self.committed.is_some_and(|committed| committed > self.end)
    }

    /// Returns the offset from which the group reads next. `None` if no record can be there.
    fn next(&self) -> Option<Offset> {
        self.records.filter(|records| *records > 0)?;
        Some(self.committed?.max(self.start))
    }
}

impl Admin {
    /// Returns the lag of groups. Each group succeeds or fails separately. A group that does not
    /// exist has no partitions.
    ///
    /// For each partition with a lag, one batch is read to learn the timestamp of the next record.
    ///
    /// # Errors
    /// An item fails with `GROUP_AUTHORIZATION_FAILED`, with a timeout and so on. A partition fails
    /// if its start or end cannot be found.
    ///
    /// # References
    /// OffsetFetch, ListOffsets, DescribeGroups and ConsumerGroupDescribe, Fetch.
    pub async fn lag<G: Into<String>>(
        &self,
        groups: impl IntoIterator<Item = G>,
    ) -> PerItem<String, GroupLag> {
        let groups: Vec<String> = groups.into_iter().map(Into::into).collect();
        let committed = self.group_offsets(groups.iter().cloned()).await;
        let described = self.describe_groups(groups.iter().cloned()).await;
        let mut found = Vec::new();
        for ((group, committed), (_, described)) in committed.into_iter().zip(described) {
            let lag = match (committed, described) {
                (Err(error), _) => Err(error),
                (Ok(committed), described) => match known(described) {
                    Ok(description) => {
                        let mut open: BTreeMap<TopicPartition, Option<Offset>> = committed
                            .into_iter()
                            .map(|(place, committed)| (place, Some(committed.offset)))
                            .collect();
                        let members = description.iter().flat_map(|group| &group.members);
                        let subscribed = members.clone().flat_map(|member| &member.subscribed);
                        let topics: BTreeSet<TopicName> = subscribed.cloned().collect();
                        for place in members.flat_map(|member| &member.assignment) {
                            open.entry(place.clone()).or_default();
                        }
                        let ids = self.complete(&mut open, topics).await;
                        let partitions = self.lags(&open, &ids, description.as_ref()).await;
                        Ok(GroupLag {
                            description,
                            partitions,
                        })
                    }
                    Err(error) => Err(error),
                },
            };
            found.push((group, lag));
        }
        PerItem::new(found)
    }

    /// Adds the partitions without a committed offset, of these topics and of the topics in `open`.
    /// Returns the ids of the topics.
    async fn complete(
        &self,
        open: &mut BTreeMap<TopicPartition, Option<Offset>>,
        mut topics: BTreeSet<TopicName>,
    ) -> BTreeMap<TopicName, Uuid> {
        topics.extend(open.keys().map(|place| place.topic.clone()));
        let mut ids = BTreeMap::new();
        if topics.is_empty() {
            return ids;
        }
        // A topic that cannot be described is not reported here. Its partitions fail later, because
        // their ends cannot be found either.
        let described = self.describe_topics(topics).await;
        for (name, topic) in described.into_iter().flatten() {
            let Ok(topic) = topic else { continue };
            ids.extend(topic.id.map(|id| (name.clone(), id)));
            for partition in &topic.partitions {
                let place = TopicPartition::new(&name, partition.partition);
                open.entry(place).or_default();
            }
        }
        ids
    }

    /// Looks up start, end and next record of each partition.
    async fn lags(
        &self,
        open: &BTreeMap<TopicPartition, Option<Offset>>,
        ids: &BTreeMap<TopicName, Uuid>,
        group: Option<&GroupDescription>,
    ) -> PerItem<TopicPartition, PartitionLag> {
        let all = |spec: OffsetSpec| open.keys().map(move |place| (place.clone(), spec));
        let starts = self.list_offsets(all(OffsetSpec::Earliest)).await;
        let ends = self.list_offsets(all(OffsetSpec::Latest)).await;
        let found = |listed: &PerItem<TopicPartition, ListedOffset>, place: &TopicPartition| {
            let found = listed.of(place).cloned();
            let found = found.unwrap_or_else(|| Err(unanswered("ListOffsets")))?;
            Ok::<Offset, Error>(found.offset.unwrap_or_default())
        };
        let lag = |(place, committed): (&TopicPartition, &Option<Offset>)| {
            let lag = found(&starts, place).and_then(|start| {
                let end = found(&ends, place)?;
                let member = group.and_then(|group| group.member_of(place)).cloned();
                Ok(PartitionLag::new(*committed, start, end, member))
            });
            (place.clone(), lag)
        };
        let mut lags: Vec<_> = open.iter().map(lag).collect();
        let next = lags.iter().enumerate().filter_map(|(at, (place, lag))| {
            let lag = lag.as_ref().ok()?;
            Some((at, place.clone(), lag.next()?, lag.end))
        });
        let next: Vec<_> = next.collect();
        let now = self.cluster.clock().now();
        for some in next.chunks(READS_AT_ONCE) {
            let times = some.iter().map(|(at, place, offset, end)| {
                let id = ids.get(&place.topic).copied();
                async move { (*at, self.next_record(place, *offset, *end, id).await) }
            });
            for (at, found) in join_all(times).await {
                let Some((_, Ok(lag))) = lags.get_mut(at) else {
                    continue;
                };
                match found {
                    Ok(Next::Record(Some(time))) => lag.behind = Some(now.since(time)),
                    Ok(Next::Nothing) => {
                        lag.records = Some(0);
                        lag.behind = Some(Duration::ZERO);
                    }
                    // The lag in records is still known if the time is not.
                    Ok(Next::Record(None) | Next::Unknown) | Err(_) => {}
                }
            }
        }
        PerItem::new(lags)
    }
}

/// Returns the description. `None` if the group does not exist.
fn known(described: Result<GroupDescription>) -> Result<Option<GroupDescription>> {
    match described {
        Ok(described) => Ok(Some(described)),
        Err(error) if error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The most partitions whose next record is read at the same time.
const READS_AT_ONCE: usize = 8;
