//! CreateTopics and DeleteTopics, which any broker serves, as in KRaft clusters.

use milena_core::ErrorCode;
use milena_protocol::messages::create_topics_request::CreatableTopic;
use milena_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use milena_protocol::messages::delete_topics_response::DeletableTopicResult;
use milena_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};
use uuid::Uuid;

use crate::cluster::NewTopic;
use crate::context::{Answer, Context, text, topic_name};
use crate::refused::Refused;
use crate::topic::TopicConfig;

/// Serves a CreateTopics request.
pub(super) fn create(context: &Context, request: &CreateTopicsRequest) -> Answer {
    let topics = request.topics.iter().map(|topic| {
        let told = CreatableTopicResult::default().with_name(topic.name.clone());
        let twice = request
            .topics
            .iter()
            .filter(|other| other.name == topic.name)
            .count()
            > 1;
        match create_one(context, topic, request.validate_only, twice) {
            Ok(made) => made,
            Err((code, why)) => told
                .with_error_code(context.code(code))
                .with_error_message(Some(text(why)))
                .with_num_partitions(-1)
                .with_replication_factor(-1)
                .with_configs(None),
        }
    });
    let answer = CreateTopicsResponse::default()
        .with_throttle_time_ms(context.throttle_ms())
        .with_topics(topics.collect());
    context.answer::<CreateTopicsRequest>(&answer)
}

/// Creates one topic. `dry` only checks that it could be.
fn create_one(
    context: &Context,
    topic: &CreatableTopic,
    dry: bool,
    twice: bool,
) -> Result<CreatableTopicResult, Refused> {
    let name = topic.name.as_str();
    context
        .fault_of_topic(name)
        .map_err(|code| (code, "a fault was asked for".to_owned()))?;
    if twice {
        return Err((
            ErrorCode::INVALID_REQUEST,
            format!("Duplicate topic name {name}"),
        ));
    }
    if context.cluster.created_topic(name).is_some() {
        return Err((
            ErrorCode::TOPIC_ALREADY_EXISTS,
            format!("Topic '{name}' already exists."),
        ));
    }
    let mut config = TopicConfig::default();
    for given in &topic.configs {
        let value = given.value.as_ref().ok_or_else(|| {
            let what = format!(
                "Null value not supported for topic configs: {}",
                given.name.as_str()
            );
            (ErrorCode::INVALID_CONFIG, what)
        })?;
        config
            .set(given.name.as_str(), value.as_str())
            .map_err(|why| (ErrorCode::INVALID_CONFIG, why))?;
    }
    let made = context.cluster.create_topic(
        NewTopic {
            name: name.to_owned(),
            partitions: topic.num_partitions,
            replication: topic.replication_factor,
            placed: placed(topic)?,
            config,
            visible_after: context.cluster.settings.propagation,
        },
        dry,
    )?;
    let partitions = made.all();
    let config = made.config.read();
    let configs = config.entries().map(|(name, value, given, _)| {
        CreatableTopicConfigs::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
            .with_config_source(if given { 1 } else { 5 })
    });
    let mut told = CreatableTopicResult::default()
        .with_name(topic.name.clone())
        .with_num_partitions(partitions.len() as i32)
        .with_replication_factor(
            partitions
                .first()
                .map_or(1, |first| first.lock().replicas.all().len() as i16),
        )
        .with_configs(Some(configs.collect()));
    if context.version >= 7 && !dry {
        told.topic_id = made.id;
    }
    Ok(told)
}

/// Returns the replicas of each partition, if the request assigns them.
fn placed(topic: &CreatableTopic) -> Result<Vec<Vec<i32>>, Refused> {
    let invalid = |what: &str| Err((ErrorCode::INVALID_REPLICA_ASSIGNMENT, what.to_owned()));
    let mut assignments: Vec<_> = topic.assignments.iter().collect();
    assignments.sort_by_key(|each| each.partition_index);
    let in_order = assignments
        .iter()
        .zip(0i32..)
        .all(|(each, index)| each.partition_index == index);
    if !in_order {
        return invalid("partitions should be a consecutive 0-based integer sequence");
    }
    if !assignments.is_empty() && (topic.num_partitions != -1 || topic.replication_factor != -1) {
        let what = "a manual assignment goes with -1 partitions and -1 replicas".to_owned();
        return Err((ErrorCode::INVALID_REQUEST, what));
    }
    Ok(assignments
        .into_iter()
        .map(|each| each.broker_ids.iter().map(|id| id.0).collect())
        .collect())
}

/// Serves a DeleteTopics request.
pub(super) fn delete(context: &Context, request: &DeleteTopicsRequest) -> Answer {
    let by_name = request
        .topic_names
        .iter()
        .map(|name| (Some(name.clone()), Uuid::nil()));
    let by_state = request
        .topics
        .iter()
        .map(|topic| (topic.name.clone(), topic.topic_id));
    let wanted: Vec<_> = if context.version >= 6 {
        by_state.collect()
    } else {
        by_name.collect()
    };
    let responses = wanted
        .into_iter()
        .map(|(name, id)| delete_one(context, name, id));
    let mut answer = DeleteTopicsResponse::default().with_responses(responses.collect());
    answer.throttle_time_ms = context.throttle_ms();
    context.answer::<DeleteTopicsRequest>(&answer)
}

/// Deletes one topic, by name or by id.
fn delete_one(context: &Context, name: Option<TopicName>, id: Uuid) -> DeletableTopicResult {
    let found = match &name {
        Some(name) => context
            .cluster
            .created_topic(name.as_str())
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        None => context
            .cluster
            .topic_by_id(id)
            .ok_or(ErrorCode::UNKNOWN_TOPIC_ID),
    };
    let called = match (&found, &name) {
        (Ok(topic), _) => &*topic.name,
        (Err(_), Some(name)) => name.as_str(),
        (Err(_), None) => "",
    };
    let fault = context.fault_of_topic(called);
    let deleted = fault.and(found).and_then(|topic| {
        context
            .cluster
            .delete_topic(&topic.name)
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    });
    match deleted {
        Ok(topic) => {
            let told = DeletableTopicResult::default().with_name(Some(topic_name(&topic.name)));
            if context.version >= 6 {
                told.with_topic_id(topic.id)
            } else {
                told
            }
        }
        Err(code) => {
            let told = DeletableTopicResult::default()
                .with_name(name)
                .with_error_code(context.code(code));
            if context.version >= 6 {
                told.with_topic_id(id)
            } else {
                told
            }
        }
    }
}
