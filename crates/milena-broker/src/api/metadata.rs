//! Metadata, which lists brokers, topics and leaders. It creates unknown topics if that is allowed.

use std::sync::Arc;

use milena_core::ErrorCode;
use milena_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use milena_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse};
use uuid::Uuid;

use crate::cluster::NewTopic;
use crate::context::{Answer, Context, text, topic_name};
use crate::topic::{is_internal, name_defect};
use crate::view::{PartitionView, TopicView, View};

/// Serves a Metadata request.
pub(super) fn handle(context: &Context, request: &MetadataRequest) -> Answer {
    let wanted: Option<Vec<(Option<String>, Uuid)>> = match &request.topics {
        // Version 0 has no null list. An empty one asks for all topics.
        Some(topics) if topics.is_empty() && context.version == 0 => None,
        topics => topics.as_ref().map(|topics| {
            topics
                .iter()
                .map(|topic| {
                    (
                        topic.name.as_ref().map(|name| name.to_string()),
                        topic.topic_id,
                    )
                })
                .collect()
        }),
    };
    if let Some(wanted) = &wanted
        && context.cluster.settings.auto_create_topics
        && (request.allow_auto_topic_creation || context.version < 4)
    {
        create_missing(context, wanted);
    }
    let view = context
        .hits
        .view()
        .unwrap_or_else(|| Arc::new(context.cluster.view()));
    let topics = match wanted {
        None => view
            .topics
            .iter()
            .map(|(name, topic)| known(context, &view, name, topic))
            .collect(),
        Some(wanted) => wanted
            .iter()
            .map(|(name, id)| one(context, &view, name.as_deref(), *id))
            .collect(),
    };
    let brokers = view.brokers.iter().map(|(id, address)| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(*id))
            .with_host(text(address.host()))
            .with_port(i32::from(address.port()))
            .with_rack(view.racks.get(id).map(|rack| text(rack.as_str())))
    });
    let answer = MetadataResponse::default()
        .with_throttle_time_ms(context.throttle_ms())
        .with_brokers(brokers.collect())
        .with_cluster_id(Some(text(context.cluster.settings.cluster_id.as_str())))
        .with_controller_id(BrokerId(view.controller))
        .with_topics(topics);
    context.answer::<MetadataRequest>(&answer)
}

/// Creates the named topics that do not exist.
fn create_missing(context: &Context, wanted: &[(Option<String>, Uuid)]) {
    for name in wanted.iter().filter_map(|(name, _)| name.as_ref()) {
        if context.cluster.created_topic(name).is_none() {
            let new = NewTopic {
                name: name.clone(),
                partitions: -1,
                replication: -1,
                visible_after: context.cluster.settings.propagation,
                ..NewTopic::default()
            };
            // An invalid name gets its error in the answer. If another request created the topic
            // meanwhile, that is fine too.
            let _ = context.cluster.create_topic(new, false);
        }
    }
}

/// Describes one topic, by name or by id.
fn one(context: &Context, view: &View, name: Option<&str>, id: Uuid) -> MetadataResponseTopic {
    let refused = |code: ErrorCode| {
        MetadataResponseTopic::default()
            .with_name(name.map(topic_name))
            .with_topic_id(id)
            .with_error_code(context.code(code))
    };
    let Some(name) = name else {
        return match view.topics.iter().find(|(_, topic)| topic.id == id) {
            Some((name, topic)) => known(context, view, name, topic),
            None => refused(ErrorCode::UNKNOWN_TOPIC_ID),
        };
    };
    match view.topics.get(name) {
        Some(topic) => known(context, view, name, topic),
        None if name_defect(name).is_some() => refused(ErrorCode::INVALID_TOPIC_EXCEPTION),
        None => refused(
            context
                .hits
                .error_of_topic(name)
                .unwrap_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        ),
    }
}

/// Describes a topic that exists, as far as faults allow.
fn known(context: &Context, view: &View, name: &str, topic: &TopicView) -> MetadataResponseTopic {
    let hidden = context
        .hits
        .hides(name)
        .then_some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let answer = MetadataResponseTopic::default().with_name(Some(topic_name(name)));
    if let Some(code) = hidden.or_else(|| context.hits.error_of_topic(name)) {
        return answer.with_error_code(context.code(code));
    }
    let shown = topic
        .partitions
        .iter()
        .filter(|each| !context.hits.omits(name, each.index));
    let answer = answer
        .with_topic_id(topic.id)
        .with_is_internal(is_internal(name));
    answer.with_partitions(
        shown
            .map(|each| partition(context, view, name, each))
            .collect(),
    )
}

/// Describes one partition.
fn partition(
    context: &Context,
    view: &View,
    topic: &str,
    partition: &PartitionView,
) -> MetadataResponsePartition {
    let ids = |ids: &[i32]| ids.iter().map(|id| BrokerId(*id)).collect::<Vec<_>>();
    let offline = partition
        .replicas
        .iter()
        .filter(|id| !view.brokers.iter().any(|(up, _)| up == *id));
    let mut code = context.hits.error_at(topic, partition.index);
    if partition.leader.is_none() {
        code = code.or(Some(ErrorCode::LEADER_NOT_AVAILABLE));
    }
    MetadataResponsePartition::default()
        .with_error_code(code.map_or(0, |code| context.code(code)))
        .with_partition_index(partition.index)
        .with_leader_id(BrokerId(partition.leader.unwrap_or(-1)))
        .with_leader_epoch(partition.leader_epoch)
        .with_replica_nodes(ids(&partition.replicas))
        .with_isr_nodes(ids(&partition.in_sync))
        .with_offline_replicas(offline.map(|id| BrokerId(*id)).collect())
}
