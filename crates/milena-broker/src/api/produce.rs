//! Produce: batches are checked, ordered by their sequences and appended by the partition's leader.

use std::sync::Arc;

use milena_core::ErrorCode;
use milena_protocol::messages::produce_request::PartitionProduceData;
use milena_protocol::messages::produce_response::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use milena_protocol::messages::{BrokerId, ProduceRequest, ProduceResponse};

use crate::context::{Answer, Context, text};
use crate::partition::{AppendPolicy, Appended, Partition};
use crate::topic::Topic;
use crate::validate::{self, Refusal};

pub(super) fn handle(context: &Context, request: ProduceRequest) -> Answer {
    let acks = request.acks;
    let mut answer = ProduceResponse::default().with_throttle_time_ms(context.throttle_ms());
    let mut failed = false;
    for data in request.topic_data {
        let by_id = context.version >= 13;
        let topic = if by_id {
            context.cluster.topic_by_id(data.topic_id)
        } else {
            context.cluster.topic(data.name.as_str())
        };
        let name = topic
            .as_ref()
            .map_or_else(|| data.name.to_string(), |topic| topic.name.to_string());
        let mut partitions = Vec::with_capacity(data.partition_data.len());
        for sent in data.partition_data {
            if context.hits.omits(&name, sent.index) {
                continue;
            }
            let result = match &topic {
                Some(topic) => append(context, topic, &sent, acks),
                None if by_id => Err((ErrorCode::UNKNOWN_TOPIC_ID, "")),
                None => Err((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "")),
            };
            failed |= result.is_err();
            partitions.push(told(
                context,
                topic.as_deref(),
                sent.index,
                result,
                &mut answer,
            ));
        }
        answer.responses.push(
            TopicProduceResponse::default()
                .with_name(data.name)
                .with_topic_id(data.topic_id)
                .with_partition_responses(partitions),
        );
    }
    match acks {
        // Without an answer, a closed connection is the only way to say that something failed.
        0 if failed => Answer::Close,
        0 => Answer::None,
        _ => context.answer::<ProduceRequest>(&answer),
    }
}

fn append(
    context: &Context,
    topic: &Topic,
    sent: &PartitionProduceData,
    acks: i16,
) -> Result<Appended, Refusal> {
    if let Some(code) = context.hits.error_at(&topic.name, sent.index) {
        return Err((code, "a fault was asked for"));
    }
    if !(-1..=1).contains(&acks) {
        return Err((ErrorCode::INVALID_REQUIRED_ACKS, ""));
    }
    let partition = topic
        .partition(sent.index)
        .ok_or((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ""))?;
    let (max_bytes, policy, min_in_sync) = rules(context, topic);
    partition.lock().led_by(context.node.id, -1)?;
    if acks == -1 {
        enough_replicas(context, &partition, min_in_sync)?;
    }
    let settings = &context.cluster.settings;
    let checked = validate::check(
        sent.records.as_ref(),
        context.version,
        max_bytes,
        settings.check_records,
    )?;
    if checked.header.attributes.is_transactional() {
        return Err((
            ErrorCode::INVALID_TXN_STATE,
            "transactions are not modelled",
        ));
    }
    let appended = partition.append(context.node.id, &checked, policy)?;
    match context.hits.error_after(&topic.name, sent.index) {
        Some(code) => Err((code, "a fault was asked for")),
        None => Ok(appended),
    }
}

fn rules(context: &Context, topic: &Topic) -> (usize, AppendPolicy, usize) {
    let settings = &context.cluster.settings;
    let config = topic.config.read();
    let policy = AppendPolicy {
        append_time: config.log_append_time().then(|| settings.clock.now()),
        retention_bytes: config.retention_bytes().or(settings.retention_bytes),
    };
    let max_bytes = config
        .max_message_bytes()
        .unwrap_or(settings.max_message_bytes);
    (max_bytes, policy, config.min_insync_replicas())
}

fn enough_replicas(
    context: &Context,
    partition: &Arc<Partition>,
    min: usize,
) -> Result<(), Refusal> {
    if min <= 1 {
        return Ok(());
    }
    let replicas = partition.lock().replicas.clone();
    if context.cluster.in_sync(&replicas).len() < min {
        return Err((
            ErrorCode::NOT_ENOUGH_REPLICAS,
            "fewer replicas are in sync than min.insync.replicas",
        ));
    }
    Ok(())
}

fn told(
    context: &Context,
    topic: Option<&Topic>,
    index: i32,
    result: Result<Appended, Refusal>,
    answer: &mut ProduceResponse,
) -> PartitionProduceResponse {
    let told = PartitionProduceResponse::default().with_index(index);
    let (code, why) = match result {
        Ok(appended) => {
            return told
                .with_base_offset(appended.base_offset)
                .with_log_append_time_ms(appended.append_time)
                .with_log_start_offset(appended.log_start);
        }
        Err(refusal) => refusal,
    };
    let mut told = told
        .with_error_code(context.code(code))
        .with_base_offset(-1);
    if context.version >= 8 && !why.is_empty() {
        told.error_message = Some(text(why));
    }
    let moved = matches!(
        code,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::FENCED_LEADER_EPOCH
    );
    if context.version >= 10
        && moved
        && let Some((leader, epoch)) = leader_of(topic, index)
        && let Some(node) = context.cluster.node(leader)
    {
        // The new leader is named at once, so that the client needs no Metadata (KIP-951).
        let address = node.address();
        told.current_leader = LeaderIdAndEpoch::default()
            .with_leader_id(BrokerId(leader))
            .with_leader_epoch(epoch);
        if !answer
            .node_endpoints
            .iter()
            .any(|endpoint| endpoint.node_id == BrokerId(leader))
        {
            answer.node_endpoints.push(
                NodeEndpoint::default()
                    .with_node_id(BrokerId(leader))
                    .with_host(text(address.host()))
                    .with_port(i32::from(address.port())),
            );
        }
    }
    told
}

fn leader_of(topic: Option<&Topic>, index: i32) -> Option<(i32, i32)> {
    let partition = topic?.partition(index)?;
    let state = partition.lock();
    Some((state.leader?, state.leader_epoch))
}
