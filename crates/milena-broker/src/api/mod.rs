//! The table of the APIs, with the versions, the subject and the handler of each. The handlers are
//! beside it, in one file for each API.

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
use crate::subject::{self, About, Asker};

pub(crate) use api_versions::unsupported as unsupported_api_versions;

/// Makes the dispatch of the broker from one row per API. A row of a served API names the range of
/// its versions (a method of [`ApiKey`]), its subject, and its handler.
///
/// Each function matches on every API without a `_` arm. An API that is in neither part of the
/// table does not compile.
macro_rules! apis {
    (
        ($context:ident, $asker:ident, $request:ident)
        served { $( $name:ident: $versions:ident, $subject:expr, $answer:expr; )* }
        refused { $( $refused:ident, )* }
    ) => {
        /// The served APIs with their versions.
        const SERVED: &[(ApiKey, VersionRange)] = &[
            $( (ApiKey::$name, ApiKey::$name.$versions()), )*
        ];

        /// Returns the topics, partitions and groups that a request is about.
        pub(crate) fn about($asker: &Asker<'_>, message: &AnyRequest) -> About {
            match message {
                $( AnyRequest::$name($request) => {
                    let _ = $request;
                    $subject
                } )*
                $( AnyRequest::$refused(_) => About::default(), )*
            }
        }

        /// Serves a request of a served version.
        pub(crate) async fn handle($context: &Context, message: AnyRequest) -> Answer {
            match message {
                $( AnyRequest::$name($request) => $answer, )*
                $( AnyRequest::$refused(_) => Answer::Close, )*
            }
        }
    };
}

apis! {
    (context, asker, request)
    served {
        Produce: known, subject::produce(asker, request), produce::handle(context, *request).await;
        Fetch: known, subject::fetch(asker, request), fetch::handle(context, *request).await;
        ListOffsets: known, subject::list_offsets(request), list_offsets::handle(context, &request);
        Metadata: known, subject::metadata(asker, request), metadata::handle(context, &request);
        OffsetCommit: known, subject::offset_commit(request), offsets::commit(context, &request);
        OffsetFetch: known, subject::offset_fetch(asker, request), offsets::fetch(context, &request);
        FindCoordinator: known, subject::find_coordinator(request),
            coordinator::handle(context, &request);
        JoinGroup: known, About::group(&request.group_id),
            membership::join(context, *request).await;
        Heartbeat: known, About::group(&request.group_id), membership::heartbeat(context, &request);
        LeaveGroup: known, About::group(&request.group_id), membership::leave(context, &request);
        SyncGroup: known, About::group(&request.group_id),
            membership::sync(context, *request).await;
        DescribeGroups: known, About::groups(&request.groups), groups::describe(context, &request);
        ListGroups: known, About::default(), groups::list(context, &request);
        ApiVersions: known, About::default(), api_versions::handle(context, &request);
        CreateTopics: known, subject::create_topics(request), topics::create(context, &request);
        DeleteTopics: known, subject::delete_topics(asker, request), topics::delete(context, &request);
        DeleteRecords: known, subject::delete_records(request),
            partitions::delete_records(context, &request);
        InitProducerId: known, About::default(), producer_ids::handle(context, &request);
        OffsetForLeaderEpoch: known, subject::leader_epochs(request),
            epochs::handle(context, &request);
        DescribeConfigs: known,
            subject::resources(request.resources.iter().map(|r| (r.resource_type, &*r.resource_name))),
            configs::describe(context, &request);
        AlterConfigs: known,
            subject::resources(request.resources.iter().map(|r| (r.resource_type, &*r.resource_name))),
            configs::replace(context, &request);
        CreatePartitions: known, subject::create_partitions(request),
            partitions::create(context, &request);
        DeleteGroups: known, About::groups(&request.groups_names),
            groups::delete(context, &request);
        ElectLeaders: known, subject::elect_leaders(asker, request),
            admin::elections::elect(context, &request);
        IncrementalAlterConfigs: known,
            subject::resources(request.resources.iter().map(|r| (r.resource_type, &*r.resource_name))),
            configs::alter(context, &request);
        OffsetDelete: known, subject::offset_delete(request), offsets::delete(context, &request);
        DescribeCluster: known, About::default(), cluster_info::handle(context, &request);
        DescribeTopicPartitions: known, subject::describe_partitions(asker, request),
            partitions::describe(context, &request);
        ConsumerGroupHeartbeat: known, About::group(&request.group_id),
            consumer_groups::heartbeat(context, &request);
        ConsumerGroupDescribe: known, About::groups(&request.group_ids),
            consumer_groups::describe(context, &request);
    }
    refused {
        SaslHandshake,
        AddPartitionsToTxn,
        AddOffsetsToTxn,
        EndTxn,
        WriteTxnMarkers,
        TxnOffsetCommit,
        DescribeAcls,
        CreateAcls,
        DeleteAcls,
        AlterReplicaLogDirs,
        DescribeLogDirs,
        SaslAuthenticate,
        CreateDelegationToken,
        RenewDelegationToken,
        ExpireDelegationToken,
        DescribeDelegationToken,
        AlterPartitionReassignments,
        ListPartitionReassignments,
        DescribeClientQuotas,
        AlterClientQuotas,
        DescribeUserScramCredentials,
        AlterUserScramCredentials,
        DescribeQuorum,
        UpdateFeatures,
        DescribeProducers,
        DescribeTransactions,
        ListTransactions,
        ListConfigResources,
        ShareGroupHeartbeat,
        ShareGroupDescribe,
        ShareFetch,
        ShareAcknowledge,
        DescribeShareGroupOffsets,
        AlterShareGroupOffsets,
        DeleteShareGroupOffsets,
    }
}

/// Returns the versions of `api` that are served, or `None` if it is not modelled.
pub(crate) fn served(api: ApiKey) -> Option<VersionRange> {
    SERVED
        .iter()
        .find(|(served, _)| *served == api)
        .map(|(_, versions)| *versions)
}
