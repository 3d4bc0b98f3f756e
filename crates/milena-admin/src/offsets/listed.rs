//! Offsets in the logs of partitions (ListOffsets): the start, the end, or by timestamp.

use std::time::Duration;

use milena_core::{
    Error, ErrorKind, IsolationLevel, LeaderEpoch, Offset, Result, Timestamp, TopicPartition,
};
use milena_protocol::messages::ListOffsetsRequest;
use milena_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use milena_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;

use crate::PerItem;
use crate::admin::Admin;
use crate::answers::{by_topic, check, each_placed, unanswered, wire_name};
use crate::homes::Home;
use crate::shard::{Asked, Shard};

/// A question for an offset of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OffsetSpec {
    /// The first offset in the log.
    Earliest,
    /// The offset after the last record that all in-sync replicas have, the high watermark.
    Latest,
    /// The offset after the last record that readers of committed records see, the last stable
    /// offset. Without an open transaction it equals the high watermark (KIP-98).
    LastStable,
    /// The offset of the first record with this timestamp or a later one. A time before 1970 is
    /// refused.
    Timestamp(Timestamp),
    /// The offset of the record with the largest timestamp (KIP-734, Kafka 3.0 and later).
    MaxTimestamp,
}

impl OffsetSpec {
    fn to_wire(self) -> i64 {
        match self {
            Self::Earliest => -2,
            Self::Latest | Self::LastStable => -1,
            Self::Timestamp(time) => time.to_millis(),
            Self::MaxTimestamp => -3,
        }
    }

    fn is_negative(self) -> bool {
        matches!(self, Self::Timestamp(time) if time.to_millis() < 0)
    }
}

/// An offset of a partition, from its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedOffset {
    /// The offset. `None` if no record matches, for example if all records are older than the
    /// timestamp.
    pub offset: Option<Offset>,
    /// The timestamp of the record. `None` unless a timestamp was asked for.
    pub timestamp: Option<Timestamp>,
    /// The leader epoch of the record. `None` if unknown.
    pub leader_epoch: Option<LeaderEpoch>,
}

impl Admin {
    /// Finds offsets of partitions. Each partition succeeds or fails separately. Ask for each
    /// partition only once per call.
    ///
    /// # Errors
    /// An item fails with `UNKNOWN_TOPIC_OR_PARTITION`, with a timeout and so on. It fails with
    /// [`Unsupported`](ErrorKind::Unsupported) for [`OffsetSpec::MaxTimestamp`] on brokers before
    /// Kafka 3.0, and with [`Config`](ErrorKind::Config) for a time before 1970.
    ///
    /// # References
    /// ListOffsets, api key 2, versions 1 to 10. Sent to the leader of each partition.
    pub async fn list_offsets(
        &self,
        partitions: impl IntoIterator<Item = (TopicPartition, OffsetSpec)>,
    ) -> PerItem<TopicPartition, ListedOffset> {
        let items: Vec<_> = partitions.into_iter().collect();
        let mut results = Vec::new();
        results.resize_with(items.len(), || Err(unanswered("ListOffsets")));
        // A request has one isolation level for all partitions, so `LastStable` needs its own
        // request.
        for committed in [false, true] {
            let mut places = Vec::new();
            let mut asked = Vec::new();
            for (at, (place, spec)) in items.iter().enumerate() {
                if spec.is_negative() {
                    if let Some(result) = results.get_mut(at) {
                        *result = Err(before_1970());
                    }
                } else if committed == (*spec == OffsetSpec::LastStable) {
                    places.push(at);
                    asked.push((place.clone(), *spec));
                }
            }
            if asked.is_empty() {
                continue;
            }
            let told = self.sharded(&ListOffsets { committed }, &asked).await;
            for (at, told) in places.into_iter().zip(told) {
                if let Some(result) = results.get_mut(at) {
                    *result = told;
                }
            }
        }
        let places = items.into_iter().map(|(place, _)| place);
        PerItem::zip(places, results, |place, error| error.at(place))
    }
}

/// Creates the error for a time before 1970. On the wire, the timestamps -1, -2 and -3 mean the
/// end, the start and the largest timestamp.
fn before_1970() -> Error {
    let what = "the time lies before 1970, and no record can be found by it";
    Error::new(ErrorKind::Config, what).api("ListOffsets")
}

/// Lists offsets with one isolation level.
struct ListOffsets {
    /// True to ask for the end that readers of committed records see.
    committed: bool,
}

impl Shard for ListOffsets {
    type Item = (TopicPartition, OffsetSpec);
    type Value = ListedOffset;
    const REPEATABLE: bool = true;

    fn home(&self, (place, _): &Self::Item) -> Home {
        Home::Leader(place.clone())
    }

    async fn ask(
        &self,
        at: Asked<'_>,
        items: Vec<Self::Item>,
    ) -> Result<Vec<Result<ListedOffset>>> {
        let build = |version: i16| request(&items, self.committed, version, at.limit);
        let answer = at.send_built(build).await?;
        let api = "ListOffsets";
        let read = |told: &ListOffsetsPartitionResponse| {
            check(told.error_code, None, api)?;
            Ok(ListedOffset {
                offset: Offset::from_wire(told.offset),
                timestamp: Timestamp::from_wire(told.timestamp),
                leader_epoch: LeaderEpoch::from_wire(told.leader_epoch),
            })
        };
        let number = |told: &ListOffsetsPartitionResponse| told.partition_index;
        let told = answer.topics.iter();
        let told = told.map(|topic| (&topic.name, &topic.partitions[..]));
        let places = items.iter().map(|(place, _)| place);
        Ok(each_placed(places, &told, number, api, read))
    }
}

/// Builds the request for one broker.
fn request(
    items: &[(TopicPartition, OffsetSpec)],
    committed: bool,
    version: i16,
    limit: Duration,
) -> Result<ListOffsetsRequest> {
    let newest = |(_, spec): &(TopicPartition, OffsetSpec)| *spec == OffsetSpec::MaxTimestamp;
    if version < 7 && items.iter().any(newest) {
        let what = "the broker is too old to find the largest timestamp";
        return Err(Error::new(ErrorKind::Unsupported, what).api("ListOffsets"));
    }
    let topics = by_topic(items.iter().cloned()).into_iter();
    let topics = topics.map(|(topic, partitions)| {
        let partitions = partitions.into_iter().map(|(partition, spec)| {
            ListOffsetsPartition::default()
                .with_partition_index(partition)
                .with_current_leader_epoch(-1)
                .with_timestamp(spec.to_wire())
        });
        ListOffsetsTopic::default()
            .with_name(wire_name(&topic))
            .with_partitions(partitions.collect())
    });
    let mut request = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(topics.collect());
    // Version 1 has no isolation level.
    if committed && version >= 2 {
        request.isolation_level = IsolationLevel::ReadCommitted.to_wire();
    }
    if version >= 10 {
        request.timeout_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    }
    Ok(request)
}
