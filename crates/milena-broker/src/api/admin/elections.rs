//! ElectLeaders, which makes the preferred replica, or any replica that is up, the leader (KIP-183,
//! KIP-460).

use std::sync::Arc;

use milena_core::ErrorCode;
use milena_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use milena_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use crate::context::{Answer, Context, text, topic_name};
use crate::partition::Partition;
use crate::refused::Refused;

/// Serves an ElectLeaders request.
pub(in crate::api) fn elect(context: &Context, request: &ElectLeadersRequest) -> Answer {
    let mut answer = ElectLeadersResponse::default().with_throttle_time_ms(context.throttle_ms());
    if let Err(code) = context.fault() {
        answer.error_code = context.code(code);
        return context.answer::<ElectLeadersRequest>(&answer);
    }
    let all = request.topic_partitions.is_none();
    for (topic, partitions) in asked(context, request) {
        let asked = partitions.into_iter();
        let asked = asked.filter(|index| !context.hits.omits(&topic, *index));
        let results = asked.filter_map(|index| {
            let done = elect_one(context, &topic, index, request.election_type);
            // A request for all partitions is answered only for those that needed an election.
            let needless = matches!(done, Err((ErrorCode::ELECTION_NOT_NEEDED, _)));
            if all && needless {
                return None;
            }
            let told = PartitionResult::default().with_partition_id(index);
            Some(match done {
                Ok(()) => told,
                Err((code, why)) => told
                    .with_error_code(context.code(code))
                    .with_error_message(Some(text(why))),
            })
        });
        let result = ReplicaElectionResult::default()
            .with_topic(topic_name(&topic))
            .with_partition_result(results.collect());
        if !all || !result.partition_result.is_empty() {
            answer.replica_election_results.push(result);
        }
    }
    context.answer::<ElectLeadersRequest>(&answer)
}

/// Returns the topics and partitions of the request, or all of them for a null list.
fn asked(context: &Context, request: &ElectLeadersRequest) -> Vec<(String, Vec<i32>)> {
    let Some(topics) = &request.topic_partitions else {
        let topics = context.cluster.topics();
        let every = |topic: &Arc<crate::topic::Topic>| {
            let partitions = topic.all();
            let indexes = partitions.iter().map(|partition| partition.index);
            (topic.name.to_string(), indexes.collect())
        };
        return topics.iter().map(every).collect();
    };
    let topics = topics.iter();
    topics
        .map(|topic| (topic.topic.to_string(), topic.partitions.clone()))
        .collect()
}

/// Elects a leader for one partition.
fn elect_one(context: &Context, topic: &str, index: i32, kind: i8) -> Result<(), Refused> {
    if let Some(code) = context.hits.error_at(topic, index) {
        return Err((code, "a fault was asked for".to_owned()));
    }
    let partition = context.cluster.partition(topic, index).ok_or_else(|| {
        let what = format!("No such topic as {topic}");
        (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, what)
    })?;
    let next = match kind {
        PREFERRED => preferred(context, &partition)?,
        UNCLEAN => any(context, &partition)?,
        other => {
            let what = format!("there is no election type {other}");
            return Err((ErrorCode::INVALID_REQUEST, what));
        }
    };
    context.cluster.move_leader(topic, index, next);
    Ok(())
}

/// Returns the first replica, if it is up, in sync and not the leader already.
fn preferred(context: &Context, partition: &Partition) -> Result<i32, Refused> {
    let state = partition.lock();
    let first = state.replicas.all().first().copied();
    if first.is_some() && state.leader == first {
        return Err((ErrorCode::ELECTION_NOT_NEEDED, String::new()));
    }
    let in_sync = |node: &i32| state.replicas.in_sync().contains(node);
    let up = first.filter(|node| in_sync(node) && context.cluster.is_up(*node));
    up.ok_or_else(|| {
        let what = "the preferred leader is not in sync".to_owned();
        (ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE, what)
    })
}

/// Returns any replica that is up, if there is no leader.
fn any(context: &Context, partition: &Partition) -> Result<i32, Refused> {
    let state = partition.lock();
    if state.leader.is_some() {
        return Err((ErrorCode::ELECTION_NOT_NEEDED, String::new()));
    }
    let up = state
        .replicas
        .candidate(|id| context.cluster.is_up(id), true);
    up.ok_or_else(|| {
        let what = "no replica is up".to_owned();
        (ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE, what)
    })
}

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;
