//! The lag of groups: in records, and in seconds by the timestamp of the record that is next.

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
    /// The group, its state and its members; `None` where it does not exist.
    pub description: Option<GroupDescription>,
    /// Partitions by topic and number: all of each topic that the group has committed in, that a
    /// member subscribed to by name, or of which a member has a partition.
    pub partitions: PerItem<TopicPartition, PartitionLag>,
}

impl GroupLag {
    /// Adds up the lag of all partitions whose lag is known; see [`unknown`](Self::unknown).
    #[must_use]
    pub fn records(&self) -> u64 {
        let known = self
            .partitions
            .iter()
            .filter_map(|(_, lag)| lag.as_ref().ok()?.records);
        known.fold(0, u64::saturating_add)
    }

    /// Counts the partitions whose lag is not known. No broker told about them, or they hold records
    /// and nothing is committed, or the committed offset lies above the end.
    #[must_use]
    pub fn unknown(&self) -> usize {
        let lags = self.partitions.iter();
        let unknown = lags.filter(|(_, lag)| !matches!(lag, Ok(lag) if lag.records.is_some()));
        unknown.count()
    }

    /// The time that its slowest partition is behind; `None` where that is not known of one that is behind.
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
    /// The offset at which the group resumes; `None` where nothing is committed.
    pub committed: Option<Offset>,
    /// The first offset that is there.
    pub start: Offset,
    /// The offset after the last.
    pub end: Offset,
    /// The count of offsets from the committed one, or from `start` where that is later, to the end.
    /// Zero where the partition is empty or no record is left before the end. `None` where it is not
    /// known: nothing is committed in a partition that holds records, or the committed offset
    /// [lies above the end](Self::is_above_end).
    pub records: Option<u64>,
    /// The age of the record that is next; zero where no record is, `None` where it is not known.
    pub behind: Option<Duration>,
    /// The member that has the partition.
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
            // The log was cut or the topic made again: whatever comes up to there is not read.
            Some(committed) if committed > end => None,
            // What retention removed is no backlog, since nobody can read it.
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

    /// Returns `true` where more is committed than the log holds, as when the topic was deleted and made again.
    #[must_use]
    pub fn is_above_end(&self) -> bool {
        self.committed.is_some_and(|committed| committed > self.end)
    }

    /// Where the record lies that is to be read next, where one may be.
    fn next(&self) -> Option<Offset> {
        self.records.filter(|records| *records > 0)?;
        Some(self.committed?.max(self.start))
    }
}

impl Admin {
    /// How far groups are behind. Each succeeds or fails alone; a group that does not exist has no partitions.
    ///
    /// For each partition with a lag a batch is read, whose record tells the time.
    ///
    /// # Errors
    /// Of an item: `GROUP_AUTHORIZATION_FAILED` and its like; a timeout. Of a partition: that its end cannot be found.
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

    /// Adds the partitions of these topics, and of those that are there, in which nothing is committed; gives the topics' ids.
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
        // A topic that cannot be described is told by its partitions, whose ends cannot be found either.
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
                    // A time that cannot be told leaves the lag in records.
                    Ok(Next::Record(None) | Next::Unknown) | Err(_) => {}
                }
            }
        }
        PerItem::new(lags)
    }
}

/// The description; `None` of a group that does not exist.
fn known(described: Result<GroupDescription>) -> Result<Option<GroupDescription>> {
    match described {
        Ok(described) => Ok(Some(described)),
        Err(error) if error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

const READS_AT_ONCE: usize = 8;
