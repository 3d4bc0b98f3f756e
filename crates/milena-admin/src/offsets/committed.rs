//! The committed offsets of groups (OffsetFetch).

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_core::{
    Error, ErrorKind, LeaderEpoch, Offset, Partition, Result, TopicName, TopicPartition,
};
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use milena_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use milena_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};

use crate::PerItem;
use crate::admin::Admin;
use crate::answers::{check, text, unanswered, wire_group};
use crate::groups::{GroupVerb, each_told};
use crate::shard::Asked;

/// The offset that a group has committed in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommittedOffset {
    /// The offset at which the group resumes reading.
    pub offset: Offset,
    /// The leader epoch of the last record before it. `None` if the committer stored none.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The text that the committer stored with it. `None` if there is none.
    pub metadata: Option<String>,
}

/// The committed offsets of a group.
pub(crate) type Committed = BTreeMap<TopicPartition, CommittedOffset>;

impl Admin {
    /// Returns the committed offsets of groups, by partition. Each group succeeds or fails
    /// separately. A group that does not exist has committed nothing.
    ///
    /// # Errors
    /// An item fails with `GROUP_AUTHORIZATION_FAILED`, with a timeout and so on.
    ///
    /// # References
    /// OffsetFetch, api key 9, versions 2 to 9. From version 8 on, one request asks for several
    /// groups (KIP-709).
    pub async fn group_offsets<G: Into<String>>(
        &self,
        groups: impl IntoIterator<Item = G>,
    ) -> PerItem<String, BTreeMap<TopicPartition, CommittedOffset>> {
        self.each_group(GroupOffsets, groups).await
    }
}

struct GroupOffsets;

impl GroupVerb for GroupOffsets {
    type Value = Committed;
    const REPEATABLE: bool = true;

    async fn ask(&self, at: Asked<'_>, groups: &[Arc<str>]) -> Result<Vec<Result<Committed>>> {
        match fetch(at, groups).await {
            // A broker before version 8 accepts only one group per request.
            Err(error) if error.kind() == ErrorKind::Unsupported && groups.len() > 1 => {
                let mut results = Vec::new();
                for group in groups {
                    let one = fetch(at, std::slice::from_ref(group)).await;
                    let one =
                        one.and_then(|mut one| one.pop().unwrap_or_else(|| Err(unanswered(API))));
                    results.push(one);
                }
                Ok(results)
            }
            results => results,
        }
    }
}

/// Returns the partitions of one topic in an answer. A macro, because answers before version 8 have
/// other types with the same fields.
macro_rules! told {
    ($topic:expr, $partitions:expr) => {
        $partitions.iter().map(move |each| {
            let told = Told {
                partition: each.partition_index,
                offset: each.committed_offset,
                epoch: each.committed_leader_epoch,
                metadata: each.metadata.as_ref(),
                error: each.error_code,
            };
            ($topic, told)
        })
    };
}

/// Asks a coordinator for the committed offsets of all partitions of `groups`.
async fn fetch(at: Asked<'_>, groups: &[Arc<str>]) -> Result<Vec<Result<Committed>>> {
    let build = |version: i16| {
        let request = OffsetFetchRequest::default();
        if version >= 8 {
            let asked = groups.iter().map(|group| {
                OffsetFetchRequestGroup::default()
                    .with_group_id(wire_group(group))
                    .with_member_epoch(-1)
                    .with_topics(None)
            });
            return Ok(request.with_groups(asked.collect()));
        }
        match groups {
            [group] => Ok(request.with_group_id(wire_group(group)).with_topics(None)),
            _ => Err(Error::new(
                ErrorKind::Unsupported,
                "the broker takes one group at a time",
            )),
        }
    };
    let answer = at.send_built(build).await?;
    if answer.groups.is_empty() {
        return Ok(vec![of_one(&answer)]);
    }
    let read = |told: &OffsetFetchResponseGroup| {
        check(told.error_code, None, API)?;
        gather(told.topics.iter().flat_map(|topic| {
            let name = topic.name.0.as_str();
            told!(name, topic.partitions)
        }))
    };
    let told = &answer.groups;
    Ok(each_told(groups, told, |told| &told.group_id, API, read))
}

/// Reads an answer before version 8, which is about one group.
fn of_one(answer: &OffsetFetchResponse) -> Result<Committed> {
    check(answer.error_code, None, API)?;
    gather(answer.topics.iter().flat_map(|topic| {
        let name = topic.name.0.as_str();
        told!(name, topic.partitions)
    }))
}

/// One partition of an answer, of any version.
struct Told<'a> {
    /// The partition's number.
    partition: i32,
    /// The committed offset. -1 if nothing is committed.
    offset: i64,
    /// The leader epoch of the last record before it. -1 if unknown.
    epoch: i32,
    /// The text stored with the offset.
    metadata: Option<&'a StrBytes>,
    /// The partition's error code. 0 without an error.
    error: i16,
}

/// Collects the partitions of an answer. Fails with the first error of a partition.
fn gather<'a>(told: impl Iterator<Item = (&'a str, Told<'a>)>) -> Result<Committed> {
    let mut found = Committed::new();
    for (topic, told) in told {
        let Some(partition) = Partition::from_wire(told.partition) else {
            continue;
        };
        let place = TopicPartition::new(TopicName::from(topic), partition);
        check(told.error, None, API).map_err(|error| error.at(&place))?;
        // In a request for all partitions, brokers may still list partitions without a committed
        // offset.
        if let Some(offset) = Offset::from_wire(told.offset) {
            let committed = CommittedOffset {
                offset,
                leader_epoch: LeaderEpoch::from_wire(told.epoch),
                metadata: told.metadata.and_then(text),
            };
            found.insert(place, committed);
        }
    }
    Ok(found)
}

const API: &str = "OffsetFetch";
