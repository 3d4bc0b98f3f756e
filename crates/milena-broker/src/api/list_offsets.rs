//! ListOffsets, which finds the earliest offset, the latest, the first of a time, and that of the
//! largest timestamp.

use milena_core::{Error, ErrorCode, IsolationLevel, Timestamp};
use milena_protocol::batch::Batches;
use milena_protocol::compression::DEFAULT_MAX_SIZE;
use milena_protocol::messages::list_offsets_request::ListOffsetsPartition;
use milena_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use milena_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::context::{Answer, Context};
use crate::log::{Log, StoredBatch};

/// Serves a ListOffsets request.
pub(super) fn handle(context: &Context, request: &ListOffsetsRequest) -> Answer {
    let committed_only = request.isolation_level == IsolationLevel::ReadCommitted.to_wire();
    let topics = request.topics.iter().map(|topic| {
        let name = topic.name.as_str();
        let asked = topic
            .partitions
            .iter()
            .filter(|each| !context.hits.omits(name, each.partition_index));
        let partitions = asked.map(|asked| {
            let told =
                ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
            match look_up(context, name, asked, committed_only) {
                Ok(Some((offset, timestamp, epoch))) => {
                    let told = told.with_offset(offset).with_timestamp(timestamp);
                    if context.version >= 4 {
                        told.with_leader_epoch(epoch)
                    } else {
                        told
                    }
                }
                Ok(None) => told,
                Err(code) => told.with_error_code(context.code(code)),
            }
        });
        ListOffsetsTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    let mut answer = ListOffsetsResponse::default().with_topics(topics.collect());
    if context.version >= 2 {
        answer.throttle_time_ms = context.throttle_ms();
    }
    context.answer::<ListOffsetsRequest>(&answer)
}

/// An offset with its timestamp and leader epoch. `None` if no record matches.
type FoundOffset = Option<(i64, i64, i32)>;

/// Looks up one partition.
fn look_up(
    context: &Context,
    topic: &str,
    asked: &ListOffsetsPartition,
    committed_only: bool,
) -> Result<FoundOffset, ErrorCode> {
    if let Some(code) = context.hits.error_at(topic, asked.partition_index) {
        return Err(code);
    }
    let partition = context
        .cluster
        .partition(topic, asked.partition_index)
        .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    let state = partition.lock();
    state
        .led_by(context.node.id, asked.current_leader_epoch)
        .map_err(|(code, _)| code)?;
    let end = if committed_only {
        state.last_stable_offset()
    } else {
        state.high_watermark()
    };
    let epoch = state.leader_epoch;
    match asked.timestamp {
        LATEST => Ok(Some((end, -1, epoch))),
        // There is no tiered storage, so the earliest local offset is the earliest of all.
        EARLIEST | EARLIEST_LOCAL => {
            let start = state.log.start();
            let epoch = state
                .log
                .batch_at(start)
                .map_or(epoch, |batch| batch.leader_epoch);
            Ok(Some((start, -1, epoch)))
        }
        MAX_TIMESTAMP => Ok(state.log.newest_batch().and_then(newest_record)),
        LATEST_TIERED => Ok(None),
        time if time >= 0 => Ok(first_since(&state.log, time).filter(|(offset, ..)| *offset < end)),
        _ => Err(ErrorCode::UNSUPPORTED_VERSION),
    }
}

/// Returns the first record of `time` or later.
///
/// DeleteRecords may have removed that record from a batch of which others remain. A later batch is
/// then searched as well.
fn first_since(log: &Log, time: i64) -> FoundOffset {
    let start = log.start();
    log.batches_since(time).find_map(|batch| {
        timestamps(batch)
            .ok()?
            .into_iter()
            .find(|(offset, timestamp)| *timestamp >= time && *offset >= start)
            .map(|(offset, timestamp)| (offset, timestamp, batch.leader_epoch))
    })
}

/// Returns the record with the largest timestamp of a batch.
fn newest_record(batch: &StoredBatch) -> FoundOffset {
    let (offset, timestamp) = timestamps(batch)
        .ok()?
        .into_iter()
        .find(|(_, timestamp)| *timestamp == batch.max_timestamp)?;
    Some((offset, timestamp, batch.leader_epoch))
}

/// Returns the offset and timestamp of each record of a batch.
fn timestamps(batch: &StoredBatch) -> Result<Vec<(i64, i64)>, Error> {
    let mut found = Vec::new();
    for batch in Batches::new(batch.to_bytes()) {
        for record in batch?.records(DEFAULT_MAX_SIZE)?.iter() {
            let record = record?;
            found.push((
                record.offset.to_wire(),
                record.timestamp.map_or(-1, Timestamp::to_millis),
            ));
        }
    }
    Ok(found)
}

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
