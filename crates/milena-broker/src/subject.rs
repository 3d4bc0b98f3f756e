//! The partitions and groups that a request is about, for fault filters and the journal.

use bytes::Bytes;
use milena_protocol::any::AnyRequest;
use milena_protocol::batch::HEADER_LEN;
use uuid::Uuid;

use crate::cluster::Cluster;
use crate::node::Node;

/// Returns the partitions (-1 for a whole topic) and the groups of a request.
pub(crate) fn of(
    cluster: &Cluster,
    node: &Node,
    message: &AnyRequest,
) -> (Vec<(String, i32)>, Vec<String>) {
    let named = |name: &str, id: Uuid| topic_of(cluster, name, id);
    let mut partitions = Vec::new();
    let mut groups = Vec::new();
    match message {
        AnyRequest::Produce(request) => {
            for topic in &request.topic_data {
                let name = named(topic.name.as_str(), topic.topic_id);
                partitions.extend(
                    topic
                        .partition_data
                        .iter()
                        .map(|data| (name.clone(), data.index)),
                );
            }
        }
        AnyRequest::Fetch(request) => {
            for topic in &request.topics {
                let name = named(topic.topic.as_str(), topic.topic_id);
                partitions.extend(
                    topic
                        .partitions
                        .iter()
                        .map(|each| (name.clone(), each.partition)),
                );
            }
            // An incremental fetch names only changes. The rest of its partitions is in the
            // session.
            for wanted in node.sessions.lock().wanted(request.session_id) {
                partitions.push((named(&wanted.topic, wanted.topic_id), wanted.partition));
            }
            partitions.sort_unstable();
            partitions.dedup();
        }
        AnyRequest::Metadata(request) => match &request.topics {
            Some(topics) => {
                partitions.extend(topics.iter().map(|topic| {
                    let name = topic.name.as_ref().map_or("", |name| name.as_str());
                    (named(name, topic.topic_id), -1)
                }));
            }
            None => partitions.extend(
                cluster
                    .topics()
                    .iter()
                    .map(|topic| (topic.name.to_string(), -1)),
            ),
        },
        AnyRequest::ListOffsets(request) => {
            for topic in &request.topics {
                let each = topic.partitions.iter();
                partitions.extend(each.map(|each| (topic.name.to_string(), each.partition_index)));
            }
        }
        AnyRequest::OffsetForLeaderEpoch(request) => {
            for topic in &request.topics {
                partitions.extend(
                    topic
                        .partitions
                        .iter()
                        .map(|each| (topic.topic.to_string(), each.partition)),
                );
            }
        }
        AnyRequest::CreateTopics(request) => {
            partitions.extend(
                request
                    .topics
                    .iter()
                    .map(|topic| (topic.name.to_string(), -1)),
            );
        }
        AnyRequest::OffsetCommit(request) => {
            groups.push(request.group_id.to_string());
            for topic in &request.topics {
                let each = topic.partitions.iter();
                partitions.extend(each.map(|each| (topic.name.to_string(), each.partition_index)));
            }
        }
        AnyRequest::OffsetFetch(request) => {
            groups.push(request.group_id.to_string());
            groups.extend(
                request
                    .groups
                    .iter()
                    .map(|group| group.group_id.to_string()),
            );
        }
        AnyRequest::JoinGroup(request) => groups.push(request.group_id.to_string()),
        AnyRequest::SyncGroup(request) => groups.push(request.group_id.to_string()),
        AnyRequest::Heartbeat(request) => groups.push(request.group_id.to_string()),
        AnyRequest::ConsumerGroupHeartbeat(request) => groups.push(request.group_id.to_string()),
        AnyRequest::LeaveGroup(request) => groups.push(request.group_id.to_string()),
        AnyRequest::FindCoordinator(request) => {
            groups.push(request.key.to_string());
            groups.extend(request.coordinator_keys.iter().map(ToString::to_string));
        }
        AnyRequest::OffsetDelete(request) => groups.push(request.group_id.to_string()),
        AnyRequest::DescribeGroups(request) => {
            groups.extend(request.groups.iter().map(|group| group.to_string()));
        }
        AnyRequest::DeleteGroups(request) => {
            groups.extend(request.groups_names.iter().map(|group| group.to_string()));
        }
        AnyRequest::ConsumerGroupDescribe(request) => {
            groups.extend(request.group_ids.iter().map(|group| group.to_string()));
        }
        AnyRequest::DeleteRecords(request) => {
            for topic in &request.topics {
                let each = topic.partitions.iter();
                partitions.extend(each.map(|each| (topic.name.to_string(), each.partition_index)));
            }
        }
        AnyRequest::CreatePartitions(request) => {
            partitions.extend(
                request
                    .topics
                    .iter()
                    .map(|topic| (topic.name.to_string(), -1)),
            );
        }
        _ => {}
    }
    (partitions, groups)
}

/// Returns the name of a topic that a request names or gives the id of.
fn topic_of(cluster: &Cluster, name: &str, id: Uuid) -> String {
    if !name.is_empty() || id.is_nil() {
        return name.to_owned();
    }
    cluster
        .topic_by_id(id)
        .map_or_else(|| id.to_string(), |topic| topic.name.to_string())
}

/// Returns the request with each produced batch cut to its header, so that the journal does not
/// keep records alive.
pub(crate) fn without_records(message: &AnyRequest) -> AnyRequest {
    let mut message = message.clone();
    if let AnyRequest::Produce(request) = &mut message {
        for data in request
            .topic_data
            .iter_mut()
            .flat_map(|topic| &mut topic.partition_data)
        {
            if let Some(records) = &mut data.records {
                let kept = records.len().min(HEADER_LEN);
                *records = Bytes::copy_from_slice(records.get(..kept).unwrap_or_default());
            }
        }
    }
    message
}
