//! Fetch (key 1, versions 4 to 17) by hand: requests with sessions, answers walked without copying records.

use std::time::Duration;

use bytes::Bytes;
use milena_core::{
    Error, ErrorCode, ErrorKind, LeaderEpoch, NodeId, Offset, Partition, ProducerId, Result,
    TopicName,
};
use uuid::Uuid;

use crate::api::ApiKey;
use crate::hints::{self, LeaderHint, NodeEndpoint, TopicRef};
use crate::produce::{millis, read_throttle};
use crate::reader::Reader;
use crate::request::unknown_version;
use crate::writer::{put_count, put_i8, put_i32, put_i64, put_no_tags, put_str};

/// The first version that names topics by id (KIP-516).
pub const TOPIC_IDS_FROM: i16 = 13;

/// Which records a consumer sees.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum IsolationLevel {
    /// All records, those of open and aborted transactions too.
    ReadUncommitted,
    /// Records up to the last stable offset; the client leaves aborted ones out.
    #[default]
    ReadCommitted,
}

impl IsolationLevel {
    /// The level on the wire.
    pub const fn to_wire(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// A fetch session, in which a request names only what changed (KIP-227).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FetchSession {
    /// The id that the broker gave; 0 when there is none yet.
    pub id: i32,
    /// 0 asks for a new session, -1 for none (and closes one of that id), else it counts requests up.
    pub epoch: i32,
}

impl FetchSession {
    /// No session: every request names every partition.
    pub const NONE: Self = Self { id: 0, epoch: -1 };
    /// Asks the broker to open a session.
    pub const OPEN: Self = Self { id: 0, epoch: 0 };
}

/// What to fetch from one partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FetchPartition {
    /// The topic.
    pub topic: TopicName,
    /// The topic's id, which version 13 and above need.
    pub topic_id: Option<Uuid>,
    /// The partition.
    pub partition: Partition,
    /// The offset to begin at.
    pub offset: Offset,
    /// The leader epoch that the client knows: a broker with another refuses (KIP-320).
    pub leader_epoch: Option<LeaderEpoch>,
    /// The epoch of the last record read, for brokers to notice truncation.
    pub last_fetched_epoch: Option<LeaderEpoch>,
    /// The most bytes of records to answer with, save for a first batch that is larger.
    pub max_bytes: u32,
}

/// A partition to leave out of the session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ForgottenPartition {
    /// The topic.
    pub topic: TopicName,
    /// The topic's id, which version 13 and above need.
    pub topic_id: Option<Uuid>,
    /// The partition.
    pub partition: Partition,
}

/// A Fetch request of a consumer.
#[derive(Clone, Copy, Debug)]
pub struct FetchRequest<'a> {
    /// How long the broker may wait for `min_bytes`.
    pub max_wait: Duration,
    /// How many bytes of records are worth an answer.
    pub min_bytes: u32,
    /// The most bytes of records in the whole answer, save for a first batch that is larger.
    pub max_bytes: u32,
    /// Which records to see.
    pub isolation: IsolationLevel,
    /// The session, from version 7 on.
    pub session: FetchSession,
    /// What to fetch. The broker serves in this order; neighbours of one topic share its name on the wire.
    pub partitions: &'a [FetchPartition],
    /// What to drop from the session, from version 7 on.
    pub forgotten: &'a [ForgottenPartition],
    /// The consumer's rack, from version 11 on; empty when it has none (KIP-392).
    pub rack: &'a str,
}

