//! OffsetForLeaderEpoch, which returns the end of a leader epoch. Clients detect a truncated log by
//! it (KIP-320).

use milena_core::ErrorCode;
use milena_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use milena_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use milena_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use crate::context::{Answer, Context};

/// Serves an OffsetForLeaderEpoch request.
pub(super) fn handle(context: &Context, request: &OffsetForLeaderEpochRequest) -> Answer {
    let topics = request.topics.iter().map(|topic| {
        let name = topic.topic.as_str();
        let asked = topic
            .partitions
            .iter()
            .filter(|each| !context.hits.omits(name, each.partition));
        let partitions = asked.map(|asked| {
            let told = EpochEndOffset::default().with_partition(asked.partition);
            match look_up(context, name, asked) {
                Ok(Some((epoch, end))) => told.with_leader_epoch(epoch).with_end_offset(end),
                Ok(None) => told,
                Err(code) => told.with_error_code(context.code(code)),
            }
        });
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic.clone())
            .with_partitions(partitions.collect())
    });
    let answer = OffsetForLeaderEpochResponse::default()
        .with_throttle_time_ms(context.throttle_ms())
        .with_topics(topics.collect());
    context.answer::<OffsetForLeaderEpochRequest>(&answer)
}

/// Returns the largest epoch that is not above the asked one, with its end offset.
fn look_up(
    context: &Context,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<Option<(i32, i64)>, ErrorCode> {
    if let Some(code) = context.hits.error_at(topic, asked.partition) {
        return Err(code);
    }
    let partition = context
        .cluster
        .partition(topic, asked.partition)
        .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    let state = partition.lock();
    state
        .led_by(context.node.id, asked.current_leader_epoch)
        .map_err(|(code, _)| code)?;
    Ok(state
        .log
        .end_of_epoch(asked.leader_epoch, state.leader_epoch))
}
