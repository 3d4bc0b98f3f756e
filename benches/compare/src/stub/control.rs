//! Answers the requests besides the load. These are versions, metadata, a producer id, the ends of
//! logs, and a group with one member.

use std::io::{self, Read};
use std::sync::atomic::{AtomicI64, Ordering};

use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, HeartbeatResponse, InitProducerIdResponse, JoinGroupRequest,
    LeaveGroupResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
    OffsetCommitRequest, OffsetFetchRequest, RequestHeader, ResponseHeader, SyncGroupRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use crate::stub::wire::Head;
use crate::stub::{Stub, fetch, group, produce};

pub(super) fn answer(stub: &Stub, head: &Head, from: &mut impl Read) -> io::Result<Vec<u8>> {
    let api = ApiKey::try_from(head.api).map_err(|()| io::ErrorKind::InvalidData)?;
    let mut version = head.version;
    // The header is decoded again from its start.
    let mut request = Vec::new();
    request.extend(head.api.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(head.correlation.to_be_bytes());
    from.read_to_end(&mut request)?;
    let mut request = std::io::Cursor::new(request);
    let mut out = vec![0; 4];
    let refused = api == ApiKey::ApiVersions && version > 3;
    if refused {
        version = 0; // the form in which a version is refused
    } else {
        RequestHeader::decode(&mut request, api.request_header_version(version)).map_err(odd)?;
    }
    ResponseHeader::default()
        .with_correlation_id(head.correlation)
        .encode(&mut out, api.response_header_version(version))
        .map_err(odd)?;
    match api {
        ApiKey::ApiVersions => versions(refused).encode(&mut out, version),
        ApiKey::Metadata => {
            let request = MetadataRequest::decode(&mut request, version).map_err(odd)?;
            metadata(stub, request).encode(&mut out, version)
        }
        ApiKey::InitProducerId => {
            let id = NEXT_PRODUCER.fetch_add(1, Ordering::Relaxed);
            InitProducerIdResponse::default()
                .with_producer_id(id.into())
                .encode(&mut out, version)
        }
        ApiKey::ListOffsets => {
            let request = ListOffsetsRequest::decode(&mut request, version).map_err(odd)?;
            list_offsets(stub, request, version).encode(&mut out, version)
        }
        ApiKey::FindCoordinator => group::coordinator(stub).encode(&mut out, version),
        ApiKey::JoinGroup => {
            let request = JoinGroupRequest::decode(&mut request, version).map_err(odd)?;
            group::join(request).encode(&mut out, version)
        }
        ApiKey::SyncGroup => {
            let request = SyncGroupRequest::decode(&mut request, version).map_err(odd)?;
            group::sync(request).encode(&mut out, version)
        }
        ApiKey::OffsetFetch => {
            let request = OffsetFetchRequest::decode(&mut request, version).map_err(odd)?;
            group::committed(request).encode(&mut out, version)
        }
        ApiKey::OffsetCommit => {
            let request = OffsetCommitRequest::decode(&mut request, version).map_err(odd)?;
            group::commit(request).encode(&mut out, version)
        }
        ApiKey::Heartbeat => HeartbeatResponse::default().encode(&mut out, version),
        ApiKey::LeaveGroup => LeaveGroupResponse::default().encode(&mut out, version),
        _ => return Err(io::ErrorKind::Unsupported.into()),
    }
    .map_err(odd)?;
    let len = (out.len() as i32 - 4).to_be_bytes();
    for (place, byte) in out.iter_mut().zip(len) {
        *place = byte;
    }
    Ok(out)
}

fn odd(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

static NEXT_PRODUCER: AtomicI64 = AtomicI64::new(1);

fn versions(refused: bool) -> ApiVersionsResponse {
    let (min, max) = produce::VERSIONS;
    let (first, last) = fetch::VERSIONS;
    let served = [
        (produce::API, min, max),
        (fetch::API, first, last),
        (2, 1, 5),  // ListOffsets
        (3, 0, 9),  // Metadata ends before topic ids.
        (8, 2, 7),  // OffsetCommit
        (9, 1, 5),  // OffsetFetch
        (10, 0, 3), // FindCoordinator
        (11, 0, 5), // JoinGroup
        (12, 0, 3), // Heartbeat
        (13, 0, 3), // LeaveGroup
        (14, 0, 3), // SyncGroup
        (18, 0, 3), // ApiVersions
        (22, 0, 4), // InitProducerId
    ];
    let range = |(key, min, max)| {
        ApiVersion::default()
            .with_api_key(key)
            .with_min_version(min)
            .with_max_version(max)
    };
    let error = if refused { 35 } else { 0 };
    ApiVersionsResponse::default()
        .with_error_code(error)
        .with_api_keys(served.into_iter().map(range).collect())
}

/// Describes every requested topic as existing.
fn metadata(stub: &Stub, request: MetadataRequest) -> MetadataResponse {
    let node = 1;
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index as i32)
            .with_leader_id(node.into())
            .with_leader_epoch(0)
            .with_replica_nodes(vec![node.into()])
            .with_isr_nodes(vec![node.into()])
    };
    let topics = request.topics.unwrap_or_default().into_iter().map(|topic| {
        MetadataResponseTopic::default()
            .with_name(topic.name)
            .with_partitions((0..stub.partitions).map(partition).collect())
    });
    let broker = MetadataResponseBroker::default()
        .with_node_id(node.into())
        .with_host(StrBytes::from_string(stub.address.ip().to_string()))
        .with_port(i32::from(stub.address.port()));
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(StrBytes::from_static_str("stub")))
        .with_controller_id(node.into())
        .with_topics(topics.collect())
}

fn list_offsets(stub: &Stub, request: ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let end = asked.timestamp == -1;
            let offset = if end {
                stub.log.end(asked.partition_index)
            } else {
                0
            };
            ListOffsetsPartitionResponse::default()
                .with_partition_index(asked.partition_index)
                .with_timestamp(-1)
                .with_offset(offset)
                .with_leader_epoch(if version >= 4 { 0 } else { -1 })
        });
        ListOffsetsTopicResponse::default()
            .with_name(topic.name)
            .with_partitions(partitions.collect())
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}
