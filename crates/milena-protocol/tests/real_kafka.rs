//! Produce and Fetch in every version and codec against the real broker that
//! `MILENA_TEST_BOOTSTRAP` names. `scripts/test-real-kafka` starts one.
#![cfg(feature = "client")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use milena_core::{HeadersRef, Offset, Partition, ProducerEpoch, ProducerId, Sequence, Timestamp};
use milena_protocol::batch::{BatchBuilder, Batches, ProducerStamp};
use milena_protocol::compression::{self, Compression, DEFAULT_MAX_SIZE};
use milena_protocol::fetch::{self, FetchPartition, FetchRequest, FetchSession, IsolationLevel};
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::create_topics_request::CreatableTopic;
use milena_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, InitProducerIdRequest, MetadataRequest, TopicName,
    metadata_request::MetadataRequestTopic,
};
use milena_protocol::produce::{self, PartitionBatch, ProduceOptions};
use milena_protocol::{ApiKey, BrokerVersions, Request, api_versions, frame, request, response};
use uuid::Uuid;

/// A blocking connection that sends one request at a time.
struct Wire {
    stream: TcpStream,
    versions: BrokerVersions,
    correlation: i32,
}

impl Wire {
    fn open() -> Self {
        let bootstrap = std::env::var("MILENA_TEST_BOOTSTRAP").unwrap();
        let stream = TcpStream::connect(bootstrap.split(',').next().unwrap()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut wire = Self {
            stream,
            versions: BrokerVersions::default(),
            correlation: 0,
        };
        let sent = api_versions::encode_request(4, 1, Some("test"), "milena", "0.1.0").unwrap();
        let body = wire.exchange(&[sent], ApiKey::ApiVersions, 4);
        let answer = api_versions::decode_response(&body, 4).unwrap();
        assert_eq!(answer.error, None);
        wire.versions = answer.into_broker_versions();
        wire.correlation = 1;
        wire
    }

    fn exchange(&mut self, pieces: &[Bytes], api: ApiKey, version: i16) -> Bytes {
        pieces
            .iter()
            .for_each(|piece| self.stream.write_all(piece).unwrap());
        let mut prefix = [0; 4];
        self.stream.read_exact(&mut prefix).unwrap();
        let mut answer = vec![0; frame::length(prefix, frame::DEFAULT_MAX_FRAME).unwrap()];
        self.stream.read_exact(&mut answer).unwrap();
        response::body(api, version, &Bytes::from(answer)).unwrap()
    }

    fn call<R: Request>(&mut self, request: &R) -> R::Response {
        let version = self.versions.negotiate(R::KEY).unwrap();
        self.correlation += 1;
        let sent = request::encode(request, version, self.correlation, Some("test")).unwrap();
        let body = self.exchange(&[sent], R::KEY, version);
        response::decode::<R>(body, version).unwrap()
    }

    fn raw(&mut self, api: ApiKey, version: i16, body: Vec<Bytes>) -> Bytes {
        self.correlation += 1;
        let len = body.iter().map(Bytes::len).sum();
        let mut pieces =
            vec![request::head(api, version, self.correlation, Some("test"), len).unwrap()];
        pieces.extend(body);
        self.exchange(&pieces, api, version)
    }

    /// Returns the versions of `api` that both sides speak.
    fn shared(&self, api: ApiKey) -> std::ops::RangeInclusive<i16> {
        let (ours, theirs) = (api.supported(), self.versions.range(api).unwrap());
        ours.min.max(theirs.min)..=ours.max.min(theirs.max)
    }

    fn create_topic(&mut self, name: &str) -> Option<Uuid> {
        let name = TopicName(StrBytes::from_string(name.to_owned()));
        let topic = CreatableTopic::default()
            .with_name(name.clone())
            .with_num_partitions(1)
            .with_replication_factor(1);
        let answer = self.call(
            &CreateTopicsRequest::default()
                .with_topics(vec![topic])
                .with_timeout_ms(10_000),
        );
        assert_eq!(answer.topics[0].error_code, 0, "{answer:?}");
        for _ in 0..100 {
            let topic = MetadataRequestTopic::default().with_name(Some(name.clone()));
            let asked = MetadataRequest::default().with_topics(Some(vec![topic]));
            let topic = self.call(&asked).topics.remove(0);
            if topic.error_code == 0 && topic.partitions.first().is_some_and(|p| p.leader_id.0 >= 0)
            {
                return (!topic.topic_id.is_nil()).then_some(topic.topic_id);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("no leader");
    }

    fn delete_topic(&mut self, name: &str) {
        let mut asked = DeleteTopicsRequest::default().with_timeout_ms(10_000);
        let name = TopicName(StrBytes::from_string(name.to_owned()));
        if self.versions.negotiate(ApiKey::DeleteTopics).unwrap() >= 6 {
            let topic =
                milena_protocol::messages::delete_topics_request::DeleteTopicState::default();
            asked.topics = vec![topic.with_name(Some(name))];
        } else {
            asked.topic_names = vec![name];
        }
        self.call(&asked);
    }
}

fn codecs() -> Vec<Compression> {
    let all = [
        Compression::None,
        Compression::GZIP,
        Compression::Snappy,
        Compression::LZ4,
        Compression::ZSTD,
    ];
    all.into_iter()
        .filter(|compression| compression::check(*compression).is_ok())
        .collect()
}

fn value(version: i16, codec: Compression, index: usize) -> String {
    format!(
        "{} written by version {version}, record {index}; {}",
        codec.codec().name(),
        "again ".repeat(index % 50)
    )
}

#[test]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
fn every_version_and_codec_is_accepted_and_read_back() {
    let mut wire = Wire::open();
    let name = format!("milena-protocol-{}", Uuid::new_v4());
    let topic_id = wire.create_topic(&name);
    let init = wire.call(
        &InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000),
    );
    assert_eq!(init.error_code, 0);
    let mut sequence = Sequence::ZERO;
    let mut expected = Vec::new();

    for version in wire.shared(ApiKey::Produce) {
        for compression in codecs() {
            if version < 7 && compression == Compression::ZSTD {
                continue; // brokers refuse zstd from clients that old (KIP-110)
            }
            let mut open = BatchBuilder::default();
            for index in 0..200 {
                let value = value(version, compression, index);
                let time = Timestamp::now();
                open.append(
                    time,
                    Some(b"key"),
                    Some(value.as_bytes()),
                    HeadersRef::empty(),
                )
                .unwrap();
                expected.push(value);
            }
            let batch = open.seal(compression).unwrap().0;
            let stamp = ProducerStamp {
                id: ProducerId::from_wire(init.producer_id.0).unwrap(),
                epoch: ProducerEpoch::from_wire(init.producer_epoch).unwrap(),
                sequence,
                transactional: false,
            };
            sequence = sequence.advance(batch.count());
            let batch = PartitionBatch {
                topic: name.as_str().into(),
                topic_id,
                partition: Partition::new(0),
                header: batch.header(Some(stamp)),
                body: batch.body().clone(),
            };
            let options = ProduceOptions {
                acks: -1,
                timeout: Duration::from_secs(10),
                transactional_id: None,
            };
            let body = produce::encode(version, &options, vec![batch]).unwrap();
            let body = wire.raw(ApiKey::Produce, version, body);
            let answer = produce::decode_response(&body, version).unwrap();
            let [entry] = &answer.partitions[..] else {
                panic!("one partition")
            };
            assert_eq!(
                (entry.error, entry.message),
                (None, None),
                "v{version} {compression:?}"
            );
            assert!(entry.topic.is(&name, topic_id));
            assert_eq!(
                entry.base_offset.unwrap().to_wire() as usize,
                expected.len() - 200
            );
        }
    }

    for version in wire.shared(ApiKey::Fetch) {
        let last_zstd_free = version < 10; // older fetches are refused zstd batches (KIP-110)
        if last_zstd_free && codecs().contains(&Compression::ZSTD) {
            continue;
        }
        let mut read = Vec::new();
        while read.len() < expected.len() {
            let partition = FetchPartition {
                topic: name.as_str().into(),
                topic_id,
                partition: Partition::new(0),
                offset: Offset::from_wire(read.len() as i64).unwrap(),
                leader_epoch: None,
                last_fetched_epoch: None,
                max_bytes: 30_000, // cuts batches, so that tails occur
            };
            let asked = FetchRequest {
                max_wait: Duration::from_millis(500),
                min_bytes: 1,
                max_bytes: 50 << 20,
                isolation: IsolationLevel::ReadCommitted,
                session: FetchSession::NONE,
                partitions: &[partition],
                forgotten: &[],
                rack: "",
            };
            let body = wire.raw(ApiKey::Fetch, version, vec![asked.encode(version).unwrap()]);
            let answer = fetch::decode_response(&body, version).unwrap();
            assert_eq!(
                (answer.error, answer.partitions[0].error),
                (None, None),
                "v{version}"
            );
            let before = read.len();
            for batch in Batches::new(answer.partitions[0].records.clone()) {
                let batch = batch.unwrap();
                batch.verify_crc().unwrap();
                for record in batch.records(DEFAULT_MAX_SIZE).unwrap().iter() {
                    let record = record.unwrap();
                    if record.offset.to_wire() as usize == read.len() {
                        read.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
                    }
                }
            }
            assert!(read.len() > before, "v{version}: progress");
        }
        assert!(read == expected, "v{version}");
    }
    wire.delete_topic(&name);
}
