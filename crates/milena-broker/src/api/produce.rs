//! Produce. Batches are checked, ordered by their sequences and appended by the partition's leader.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Acks, ErrorCode};
use milena_protocol::messages::produce_request::PartitionProduceData;
use milena_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
    TopicProduceResponse,
};
use milena_protocol::messages::{BrokerId, ProduceRequest, ProduceResponse};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::context::{Answer, Context, text};
use crate::partition::{AppendPolicy, Appended, Partition};
use crate::topic::Topic;
use crate::validate::{self, Refusal, Rejected, TimeWindow};

/// A partition of a request, with the result so far.
struct ProducePart {
    /// The partition's number.
    index: i32,
    /// The place of the appended batch, or the refusal.
    result: Result<Appended, Refusal>,
    /// The records that caused a refusal, if only some did (KIP-467).
    rejected: Vec<Rejected>,
    /// The partition, and the number of replicas that must be in sync, if the batch was appended
    /// and not every replica in sync has it yet. `None` if nothing is waited for.
    waits: Option<(Arc<Partition>, usize)>,
}

/// Serves a Produce request. With acks=all, waits until the replicas in sync have the batches.
pub(super) async fn handle(context: &Context, request: ProduceRequest) -> Answer {
    let acks = Acks::from_wire(request.acks);
    let by_id = context.version >= 13;
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for data in request.topic_data {
        let topic = if by_id {
            context.cluster.topic_by_id(data.topic_id)
        } else {
            context.cluster.topic(data.name.as_str())
        };
        let name = topic
            .as_ref()
            .map_or_else(|| data.name.to_string(), |topic| topic.name.to_string());
        let mut parts = Vec::with_capacity(data.partition_data.len());
        for sent in data.partition_data {
            if context.hits.omits(&name, sent.index) {
                continue;
            }
            parts.push(match &topic {
                Some(topic) => append(context, topic, &sent, acks),
                None => ProducePart::refused(sent.index, (unknown(by_id), "")),
            });
        }
        topics.push((data.name, data.topic_id, topic, parts));
    }
    let waits = |part: &ProducePart| part.waits.is_some();
    if acks == Some(Acks::All) && topics.iter().any(|(.., parts)| parts.iter().any(waits)) {
        let timeout = u64::try_from(request.timeout_ms).unwrap_or(0);
        let parts = topics.iter_mut().flat_map(|(.., parts)| parts);
        replicate(context, parts.collect(), Duration::from_millis(timeout)).await;
    }
    let mut answer = ProduceResponse::default().with_throttle_time_ms(context.throttle_ms());
    let mut failed = false;
    for (name, id, topic, parts) in topics {
        let topic = topic.as_deref();
        let told = parts.into_iter().map(|part| {
            let fault = topic.and_then(|topic| context.hits.error_after(&topic.name, part.index));
            let result = match (part.result, fault) {
                (Ok(_), Some(code)) => Err((code, "a fault was asked for")),
                (result, _) => result,
            };
            failed |= result.is_err();
            let mut told = told(context, topic, part.index, result, &mut answer);
            if context.version >= 8 {
                reject(&part.rejected, &mut told);
            }
            told
        });
        let told = told.collect();
        answer.responses.push(
            TopicProduceResponse::default()
                .with_name(name)
                .with_topic_id(id)
                .with_partition_responses(told),
        );
    }
    match acks {
        // A request with acks=0 has no answer. A closed connection is the only sign of a failure.
        Some(Acks::None) if failed => Answer::Close,
        Some(Acks::None) => Answer::None,
        Some(Acks::Leader | Acks::All) | None => context.answer::<ProduceRequest>(&answer),
    }
}

/// Returns the error for an unknown topic.
fn unknown(by_id: bool) -> ErrorCode {
    match by_id {
        true => ErrorCode::UNKNOWN_TOPIC_ID,
        false => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    }
}

impl ProducePart {
    /// Makes the part of a refused batch.
    fn refused(index: i32, refusal: Refusal) -> Self {
        Self {
            index,
            result: Err(refusal),
            rejected: Vec::new(),
            waits: None,
        }
    }
}

/// Checks and appends the batch of one partition.
fn append(
    context: &Context,
    topic: &Topic,
    sent: &PartitionProduceData,
    acks: Option<Acks>,
) -> ProducePart {
    let Some(partition) = topic.partition(sent.index) else {
        return ProducePart::refused(sent.index, (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ""));
    };
    let (max_bytes, policy, min_in_sync) = rules(context, topic);
    let min_in_sync = match acks {
        Some(Acks::All) => min_in_sync,
        _ => 0,
    };
    let mut rejected = Vec::new();
    let result = check_and_append(
        context,
        topic,
        &partition,
        sent,
        acks,
        (max_bytes, policy, min_in_sync),
        &mut rejected,
    );
    let committed = result.as_ref().map_or(true, |appended| appended.committed);
    ProducePart {
        index: sent.index,
        result,
        rejected,
        waits: (!committed).then_some((partition, min_in_sync)),
    }
}

