//! A group with one member. Every member that joins becomes the leader, gets its own assignment,
//! and has no committed offsets.

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_protocol::messages::{
    FindCoordinatorResponse, JoinGroupRequest, JoinGroupResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, SyncGroupRequest,
    SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;

use crate::stub::Stub;

pub(super) fn coordinator(stub: &Stub) -> FindCoordinatorResponse {
    let host = StrBytes::from_string(stub.address.ip().to_string());
    let port = i32::from(stub.address.port());
    // Versions up to 3 name one coordinator. The list is for later versions, which the stub does
    // not offer.
    FindCoordinatorResponse::default()
        .with_node_id(1.into())
        .with_host(host)
        .with_port(port)
        .with_coordinators(Vec::<Coordinator>::new())
}

pub(super) fn join(request: JoinGroupRequest) -> JoinGroupResponse {
    let member = if request.member_id.is_empty() {
        StrBytes::from_static_str("the-only-member")
    } else {
        request.member_id
    };
    let mut answer = JoinGroupResponse::default()
        .with_generation_id(1)
        .with_protocol_type(Some(request.protocol_type))
        .with_leader(member.clone())
        .with_member_id(member.clone());
    if let Some(first) = request.protocols.into_iter().next() {
        let own = JoinGroupResponseMember::default()
            .with_member_id(member)
            .with_group_instance_id(request.group_instance_id)
            .with_metadata(first.metadata);
        answer = answer
            .with_protocol_name(Some(first.name))
            .with_members(vec![own]);
    }
    answer
}

pub(super) fn sync(request: SyncGroupRequest) -> SyncGroupResponse {
    let own = request
        .assignments
        .into_iter()
        .find(|each| each.member_id == request.member_id);
    SyncGroupResponse::default()
        .with_protocol_type(request.protocol_type)
        .with_protocol_name(request.protocol_name)
        .with_assignment(own.map(|own| own.assignment).unwrap_or_default())
}

pub(super) fn committed(request: OffsetFetchRequest) -> OffsetFetchResponse {
    let topics = request.topics.unwrap_or_default().into_iter().map(|topic| {
        let none = |partition| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(partition)
                .with_committed_offset(-1)
                .with_committed_leader_epoch(-1)
                .with_metadata(Some(StrBytes::default()))
        };
        OffsetFetchResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(topic.partition_indexes.into_iter().map(none).collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

pub(super) fn commit(request: OffsetCommitRequest) -> OffsetCommitResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let done = |partition: &kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition| {
            OffsetCommitResponsePartition::default().with_partition_index(partition.partition_index)
        };
        OffsetCommitResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(topic.partitions.iter().map(done).collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}
