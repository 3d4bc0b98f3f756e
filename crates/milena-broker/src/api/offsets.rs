//! OffsetCommit, OffsetFetch and OffsetDelete.

use milena_core::ErrorCode;
use milena_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use milena_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use milena_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use milena_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use milena_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse,
};
use tokio::time::Instant;

use crate::context::{Answer, Context, text, topic_name};
use crate::group::{Committed, Committing, Group, Identity};

/// Serves an OffsetCommit request.
pub(super) fn commit(context: &Context, request: &OffsetCommitRequest) -> Answer {
    let group = request.group_id.as_str();
    let commit = Committing {
        who: Identity {
            member_id: request.member_id.to_string(),
            instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
        },
        generation: request.generation_id_or_member_epoch,
    };
    let allowed = whole_request(context, group, &commit);
    let topics = request.topics.iter().map(|topic| {
        let name = topic.name.as_str();
        let asked = topic
            .partitions
            .iter()
            .filter(|each| !context.hits.omits(name, each.partition_index));
        let partitions = asked.map(|asked| {
            let done = allowed.and_then(|()| commit_one(context, group, name, asked));
            OffsetCommitResponsePartition::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(context.code_of(&done))
        });
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    let mut answer = OffsetCommitResponse::default().with_topics(topics.collect());
    if context.version >= 3 {
        answer.throttle_time_ms = context.throttle_ms();
    }
    context.answer::<OffsetCommitRequest>(&answer)
}

/// Checks everything that holds for the whole commit. These are the coordinator, the group and the
/// member.
fn whole_request(context: &Context, group: &str, commit: &Committing) -> Result<(), ErrorCode> {
    match context.cluster.coordinator(group) {
        Some(node) if node.id == context.node.id => {}
        _ => return Err(ErrorCode::NOT_COORDINATOR),
    }
    if group.is_empty() {
        return Err(ErrorCode::INVALID_GROUP_ID);
    }
    let may = |group: &mut Group| group.may_commit(Instant::now(), commit);
    match context.cluster.groups.with(group, may) {
        Some(answer) => answer,
        None if commit.generation < 0 => Ok(()),
        None => Err(ErrorCode::ILLEGAL_GENERATION),
    }
}

/// Commits the offset of one partition.
fn commit_one(
    context: &Context,
    group: &str,
    topic: &str,
    asked: &OffsetCommitRequestPartition,
) -> Result<(), ErrorCode> {
    if let Some(code) = context.hits.error_at(topic, asked.partition_index) {
        return Err(code);
    }
    let metadata = asked
        .committed_metadata
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    // Brokers count UTF-16 units, although the setting's name says bytes.
    if metadata.encode_utf16().count() > MAX_METADATA {
        return Err(ErrorCode::OFFSET_METADATA_TOO_LARGE);
    }
    if context
        .cluster
        .partition(topic, asked.partition_index)
        .is_none()
    {
        return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
    let committed = Committed {
        offset: asked.committed_offset,
        leader_epoch: asked.committed_leader_epoch,
        metadata,
    };
    context.cluster.groups.with_new(group, |group| {
        group.offsets.store(topic, asked.partition_index, committed);
    });
    match context.hits.error_after(topic, asked.partition_index) {
        Some(code) => Err(code),
        None => Ok(()),
    }
}

/// The topics and partitions that were asked for. `None` asks for all committed offsets.
type AskedOffsets = Option<Vec<(String, Vec<i32>)>>;

/// The topics with their partitions and committed offsets.
type GroupOffsets = Vec<(String, Vec<(i32, Option<Committed>)>)>;

/// Serves an OffsetFetch request. Version 8 and later ask for several groups.
pub(super) fn fetch(context: &Context, request: &OffsetFetchRequest) -> Answer {
    let mut answer = OffsetFetchResponse::default();
    if context.version >= 3 {
        answer.throttle_time_ms = context.throttle_ms();
    }
    if context.version >= 8 {
        answer.groups = request
            .groups
            .iter()
            .map(|asked| {
                let topics = asked.topics.as_ref().map(|topics| {
                    let each = topics.iter();
                    each.map(|topic| (topic.name.to_string(), topic.partition_indexes.clone()))
                        .collect()
                });
                // An admin client sends neither member id nor epoch, and is not checked. Every
                // other caller must be a current member (KIP-848).
                let named = asked.member_id.is_some() || asked.member_epoch >= 0;
                let who = named.then(|| Identity {
                    member_id: asked
                        .member_id
                        .as_ref()
                        .map(ToString::to_string)
                        .unwrap_or_default(),
                    instance_id: None,
                });
                let told =
                    OffsetFetchResponseGroup::default().with_group_id(asked.group_id.clone());
                match look_up(
                    context,
                    asked.group_id.as_str(),
                    &topics,
                    who.as_ref().map(|who| (who, asked.member_epoch)),
                ) {
                    Ok(found) => {
                        let each = found.into_iter().map(|found| grouped(context, found));
                        told.with_topics(each.collect())
                    }
                    Err(code) => told.with_error_code(context.code(code)),
                }
            })
            .collect();
        return context.answer::<OffsetFetchRequest>(&answer);
    }
    let topics: AskedOffsets = request.topics.as_ref().map(|topics| {
        let each = topics.iter();
        each.map(|topic| (topic.name.to_string(), topic.partition_indexes.clone()))
            .collect()
    });
    match look_up(context, request.group_id.as_str(), &topics, None) {
        Ok(found) => {
            let each = found.into_iter().map(|found| plain(context, found, None));
            answer.topics = each.collect();
        }
        Err(code) => {
            let code = context.code(code);
            if context.version >= 2 {
                answer.error_code = code;
            } else {
                // Version 1 can only report an error at each partition.
                answer.topics = nothing(&topics)
                    .into_iter()
                    .map(|found| plain(context, found, Some(code)))
                    .collect();
            }
        }
    }
    context.answer::<OffsetFetchRequest>(&answer)
}

/// Looks up committed offsets. `member` must be a current member if it is given.
fn look_up(
    context: &Context,
    group: &str,
    topics: &AskedOffsets,
    member: Option<(&Identity, i32)>,
) -> Result<GroupOffsets, ErrorCode> {
    context.coordinates(group)?;
    let found = context.cluster.groups.with(group, |group| {
        if let Some((who, epoch)) = member {
            group.may_read(who, epoch)?;
        }
        Ok(read(group, topics))
    });
    found.unwrap_or_else(|| Ok(nothing(topics)))
}

/// Reads the committed offsets of a group.
fn read(group: &Group, topics: &AskedOffsets) -> GroupOffsets {
    if let Some(topics) = topics {
        let one = |topic: &str, index: &i32| (*index, group.offsets.get(topic, *index).cloned());
        return topics
            .iter()
            .map(|(topic, indexes)| {
                (
                    topic.clone(),
                    indexes.iter().map(|index| one(topic, index)).collect(),
                )
            })
            .collect();
    }
    let mut found: GroupOffsets = Vec::new();
    for (topic, partition, committed) in group.offsets.all() {
        let entry = (partition, Some(committed.clone()));
        match found.last_mut() {
            Some((last, partitions)) if last == topic => partitions.push(entry),
            _ => found.push((topic.to_owned(), vec![entry])),
        }
    }
    found
}

/// Returns the partitions that were asked for, without offsets.
fn nothing(topics: &AskedOffsets) -> GroupOffsets {
    let topics = topics.as_deref().unwrap_or_default().iter();
    topics
        .map(|(topic, indexes)| {
            (
                topic.clone(),
                indexes.iter().map(|index| (*index, None)).collect(),
            )
        })
        .collect()
}

/// Returns number, error code and committed offset of each partition of a topic, with offset -1 for
/// none. `code` is an error of the whole request that has no other place in the answer.
fn told(
    context: &Context,
    topic: &str,
    partitions: Vec<(i32, Option<Committed>)>,
    code: Option<i16>,
) -> impl Iterator<Item = (i32, i16, Committed)> {
    let shown = partitions.into_iter();
    let shown = shown.filter(|(index, _)| !context.hits.omits(topic, *index));
    shown.map(move |(index, committed)| {
        let fault = context.fault_at(topic, index);
        let code = code.unwrap_or_else(|| context.code_of(&fault));
        let committed = committed.filter(|_| fault.is_ok());
        let none = || Committed {
            offset: -1,
            leader_epoch: -1,
            metadata: String::new(),
        };
        (index, code, committed.unwrap_or_else(none))
    })
}

/// Writes one topic in the layout of version 8 and later.
fn grouped(
    context: &Context,
    (topic, partitions): (String, Vec<(i32, Option<Committed>)>),
) -> OffsetFetchResponseTopics {
    let partitions = told(context, &topic, partitions, None).map(|(index, code, committed)| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_error_code(code)
            .with_committed_offset(committed.offset)
            .with_committed_leader_epoch(committed.leader_epoch)
            .with_metadata(Some(text(committed.metadata)))
    });
    OffsetFetchResponseTopics::default()
        .with_name(topic_name(&topic))
        .with_partitions(partitions.collect())
}

/// Writes one topic in the layout of earlier versions. `code` is an error of the whole request that
/// has no other place in the answer.
fn plain(
    context: &Context,
    (topic, partitions): (String, Vec<(i32, Option<Committed>)>),
    code: Option<i16>,
) -> OffsetFetchResponseTopic {
    let partitions = told(context, &topic, partitions, code).map(|(index, code, committed)| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(index)
            .with_error_code(code)
            .with_committed_offset(committed.offset)
            .with_committed_leader_epoch(committed.leader_epoch)
            .with_metadata(Some(text(committed.metadata)))
    });
    OffsetFetchResponseTopic::default()
        .with_name(topic_name(&topic))
        .with_partitions(partitions.collect())
}

/// Serves an OffsetDelete request.
pub(super) fn delete(context: &Context, request: &OffsetDeleteRequest) -> Answer {
    let group = request.group_id.as_str();
    let mut answer = OffsetDeleteResponse::default().with_throttle_time_ms(context.throttle_ms());
    let known = context.coordinates(group).and_then(|()| {
        context
            .cluster
            .groups
            .with(group, |_| ())
            .ok_or(ErrorCode::GROUP_ID_NOT_FOUND)
    });
    if let Err(code) = known {
        answer.error_code = context.code(code);
        return context.answer::<OffsetDeleteRequest>(&answer);
    }
    answer.topics = request
        .topics
        .iter()
        .map(|topic| {
            let name = topic.name.as_str();
            let asked = topic.partitions.iter();
            let asked = asked.filter(|each| !context.hits.omits(name, each.partition_index));
            let partitions = asked.map(|each| {
                let done = delete_one(context, group, name, each.partition_index);
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(each.partition_index)
                    .with_error_code(context.code_of(&done))
            });
            OffsetDeleteResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        })
        .collect();
    context.answer::<OffsetDeleteRequest>(&answer)
}

/// Deletes the committed offset of one partition, unless the group reads the topic.
fn delete_one(
    context: &Context,
    group: &str,
    topic: &str,
    partition: i32,
) -> Result<(), ErrorCode> {
    context.fault_at(topic, partition)?;
    if context.cluster.partition(topic, partition).is_none() {
        return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
    let delete = |group: &mut Group| {
        if group.reads(topic) {
            return Err(ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC);
        }
        group.offsets.forget(topic, partition);
        Ok(())
    };
    context
        .cluster
        .groups
        .with(group, delete)
        .unwrap_or(Err(ErrorCode::GROUP_ID_NOT_FOUND))
}

/// `offset.metadata.max.bytes` of real brokers.
const MAX_METADATA: usize = 4096;