impl FetchRequest<'_> {
    /// Encodes the request's body; the header comes from [`request::head`](crate::request::head).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a version outside 4 to 17; [`ErrorKind::State`] when version 13
    /// or above is asked for and a topic id is not known.
    pub fn encode(&self, version: i16) -> Result<Bytes> {
        if !ApiKey::Fetch.supported().contains(version) {
            return Err(unknown_version(ApiKey::Fetch, version));
        }
        let flexible = ApiKey::Fetch.is_flexible(version);
        let mut out = Vec::with_capacity(64 + 64 * (self.partitions.len() + self.forgotten.len()));
        if version <= 14 {
            put_i32(&mut out, -1); // a consumer is no replica
        }
        put_i32(&mut out, millis(self.max_wait));
        put_i32(&mut out, size(self.min_bytes));
        put_i32(&mut out, size(self.max_bytes));
        put_i8(&mut out, self.isolation.to_wire());
        if version >= 7 {
            put_i32(&mut out, self.session.id);
            put_i32(&mut out, self.session.epoch);
        }
        let topics = self
            .partitions
            .chunk_by(|a, b| a.topic == b.topic && a.topic_id == b.topic_id);
        put_count(&mut out, topics.clone().count(), flexible)?;
        for topic in topics {
            put_topic(
                &mut out,
                version,
                topic.first().map(|p| (&p.topic, p.topic_id)),
            )?;
            put_count(&mut out, topic.len(), flexible)?;
            for partition in topic {
                put_partition(&mut out, version, partition);
            }
            put_no_tags(&mut out, flexible);
        }
        if version >= 7 {
            self.put_forgotten(&mut out, version)?;
        }
        if version >= 11 {
            put_str(&mut out, Some(self.rack), flexible)?;
        }
        put_no_tags(&mut out, flexible);
        Ok(Bytes::from(out))
    }

    fn put_forgotten(&self, out: &mut Vec<u8>, version: i16) -> Result<()> {
        let flexible = ApiKey::Fetch.is_flexible(version);
        let topics = self
            .forgotten
            .chunk_by(|a, b| a.topic == b.topic && a.topic_id == b.topic_id);
        put_count(out, topics.clone().count(), flexible)?;
        for topic in topics {
            put_topic(out, version, topic.first().map(|p| (&p.topic, p.topic_id)))?;
            put_count(out, topic.len(), flexible)?;
            for forgotten in topic {
                put_i32(out, forgotten.partition.to_wire());
            }
            put_no_tags(out, flexible);
        }
        Ok(())
    }
}

fn put_topic(
    out: &mut Vec<u8>,
    version: i16,
    topic: Option<(&TopicName, Option<Uuid>)>,
) -> Result<()> {
    let Some((name, id)) = topic else {
        return Ok(());
    };
    if version < TOPIC_IDS_FROM {
        return put_str(out, Some(name), ApiKey::Fetch.is_flexible(version));
    }
    let Some(id) = id else {
        let what = "the topic's id is not known, which this version of the request needs";
        return Err(Error::new(ErrorKind::State, what)
            .api("Fetch")
            .topic(name.clone()));
    };
    out.extend_from_slice(id.as_bytes());
    Ok(())
}

fn put_partition(out: &mut Vec<u8>, version: i16, partition: &FetchPartition) {
    put_i32(out, partition.partition.to_wire());
    if version >= 9 {
        put_i32(out, partition.leader_epoch.map_or(-1, LeaderEpoch::to_wire));
    }
    put_i64(out, partition.offset.to_wire());
    if version >= 12 {
        put_i32(
            out,
            partition
                .last_fetched_epoch
                .map_or(-1, LeaderEpoch::to_wire),
        );
    }
    if version >= 5 {
        put_i64(out, -1); // the log start offset: followers only
    }
    put_i32(out, size(partition.max_bytes));
    put_no_tags(out, ApiKey::Fetch.is_flexible(version));
}

fn size(bytes: u32) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

/// The answer to a Fetch request.
#[derive(Clone, Debug, Default)]
pub struct FetchResponse<'a> {
    /// How long the broker asks this connection to be quiet (KIP-219).
    pub throttle: Duration,
    /// An error of the whole request, such as of its session.
    pub error: Option<ErrorCode>,
    /// The session's id; 0 when the broker opened none.
    pub session_id: i32,
    /// One entry per partition that has something to say, in wire order.
    pub partitions: Vec<FetchedPartition<'a>>,
    /// Where the leaders that entries hint at are reached.
    pub endpoints: Vec<NodeEndpoint>,
}

/// What one partition answered.
#[derive(Clone, Debug)]
pub struct FetchedPartition<'a> {
    /// The topic.
    pub topic: TopicRef<'a>,
    /// The partition.
    pub partition: Partition,
    /// The error; `None` when there is none.
    pub error: Option<ErrorCode>,
    /// The offset behind the last record that all in-sync replicas have.
    pub high_watermark: Option<Offset>,
    /// The offset up to which all transactions are decided.
    pub last_stable_offset: Option<Offset>,
    /// The first offset of the log.
    pub log_start_offset: Option<Offset>,
    /// Transactions aborted within the records; brokers do not promise an order.
    pub aborted: Vec<AbortedTransaction>,
    /// The replica to read from instead (KIP-392).
    pub preferred_read_replica: Option<NodeId>,
    /// Where the log parts from what the client has read (KIP-595).
    pub diverging: Option<DivergingEpoch>,
    /// The leader, when the answering broker is not it.
    pub leader: Option<LeaderHint>,
    /// The records, a slice of the whole answer: read them with [`Batches`](crate::batch::Batches).
    pub records: Bytes,
}

