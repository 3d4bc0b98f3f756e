//! The served APIs, one file for each, and their versions.

mod admin;
mod api_versions;
mod cluster_info;
mod configs;
mod consumer_groups;
mod coordinator;
mod epochs;
mod fetch;
mod fetch_answer;
mod groups;
mod list_offsets;
mod membership;
mod metadata;
mod offsets;
mod partitions;
mod produce;
mod producer_ids;
mod topics;

use milena_protocol::any::AnyRequest;
use milena_protocol::{ApiKey, VersionRange};

use crate::context::{Answer, Context};

pub(crate) use api_versions::unsupported as unsupported_api_versions;

/// Returns the versions of `api` that are served, or `None` if it is not modelled.
pub(crate) fn served(api: ApiKey) -> Option<VersionRange> {
    SERVED.contains(&api).then(|| api.known())
}

/// Serves a request of a served version.
pub(crate) async fn handle(context: &Context, message: AnyRequest) -> Answer {
    match message {
        AnyRequest::ApiVersions(request) => api_versions::handle(context, &request),
        AnyRequest::Metadata(request) => metadata::handle(context, &request),
        AnyRequest::Produce(request) => produce::handle(context, *request).await,
        AnyRequest::Fetch(request) => fetch::handle(context, *request).await,
        AnyRequest::ListOffsets(request) => list_offsets::handle(context, &request),
        AnyRequest::OffsetForLeaderEpoch(request) => epochs::handle(context, &request),
        AnyRequest::InitProducerId(request) => producer_ids::handle(context, &request),
        AnyRequest::FindCoordinator(request) => coordinator::handle(context, &request),
        AnyRequest::CreateTopics(request) => topics::create(context, &request),
        AnyRequest::DeleteTopics(request) => topics::delete(context, &request),
        AnyRequest::CreatePartitions(request) => partitions::create(context, &request),
        AnyRequest::DeleteRecords(request) => partitions::delete_records(context, &request),
        AnyRequest::DescribeTopicPartitions(request) => partitions::describe(context, &request),
        AnyRequest::DescribeConfigs(request) => configs::describe(context, &request),
        AnyRequest::IncrementalAlterConfigs(request) => configs::alter(context, &request),
        AnyRequest::AlterConfigs(request) => configs::replace(context, &request),
        AnyRequest::ElectLeaders(request) => admin::elections::elect(context, &request),
        AnyRequest::DescribeCluster(request) => cluster_info::handle(context, &request),
        AnyRequest::JoinGroup(request) => membership::join(context, *request).await,
        AnyRequest::SyncGroup(request) => membership::sync(context, *request).await,
        AnyRequest::Heartbeat(request) => membership::heartbeat(context, &request),
        AnyRequest::LeaveGroup(request) => membership::leave(context, &request),
        AnyRequest::OffsetCommit(request) => offsets::commit(context, &request),
        AnyRequest::OffsetFetch(request) => offsets::fetch(context, &request),
        AnyRequest::OffsetDelete(request) => offsets::delete(context, &request),
        AnyRequest::ConsumerGroupHeartbeat(request) => {
            consumer_groups::heartbeat(context, &request)
        }
        AnyRequest::ConsumerGroupDescribe(request) => consumer_groups::describe(context, &request),
        AnyRequest::ListGroups(request) => groups::list(context, &request),
        AnyRequest::DescribeGroups(request) => groups::describe(context, &request),
        AnyRequest::DeleteGroups(request) => groups::delete(context, &request),
        _ => Answer::Close,
    }
}

const SERVED: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::CreatePartitions,
    ApiKey::DeleteGroups,
    ApiKey::ElectLeaders,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::OffsetDelete,
    ApiKey::DescribeCluster,
    ApiKey::DescribeTopicPartitions,
    ApiKey::ConsumerGroupHeartbeat,
    ApiKey::ConsumerGroupDescribe,
];
