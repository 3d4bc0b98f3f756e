//! How far groups are behind: in records, and in seconds by the timestamp of the record that is next.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use milena_core::{
    Error, ErrorCode, ErrorKind, Offset, Result, Timestamp, TopicName, TopicPartition,
};
use milena_pool::Target;
use milena_protocol::batch::Batches;
use milena_protocol::compression::DEFAULT_MAX_SIZE;
use milena_protocol::messages::FetchRequest;
use milena_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use uuid::Uuid;

use crate::PerItem;
use crate::admin::Admin;
use crate::answers::{check, unanswered, wire_name};
use crate::groups::{GroupDescription, MemberDescription};
use crate::offsets::{ListedOffset, OffsetSpec};

/// How far a group is behind.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupLag {
    /// The group, its state and its members; `None` where it does not exist.
    pub description: Option<GroupDescription>,
    /// Every partition that it has committed in or that is assigned to a member, by topic and number.
    pub partitions: PerItem<TopicPartition, PartitionLag>,
}

impl GroupLag {
    /// The records that the group is behind in all, where that is known.
    #[must_use]
    pub fn records(&self) -> u64 {
        let known = self
            .partitions
            .iter()
            .filter_map(|(_, lag)| lag.as_ref().ok()?.records);
        known.fold(0, u64::saturating_add)
    }

    /// The time that its slowest partition is behind, where that is known.
    #[must_use]
    pub fn behind(&self) -> Option<Duration> {
        let known = self
            .partitions
            .iter()
            .filter_map(|(_, lag)| lag.as_ref().ok()?.behind);
        known.max()
    }
}

/// How far a group is behind in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionLag {
    /// Where the group resumes; `None` where nothing is committed.
    pub committed: Option<Offset>,
    /// The first offset that is there.
    pub start: Offset,
    /// The offset after the last.
    pub end: Offset,
    /// How many offsets lie before the end; `None` where nothing is committed.
    pub records: Option<u64>,
    /// How long ago the record that is next was written; zero where the group is at the end, `None` where it is not known.
    pub behind: Option<Duration>,
    /// The member that has the partition.
    pub member: Option<MemberDescription>,
}

impl Admin {
    /// How far groups are behind. Each succeeds or fails alone; a group that does not exist has no partitions.
    ///
    /// For each partition with a lag one batch is read, whose record tells the time.
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
                        for place in members.flat_map(|member| &member.assignment) {
                            open.entry(place.clone()).or_default();
                        }
                        let partitions = self.lags(&open, description.as_ref()).await;
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

    async fn lags(
        &self,
        open: &BTreeMap<TopicPartition, Option<Offset>>,
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
        let mut lags = Vec::new();
        let mut late = Vec::new();
        for (place, committed) in open {
            let lag = found(&starts, place).and_then(|start| {
                let end = found(&ends, place)?;
                let records = committed.map(|committed| end.since(committed));
                Ok(PartitionLag {
                    committed: *committed,
                    start,
                    end,
                    records,
                    behind: records
                        .filter(|records| *records == 0)
                        .map(|_| Duration::ZERO),
                    member: group.and_then(|group| group.member_of(place)).cloned(),
                })
            });
            if let (Ok(lag), Some(committed)) = (&lag, committed)
                && lag.end > *committed
                && lag.end > lag.start
            {
                late.push((lags.len(), place.clone(), (*committed).max(lag.start)));
            }
            lags.push((place.clone(), lag));
        }
        let ids = self
            .topic_ids(late.iter().map(|(_, place, _)| &place.topic))
            .await;
        let now = Timestamp::now();
        for some in late.chunks(READS_AT_ONCE) {
            let times = some.iter().map(|(at, place, offset)| {
                let id = ids.get(&place.topic).copied();
                async move { (*at, self.time_of(place, *offset, id).await) }
            });
            for (at, time) in join_all(times).await {
                // A time that cannot be told leaves the lag in records.
                if let (Ok(Some(time)), Some((_, Ok(lag)))) = (time, lags.get_mut(at)) {
                    lag.behind = Some(now.since(time));
                }
            }
        }
        PerItem::new(lags)
    }

    async fn topic_ids(
        &self,
        topics: impl Iterator<Item = &TopicName>,
    ) -> BTreeMap<TopicName, Uuid> {
        let mut names: Vec<TopicName> = topics.cloned().collect();
        names.sort();
        names.dedup();
        let described = match names.is_empty() {
            true => return BTreeMap::new(),
            false => self.describe_topics(names).await,
        };
        let described = described.into_iter().flatten();
        described
            .filter_map(|(name, topic)| Some((name, topic.ok()?.id?)))
            .collect()
    }

    /// When the first record at or after `offset` was written; `None` where it has no time.
    async fn time_of(
        &self,
        place: &TopicPartition,
        offset: Offset,
        id: Option<Uuid>,
    ) -> Result<Option<Timestamp>> {
        let build = |version: i16| {
            // The first batch comes whole, however little is asked for (KIP-74).
            let partition = FetchPartition::default()
                .with_partition(place.partition.to_wire())
                .with_current_leader_epoch(-1)
                .with_fetch_offset(offset.to_wire())
                .with_partition_max_bytes(1);
            let topic = FetchTopic::default().with_partitions(vec![partition]);
            let topic = match (version, id) {
                (..13, _) => topic.with_topic(wire_name(&place.topic)),
                (_, Some(id)) => topic.with_topic_id(id),
                (_, None) => {
                    let what = "the topic's id is not known";
                    return Err(Error::new(ErrorKind::State, what));
                }
            };
            Ok(FetchRequest::default()
                .with_replica_id((-1).into())
                .with_session_epoch(-1)
                .with_max_bytes(1)
                .with_topics(vec![topic]))
        };
        self.cluster.want_topics([place.topic.clone()]);
        let answer = self.ask(&Target::Leader(place.clone()), build).await?;
        check(answer.error_code, None, "Fetch")?;
        let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let told = partitions.next().ok_or_else(|| unanswered("Fetch"))?;
        check(told.error_code, None, "Fetch")?;
        let Some(records) = told.records.clone() else {
            return Ok(None);
        };
        for batch in Batches::new(records) {
            let batch = batch?;
            if batch.is_control() {
                continue;
            }
            let records = batch.records(DEFAULT_MAX_SIZE)?;
            for record in records.iter() {
                let record = record?;
                if record.offset >= offset {
                    return Ok(record.timestamp);
                }
            }
        }
        Ok(None)
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