/// A transaction of which no record is to be delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AbortedTransaction {
    /// The producer.
    pub producer_id: ProducerId,
    /// The offset of the transaction's first record.
    pub first_offset: Offset,
}

/// The last epoch that the client and the log share.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DivergingEpoch {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The offset behind its last record.
    pub end_offset: Offset,
}

/// Reads the body of the answer to a Fetch request of `version`; records stay slices of `body`.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a version outside 4 to 17; [`ErrorKind::Decode`] when the bytes are
/// no such answer.
pub fn decode_response(body: &Bytes, version: i16) -> Result<FetchResponse<'_>> {
    if !ApiKey::Fetch.supported().contains(version) {
        return Err(unknown_version(ApiKey::Fetch, version));
    }
    let flexible = ApiKey::Fetch.is_flexible(version);
    let mut reader = Reader::new(body);
    let mut answer = FetchResponse {
        throttle: read_throttle(&mut reader)?,
        ..FetchResponse::default()
    };
    if version >= 7 {
        answer.error = ErrorCode::from_wire(reader.i16()?);
        answer.session_id = reader.i32()?;
    }
    for _ in 0..reader.array_len(flexible, 3)?.unwrap_or(0) {
        let topic = hints::read_topic(&mut reader, version >= TOPIC_IDS_FROM, flexible)?;
        let count = reader.array_len(flexible, 24)?.unwrap_or(0);
        answer.partitions.reserve(count);
        for _ in 0..count {
            answer
                .partitions
                .push(read_partition(&mut reader, body, topic, version)?);
        }
        if flexible {
            reader.skip_tagged()?;
        }
    }
    if flexible {
        reader.tagged(|tag, field| {
            if tag == 0 {
                answer.endpoints = hints::read_endpoints(field)?;
            }
            Ok(())
        })?;
    }
    Ok(answer)
}

fn read_partition<'a>(
    reader: &mut Reader<'a>,
    body: &Bytes,
    topic: TopicRef<'a>,
    version: i16,
) -> Result<FetchedPartition<'a>> {
    let flexible = ApiKey::Fetch.is_flexible(version);
    let partition = reader.i32()?;
    let partition =
        Partition::from_wire(partition).ok_or_else(|| reader.bad("a partition is negative"))?;
    let mut entry = FetchedPartition {
        topic,
        partition,
        error: ErrorCode::from_wire(reader.i16()?),
        high_watermark: Offset::from_wire(reader.i64()?),
        last_stable_offset: Offset::from_wire(reader.i64()?),
        log_start_offset: None,
        aborted: Vec::new(),
        preferred_read_replica: None,
        diverging: None,
        leader: None,
        records: Bytes::new(),
    };
    if version >= 5 {
        entry.log_start_offset = Offset::from_wire(reader.i64()?);
    }
    entry.aborted = read_aborted(reader, flexible)?;
    if version >= 11 {
        entry.preferred_read_replica = NodeId::from_wire(reader.i32()?);
    }
    if let Some(len) = reader.bytes_len(flexible)? {
        let start = reader.position();
        reader.skip(len)?;
        entry.records = body.slice(start..start + len);
    }
    if flexible {
        reader.tagged(|tag, field| {
            match tag {
                0 => entry.diverging = read_diverging(field)?,
                1 => entry.leader = hints::read_leader(field)?,
                _ => {}
            }
            Ok(())
        })?;
    }
    Ok(entry)
}

fn read_aborted(reader: &mut Reader<'_>, flexible: bool) -> Result<Vec<AbortedTransaction>> {
    let count = reader.array_len(flexible, 16)?.unwrap_or(0);
    let mut aborted = Vec::with_capacity(count);
    for _ in 0..count {
        let (producer, first) = (reader.i64()?, reader.i64()?);
        if flexible {
            reader.skip_tagged()?;
        }
        if let (Some(producer_id), Some(first_offset)) =
            (ProducerId::from_wire(producer), Offset::from_wire(first))
        {
            aborted.push(AbortedTransaction {
                producer_id,
                first_offset,
            });
        }
    }
    Ok(aborted)
}

fn read_diverging(field: &mut Reader<'_>) -> Result<Option<DivergingEpoch>> {
    let (epoch, end) = (field.i32()?, field.i64()?);
    field.skip_tagged()?;
    Ok(LeaderEpoch::from_wire(epoch)
        .zip(Offset::from_wire(end))
        .map(|(epoch, end_offset)| DivergingEpoch { epoch, end_offset }))
}
