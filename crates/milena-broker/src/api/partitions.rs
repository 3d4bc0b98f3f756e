//! CreatePartitions, DeleteRecords and DescribeTopicPartitions.

use milena_core::ErrorCode;
use milena_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use milena_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use milena_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use milena_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreatePartitionsResponse, DeleteRecordsRequest,
    DeleteRecordsResponse, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
};

use crate::context::{Answer, Context, text, topic_name};
use crate::view::{PartitionView, View};

/// Serves a CreatePartitions request.
pub(super) fn create(context: &Context, request: &CreatePartitionsRequest) -> Answer {
    let results = request.topics.iter().map(|topic| {
        let name = topic.name.as_str();
        let added = context
            .fault_of_topic(name)
            .map_err(|code| (code, String::new()))
            .and_then(|()| {
                let unknown = || {
                    (
                        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                        "This server does not host this topic.".to_owned(),
                    )
                };
                context.cluster.topic(name).ok_or_else(unknown)
            })
            .and_then(|topic_state| {
                context
                    .cluster
                    .add_partitions(&topic_state, topic.count, request.validate_only)
            });
        let told = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
        match added {
            Ok(()) => told,
            Err((code, why)) => told
                .with_error_code(context.code(code))
                .with_error_message(Some(text(why))),
        }
    });
    let answer = CreatePartitionsResponse::default()
        .with_throttle_time_ms(context.throttle_ms())
        .with_results(results.collect());
    context.answer::<CreatePartitionsRequest>(&answer)
}

/// Serves a DeleteRecords request.
pub(super) fn delete_records(context: &Context, request: &DeleteRecordsRequest) -> Answer {
    let topics = request.topics.iter().map(|topic| {
        let name = topic.name.as_str();
        let asked = topic.partitions.iter();
        let asked = asked.filter(|each| !context.hits.omits(name, each.partition_index));
        let partitions = asked.map(|asked| {
            let told =
                DeleteRecordsPartitionResult::default().with_partition_index(asked.partition_index);
            match trim(context, name, asked.partition_index, asked.offset) {
                Ok(start) => told.with_low_watermark(start),
                Err(code) => told
                    .with_low_watermark(-1)
                    .with_error_code(context.code(code)),
            }
        });
        DeleteRecordsTopicResult::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    let answer = DeleteRecordsResponse::default()
        .with_throttle_time_ms(context.throttle_ms())
        .with_topics(topics.collect());
    context.answer::<DeleteRecordsRequest>(&answer)
}

/// Deletes the records of one partition before `offset`, or all for -1. Returns the new start of
/// the log.
fn trim(context: &Context, topic: &str, index: i32, offset: i64) -> Result<i64, ErrorCode> {
    context.fault_at(topic, index)?;
    let partition = context
        .cluster
        .partition(topic, index)
        .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    let mut state = partition.lock();
    state
        .led_by(context.node.id, -1)
        .map_err(|(code, _)| code)?;
    let end = state.high_watermark();
    let upto = if offset == -1 { end } else { offset };
    if upto < 0 || upto > end {
        return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
    }
    state.log.delete_before(upto);
    let start = state.log.start();
    drop(state);
    partition.wake();
    Ok(start)
}

/// Serves a DescribeTopicPartitions request, one page at a time (KIP-966).
pub(super) fn describe(context: &Context, request: &DescribeTopicPartitionsRequest) -> Answer {
    let view = context.cluster.view();
    let mut names: Vec<String> = request
        .topics
        .iter()
        .map(|topic| topic.name.to_string())
        .collect();
    if names.is_empty() {
        names = view.topics.keys().cloned().collect();
    }
    names.sort();
    names.dedup();
    let (first_topic, first_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.to_string(), cursor.partition_index),
        None => (String::new(), 0),
    };
    let mut left = usize::try_from(request.response_partition_limit)
        .unwrap_or(0)
        .clamp(1, MAX_PARTITIONS);
    let mut answer =
        DescribeTopicPartitionsResponse::default().with_throttle_time_ms(context.throttle_ms());
    for name in names.into_iter().filter(|name| *name >= first_topic) {
        // The limit is reached at the end of a topic. The next page begins with this one, even if
        // there is no such topic.
        if left == 0 {
            answer.next_cursor = Some(cursor(&name, 0));
            break;
        }
        let from = if name == first_topic {
            first_partition
        } else {
            0
        };
        let all = view
            .topics
            .get(&name)
            .map_or(&[][..], |topic| &topic.partitions);
        let page: Vec<&PartitionView> = all
            .iter()
            .filter(|each| each.index >= from)
            .take(left)
            .collect();
        left -= page.len();
        let next = page.last().map_or(from, |last| last.index + 1);
        answer.topics.push(topic(context, &view, &name, &page));
        if all.last().is_some_and(|last| last.index >= next) {
            answer.next_cursor = Some(cursor(&name, next));
            break;
        }
    }
    context.answer::<DescribeTopicPartitionsRequest>(&answer)
}

/// Makes the cursor of the next page.
fn cursor(topic: &str, partition: i32) -> Cursor {
    Cursor::default()
        .with_topic_name(topic_name(topic))
        .with_partition_index(partition)
}

/// Describes one topic with the given partitions.
fn topic(
    context: &Context,
    view: &View,
    name: &str,
    partitions: &[&PartitionView],
) -> DescribeTopicPartitionsResponseTopic {
    let told = DescribeTopicPartitionsResponseTopic::default().with_name(Some(topic_name(name)));
    let Some(known) = view.topics.get(name) else {
        return told.with_error_code(context.code(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    };
    if let Some(code) = context.hits.error_of_topic(name) {
        return told.with_error_code(context.code(code));
    }
    let ids = |ids: &[i32]| ids.iter().map(|id| BrokerId(*id)).collect::<Vec<_>>();
    let shown = partitions
        .iter()
        .filter(|each| !context.hits.omits(name, each.index));
    let partitions = shown.map(|each| {
        let mut code = context.hits.error_at(name, each.index);
        if each.leader.is_none() {
            code = code.or(Some(ErrorCode::LEADER_NOT_AVAILABLE));
        }
        let code = code.map_or(0, |code| context.code(code));
        let is_up = |id: &i32| view.brokers.iter().any(|(up, _)| up == id);
        let offline = each.replicas.iter().filter(|id| !is_up(id));
        DescribeTopicPartitionsResponsePartition::default()
            .with_error_code(code)
            .with_partition_index(each.index)
            .with_leader_id(BrokerId(each.leader.unwrap_or(-1)))
            .with_leader_epoch(each.leader_epoch)
            .with_replica_nodes(ids(&each.replicas))
            .with_isr_nodes(ids(&each.in_sync))
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()))
            .with_offline_replicas(offline.map(|id| BrokerId(*id)).collect())
    });
    told.with_topic_id(known.id)
        .with_partitions(partitions.collect())
}

/// The largest number of partitions in one answer, like `max.request.partition.size.limit` of real
/// brokers.
const MAX_PARTITIONS: usize = 2000;
