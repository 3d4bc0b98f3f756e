//! A client of raw messages, for the tests of the broker. It connects in memory or over TCP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(dead_code, reason = "each test file uses its part")]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use milena_broker::{Broker, ErrorCode};
use milena_core::{HeadersRef, ProducerEpoch, ProducerId, Sequence, Timestamp};
use milena_protocol::batch::{BatchBuilder, ProducerStamp};
use milena_protocol::compression::Compression;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use milena_protocol::messages::fetch_response::PartitionData;
use milena_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use milena_protocol::messages::produce_response::PartitionProduceResponse;
use milena_protocol::messages::{
    FetchRequest, FetchResponse, MetadataRequest, MetadataResponse, ProduceRequest, TopicName,
};
use milena_protocol::{Request, frame, request, response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

/// Returns the error that a code stands for, `None` for 0.
pub(crate) fn code(raw: i16) -> Option<ErrorCode> {
    ErrorCode::from_wire(raw)
}

/// Starts brokers in memory with one topic.
pub(crate) async fn brokers(count: usize, topic: &str, partitions: u32) -> Broker {
    let builder = Broker::builder().brokers(count).topic(topic, partitions);
    builder.start().await.unwrap()
}

/// Starts a broker that listens at a free TCP port of this machine.
pub(crate) async fn listening() -> Broker {
    let builder = Broker::builder().listen("127.0.0.1:0");
    builder.start().await.unwrap()
}

/// Waits until `done` returns true, for ten seconds at the most. Asks again whenever the clock has
/// moved a little, which a paused clock does once nothing else is left to do.
pub(crate) async fn eventually(what: &str, done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), waiting).await;
    ended.unwrap_or_else(|_| panic!("never came: {what}"));
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection to one broker.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
    next: i32,
}

impl Client {
    /// Connects to the broker with this node id.
    pub(crate) async fn to(broker: &Broker, node: i32) -> Self {
        let (_, address) = broker
            .addresses()
            .into_iter()
            .find(|(id, _)| *id == node)
            .unwrap();
        Self {
            stream: Box::new(broker.dialer()(address).await.unwrap()),
            buffer: BytesMut::new(),
            next: 1,
        }
    }

    /// Connects over TCP.
    pub(crate) async fn tcp(address: &str) -> Self {
        Self {
            stream: Box::new(tokio::net::TcpStream::connect(address).await.unwrap()),
            buffer: BytesMut::new(),
            next: 1,
        }
    }

    /// Sends a request without reading the answer. Returns its correlation id.
    pub(crate) async fn send<R: Request>(&mut self, message: &R, version: i16) -> i32 {
        let id = self.next;
        self.next += 1;
        let frame = request::encode(message, version, id, Some("test")).unwrap();
        self.stream.write_all(&frame).await.unwrap();
        id
    }

    /// Returns the frame of the next answer without its length, or `None` if the connection was
    /// closed.
    pub(crate) async fn frame(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = frame::take(&mut self.buffer, usize::MAX >> 1).unwrap() {
                return Some(frame);
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Returns the bytes that arrive until the connection is closed.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = self.buffer.split().to_vec();
        let _ = self.stream.read_to_end(&mut rest).await;
        rest
    }

    /// Sends any bytes.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Reads bytes as they come.
    pub(crate) async fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    pub(crate) async fn try_call<R: Request>(
        &mut self,
        message: &R,
        version: i16,
    ) -> Option<R::Response> {
        let id = self.send(message, version).await;
        let frame = self.frame().await?;
        assert_eq!(response::correlation_id(&frame).unwrap(), id);
        let body = response::body(R::KEY, version, &frame).unwrap();
        Some(response::decode::<R>(body, version).unwrap())
    }

    pub(crate) async fn call<R: Request>(&mut self, message: &R, version: i16) -> R::Response {
        self.try_call(message, version)
            .await
            .expect("the connection was closed")
    }

    /// Produces a batch with acks=all. Returns the partition's answer.
    pub(crate) async fn produce(
        &mut self,
        name: &str,
        partition: i32,
        batch: Bytes,
    ) -> PartitionProduceResponse {
        let mut answer = self.call(&producing(name, partition, batch), 9).await;
        answer.responses.remove(0).partition_responses.remove(0)
    }

    /// Describes all brokers and topics.
    pub(crate) async fn metadata(&mut self) -> MetadataResponse {
        let all = MetadataRequest::default().with_topics(None);
        self.call(&all, 12).await
    }

    /// Fetches one partition at once, without a session.
    pub(crate) async fn fetch(&mut self, name: &str, partition: i32, offset: i64) -> PartitionData {
        let mut answer = self.call(&fetching(name, &[(partition, offset)]), 11).await;
        answer.responses.remove(0).partitions.remove(0)
    }
}

pub(crate) fn producing(name: &str, partition: i32, batch: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(batch));
    let topic_data = TopicProduceData::default()
        .with_name(topic(name))
        .with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(1000)
        .with_topic_data(vec![topic_data])
}

pub(crate) fn fetching(name: &str, partitions: &[(i32, i64)]) -> FetchRequest {
    let partitions = partitions.iter().map(|(partition, offset)| {
        FetchPartition::default()
            .with_partition(*partition)
            .with_current_leader_epoch(-1)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(1 << 20)
    });
    FetchRequest::default()
        .with_max_bytes(1 << 24)
        .with_session_epoch(-1)
        .with_topics(vec![
            FetchTopic::default()
                .with_topic(topic(name))
                .with_partitions(partitions.collect()),
        ])
}

/// Returns the partitions of a Fetch answer, with number, error code and bytes of records.
pub(crate) fn summary(answer: &FetchResponse) -> Vec<(i32, i16, usize)> {
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|each| {
            (
                each.partition_index,
                each.error_code,
                each.records.as_ref().map_or(0, Bytes::len),
            )
        })
        .collect()
}

/// Makes a batch of one record for each of `times`, in milliseconds.
pub(crate) fn batch_at(times: &[i64]) -> Bytes {
    let mut open = BatchBuilder::with_capacity(1024);
    for time in times {
        let at = Timestamp::from_millis(*time);
        open.append(at, Some(b"key"), Some(b"value"), HeadersRef::empty())
            .unwrap();
    }
    open.seal(Compression::None).unwrap().0.to_bytes(None)
}

/// Makes a batch of `count` records of 20 bytes. `stamp` is a producer's id, epoch and first
/// sequence.
pub(crate) fn batch(count: u32, stamp: Option<(i64, i16, i32)>) -> Bytes {
    let mut open = BatchBuilder::with_capacity(1024);
    for i in 0..count {
        let value = format!("value {i:014}");
        let at = Timestamp::from_millis(1000 + i64::from(i));
        open.append(at, None, Some(value.as_bytes()), HeadersRef::empty())
            .unwrap();
    }
    let stamp = stamp.map(|(id, epoch, sequence)| ProducerStamp {
        id: ProducerId::from_wire(id).unwrap(),
        epoch: ProducerEpoch::from_wire(epoch).unwrap(),
        sequence: Sequence::from_wire(sequence).unwrap(),
        transactional: false,
    });
    open.seal(Compression::None).unwrap().0.to_bytes(stamp)
}