/// Checks the batch by all rules of the topic, and appends it.
fn check_and_append(
    context: &Context,
    topic: &Topic,
    partition: &Partition,
    sent: &PartitionProduceData,
    acks: Option<Acks>,
    (max_bytes, policy, min_in_sync): (usize, AppendPolicy, usize),
    rejected: &mut Vec<Rejected>,
) -> Result<Appended, Refusal> {
    if let Some(code) = context.hits.error_at(&topic.name, sent.index) {
        return Err((code, "a fault was asked for"));
    }
    if acks.is_none() {
        return Err((ErrorCode::INVALID_REQUIRED_ACKS, ""));
    }
    {
        let state = partition.lock();
        state.led_by(context.node.id, -1)?;
        // Brokers never ask for more replicas than there are.
        if state.replicas.in_sync().len() < min_in_sync.min(state.replicas.all().len()) {
            return Err((
                ErrorCode::NOT_ENOUGH_REPLICAS,
                "fewer replicas are in sync than min.insync.replicas",
            ));
        }
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
    let (is_compacted, window) = {
        let config = topic.config.read();
        let now = settings.clock.now().to_millis();
        let window = TimeWindow::around(now, config.timestamp_window());
        let window = (!config.log_append_time()).then_some(window);
        (config.is_compacted(), window)
    };
    if is_compacted {
        *rejected = checked.keyless(&format!("{}-{}", topic.name, sent.index));
    }
    let mistimed = checked.mistimed(window);
    // One wrong timestamp makes the whole refusal one about timestamps, as in real brokers.
    let code = match mistimed.is_empty() {
        true => ErrorCode::INVALID_RECORD,
        false => ErrorCode::INVALID_TIMESTAMP,
    };
    for each in mistimed {
        if rejected.iter().all(|known| known.index != each.index) {
            rejected.push(each);
        }
    }
    rejected.sort_by_key(|each| each.index);
    if !rejected.is_empty() {
        return Err((code, "One or more records have been rejected"));
    }
    partition.append(context.node.id, &checked, policy)
}

/// Waits at most `timeout` until the replicas in sync have the appended batches.
async fn replicate(context: &Context, parts: Vec<&mut ProducePart>, timeout: Duration) {
    let mut open: Vec<&mut ProducePart> = parts
        .into_iter()
        .filter(|part| part.waits.is_some())
        .collect();
    if open.is_empty() {
        return;
    }
    let deadline = Instant::now() + timeout;
    let wake = Arc::new(Notify::new());
    while !open.is_empty() {
        // The partitions are watched before they are looked at. A change in between is therefore
        // not missed.
        for (partition, _) in open.iter().filter_map(|part| part.waits.as_ref()) {
            partition.watch(&wake);
        }
        open.retain_mut(|part| !part.is_replicated(context));
        if open.is_empty() || Instant::now() >= deadline {
            break;
        }
        tokio::select! {
            () = wake.notified() => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
    }
    for part in open {
        part.result = Err((
            ErrorCode::REQUEST_TIMED_OUT,
            "not every replica in sync has the batch in time",
        ));
    }
}

impl ProducePart {
    /// Returns true if nothing is left to wait for. Stores the refusal if the wait ended with one.
    fn is_replicated(&mut self, context: &Context) -> bool {
        let (Some((partition, min_in_sync)), Ok(appended)) = (&self.waits, &self.result) else {
            return true;
        };
        let state = partition.lock();
        let min = (*min_in_sync).min(state.replicas.all().len());
        let Some(result) = state.replicated(context.node.id, appended.end, min) else {
            return false;
        };
        drop(state);
        if let Err(refusal) = result {
            self.result = Err(refusal);
        }
        true
    }
}

/// Returns the largest batch in bytes, the rules for appends, and the required number of replicas
/// in sync.
fn rules(context: &Context, topic: &Topic) -> (usize, AppendPolicy, usize) {
    let settings = &context.cluster.settings;
    let config = topic.config.read();
    let policy = AppendPolicy {
        append_time: config.log_append_time().then(|| settings.clock.now()),
        retention_bytes: config.retention_bytes().or(settings.retention_bytes),
    };
    let configs = &context.cluster.broker_configs;
    let max_bytes = config
        .max_message_bytes()
        .or_else(|| configs.message_max_bytes(context.node.id))
        .unwrap_or(settings.max_message_bytes);
    (max_bytes, policy, config.min_insync_replicas())
}

/// Writes the result of one partition.
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
        // The new leader is named at once, so that the client does not need Metadata (KIP-951).
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

/// Lists the records that caused a refusal, in the same text as real brokers.
fn reject(records: &[Rejected], told: &mut PartitionProduceResponse) {
    if records.is_empty() {
        return;
    }
    let first: Vec<_> = records
        .iter()
        .take(3)
        .map(|each| {
            let (index, why) = (each.index, &each.why);
            format!("RecordError(batchIndex={index}, message='{why}')")
        })
        .collect();
    told.error_message = Some(text(match told.error_code {
        code if code == ErrorCode::INVALID_TIMESTAMP.to_wire() => {
            "One or more records have been rejected due to invalid timestamp".to_owned()
        }
        _ => format!(
            "One or more records have been rejected due to {} record errors in total, and only showing the first three errors at most: [{}]",
            records.len(),
            first.join(", ")
        ),
    }));
    let each = |rejected: &Rejected| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(rejected.index)
            .with_batch_index_error_message(Some(text(rejected.why.as_str())))
    };
    told.record_errors = records.iter().map(each).collect();
}

/// Returns the leader of a partition and its epoch.
fn leader_of(topic: Option<&Topic>, index: i32) -> Option<(i32, i32)> {
    let partition = topic?.partition(index)?;
    let state = partition.lock();
    Some((state.leader?, state.leader_epoch))
}
