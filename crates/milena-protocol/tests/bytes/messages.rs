//! Compares requests and responses as frames, in both directions, with `kafka-protocol`.

use bytes::Bytes;
use milena_core::{ErrorCode, ErrorKind};
use milena_protocol::any::AnyRequest;
use milena_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse, TopicName,
    api_versions_response, metadata_request::MetadataRequestTopic,
};
use milena_protocol::request::RequestHeader;
use milena_protocol::{ApiKey, VersionRange, api_versions, frame, kafka, request, response};

use kafka::protocol::{Decodable, Encodable, StrBytes};

fn without_length(frame: &Bytes) -> Bytes {
    let len = frame::length(*frame.first_chunk().unwrap(), frame::DEFAULT_MAX_FRAME).unwrap();
    assert_eq!(len + 4, frame.len());
    frame.slice(4..)
}

#[test]
fn a_request_arrives_as_it_was_sent_in_every_version() {
    let range = ApiKey::Metadata.supported();
    for version in range.min..=range.max {
        let name = TopicName(StrBytes::from_static_str("orders"));
        let sent = MetadataRequest::default()
            .with_allow_auto_topic_creation(false)
            .with_topics(Some(vec![
                MetadataRequestTopic::default().with_name(Some(name)),
            ]));
        let frame = request::encode(&sent, version, 77, Some("tester")).unwrap();
        let (header, body) = RequestHeader::split(&without_length(&frame)).unwrap();
        assert_eq!(header.api(), Some(ApiKey::Metadata));
        assert_eq!((header.version, header.correlation_id), (version, 77));
        assert_eq!(header.client_id.as_deref(), Some("tester"));
        let AnyRequest::Metadata(read) = AnyRequest::decode(&header, body).unwrap() else {
            panic!("another request came out");
        };
        assert_eq!(*read, sent);
    }
}

#[test]
fn a_response_arrives_as_it_was_sent_in_every_version() {
    let range = ApiKey::Metadata.supported();
    for version in range.min..=range.max {
        let sent = MetadataResponse::default().with_throttle_time_ms(3);
        let frame = response::encode::<MetadataRequest>(&sent, version, 78).unwrap();
        let frame = without_length(&frame);
        assert_eq!(response::correlation_id(&frame).unwrap(), 78);
        let body = response::body(ApiKey::Metadata, version, &frame).unwrap();
        let read = response::decode::<MetadataRequest>(body, version).unwrap();
        assert_eq!(read, sent);
    }
}

