//! OffsetFetch: what groups have committed.

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

/// Where a group resumes in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: Offset,
    /// The leader epoch of the last record before it.
    pub leader_epoch: Option<LeaderEpoch>,
    /// What was written beside it.
    pub metadata: Option<String>,
}

/// The committed offsets of a group.
pub(crate) type Committed = BTreeMap<TopicPartition, CommittedOffset>;

impl Admin {
    /// What groups have committed, by partition. Each succeeds or fails alone; a group that does not exist has committed nothing.
    ///
    /// # Errors
    /// Of an item: `GROUP_AUTHORIZATION_FAILED` and its like; a timeout.
    ///
    /// # References
    /// OffsetFetch, api key 9, versions 2 to 9; many groups in one request from version 8 on (KIP-709).
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
            // A broker of before version 8 takes one group at a time.
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

/// What an answer says of a topic's partitions; before version 8 it has other types with the same fields.
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

/// The answer to a request for one group, in the form before version 8.
fn of_one(answer: &OffsetFetchResponse) -> Result<Committed> {
    check(answer.error_code, None, API)?;
    gather(answer.topics.iter().flat_map(|topic| {
        let name = topic.name.0.as_str();
        told!(name, topic.partitions)
    }))
}

struct Told<'a> {
    partition: i32,
    offset: i64,
    epoch: i32,
    metadata: Option<&'a StrBytes>,
    error: i16,
}

fn gather<'a>(told: impl Iterator<Item = (&'a str, Told<'a>)>) -> Result<Committed> {
    let mut found = Committed::new();
    for (topic, told) in told {
        let Some(partition) = Partition::from_wire(told.partition) else {
            continue;
        };
        let place = TopicPartition::new(TopicName::from(topic), partition);
        check(told.error, None, API).map_err(|error| error.at(&place))?;
        // Asked for all, brokers may still list partitions where nothing is committed.
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
