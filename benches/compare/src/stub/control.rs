//! The requests before the load: versions, metadata, a producer id.

use std::io::{self, Read};
use std::sync::atomic::{AtomicI64, Ordering};

use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, InitProducerIdResponse, MetadataRequest, MetadataResponse,
    RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use crate::stub::wire::Head;
use crate::stub::{Stub, produce};

pub(super) fn answer(stub: &Stub, head: &Head, from: &mut impl Read) -> io::Result<Vec<u8>> {
    let api = ApiKey::try_from(head.api).map_err(|()| io::ErrorKind::InvalidData)?;
    let mut version = head.version;
    // The header is decoded from its start again.
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

/// librdkafka judges what a broker can do by versions of Fetch and FindCoordinator too, which are never called here.
const NAMED_ONLY: [(i16, i16, i16); 2] = [(1, 4, 12), (10, 0, 3)];

fn versions(refused: bool) -> ApiVersionsResponse {
    let (min, max) = produce::VERSIONS;
    // Metadata ends before topic ids.
    let served = [(produce::API, min, max), (3, 0, 9), (18, 0, 3), (22, 0, 4)];
    let range = |(key, min, max)| {
        ApiVersion::default()
            .with_api_key(key)
            .with_min_version(min)
            .with_max_version(max)
    };
    let error = if refused { 35 } else { 0 };
    ApiVersionsResponse::default()
        .with_error_code(error)
        .with_api_keys(served.into_iter().chain(NAMED_ONLY).map(range).collect())
}

/// Whatever topic is asked for is there.
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