#[test]
fn a_field_that_the_version_lacks_is_an_error_and_not_dropped() {
    let request = MetadataRequest::default().with_include_topic_authorized_operations(true);
    let error = request::encode(&request, 4, 1, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let error = request::encode(&request, 99, 1, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_request_header_of_any_bytes_never_panics() {
    for len in 0..40usize {
        for fill in [0u8, 1, 0x7f, 0x80, 0xff] {
            let frame = Bytes::from(vec![fill; len]);
            if let Ok((header, body)) = RequestHeader::split(&frame) {
                let _ = AnyRequest::decode(&header, body);
            }
        }
    }
}

#[test]
fn our_api_versions_request_is_the_one_kafka_protocol_reads() {
    for version in 0..=4 {
        let frame =
            api_versions::encode_request(version, 5, Some("id"), "mi le_na", "0.1.0-").unwrap();
        let (header, mut body) = RequestHeader::split(&without_length(&frame)).unwrap();
        assert_eq!(header.api(), Some(ApiKey::ApiVersions));
        let read = ApiVersionsRequest::decode(&mut body, version).unwrap();
        assert!(body.is_empty());
        if version >= 3 {
            assert_eq!(&*read.client_software_name, "mi-le-na");
            assert_eq!(&*read.client_software_version, "0.1.0");
        }
    }
}

fn their_answer(version: i16) -> ApiVersionsResponse {
    let api = |key, min, max| {
        api_versions_response::ApiVersion::default()
            .with_api_key(key)
            .with_min_version(min)
            .with_max_version(max)
    };
    let mut answer =
        ApiVersionsResponse::default().with_api_keys(vec![api(0, 0, 13), api(18, 0, 4)]);
    if version >= 1 {
        answer.throttle_time_ms = 12;
    }
    if version >= 3 {
        let mut feature = api_versions_response::FinalizedFeatureKey::default();
        feature.name = StrBytes::from_static_str("group.version");
        feature.max_version_level = 2;
        feature.min_version_level = 1;
        answer.finalized_features = vec![feature];
        answer.finalized_features_epoch = 9;
        let mut feature = api_versions_response::SupportedFeatureKey::default();
        feature.name = StrBytes::from_static_str("kraft.version");
        feature.min_version = 1;
        feature.max_version = 3;
        answer.supported_features = vec![feature];
    }
    answer
}

#[test]
fn our_api_versions_reader_agrees_with_kafka_protocol() {
    for version in 0..=4 {
        let mut body = Vec::new();
        their_answer(version).encode(&mut body, version).unwrap();
        let read = api_versions::decode_response(&body, version).unwrap();
        assert_eq!(read.error, None);
        assert_eq!(read.apis[0], (0, VersionRange { min: 0, max: 13 }));
        assert_eq!(read.throttle_ms, if version >= 1 { 12 } else { 0 });
        if version >= 3 {
            assert_eq!(read.finalized_features_epoch, Some(9));
            assert_eq!(read.supported_features[0].max_level, 3);
        }
        let versions = read.into_broker_versions();
        assert_eq!(versions.negotiate(ApiKey::Produce).unwrap(), 13);
        let level = versions.finalized("group.version");
        assert_eq!(level, (version >= 3).then_some(2));
        for cut in 0..body.len() {
            let _ = api_versions::decode_response(&body[..cut], version);
        }
    }
}

#[test]
fn a_refused_version_is_read_in_layout_0_and_falls_back_below_what_was_sent() {
    let mut body = Vec::new();
    let mut answer = their_answer(0);
    answer.error_code = ErrorCode::UNSUPPORTED_VERSION.to_wire();
    answer.encode(&mut body, 0).unwrap();
    let read = api_versions::decode_response(&body, 4).unwrap();
    assert_eq!(read.error, Some(ErrorCode::UNSUPPORTED_VERSION));
    // The broker hints at 4, which it has just refused, so the hint is not followed.
    assert_eq!(read.fallback(4), Some(3));
    assert_eq!(read.fallback(0), None);
    let bare = api_versions::decode_response(&[0, 35, 0, 0, 0, 0], 3).unwrap();
    assert_eq!(bare.fallback(3), Some(0));
}

#[test]
fn an_http_answer_read_as_api_versions_is_an_error_and_reserves_nothing() {
    let text = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    for version in 0..=4 {
        assert!(api_versions::decode_response(text, version).is_err());
    }
}

#[test]
fn a_text_that_is_too_long_is_refused_by_the_name_of_its_field() {
    use milena_protocol::messages::offset_commit_request::{
        OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    };
    use milena_protocol::messages::{GroupId, OffsetCommitRequest};
    let commit = |letters: usize| {
        let metadata = StrBytes::from_string("m".repeat(letters));
        let partition =
            OffsetCommitRequestPartition::default().with_committed_metadata(Some(metadata));
        let topic = OffsetCommitRequestTopic::default()
            .with_name(TopicName(StrBytes::from_static_str("orders")))
            .with_partitions(vec![partition]);
        OffsetCommitRequest::default()
            .with_group_id(GroupId(StrBytes::from_static_str("billing")))
            .with_topics(vec![topic])
    };
    // Version 8 is the first with compact strings.
    for version in [7, 8] {
        request::encode(&commit(32_767), version, 1, None).unwrap();
        for letters in [32_768, 100_000] {
            let error = request::encode(&commit(letters), version, 1, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            let (text, letters) = (error.to_string(), letters.to_string());
            for part in ["`committed_metadata`", &letters, "32767", "OffsetCommit"] {
                assert!(text.contains(part), "{text}");
            }
        }
        let name = "n".repeat(32_768);
        let error = request::encode(&commit(1), version, 1, Some(&name)).unwrap_err();
        assert_eq!(error.place().setting.as_deref(), Some("client.id"));
    }
}
