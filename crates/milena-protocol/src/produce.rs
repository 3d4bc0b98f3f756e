//! Produce (key 0, versions 3 to 13), written and read by hand. Batches are sent without a copy,
//! and answers are read without one.

use std::time::Duration;

use bytes::Bytes;
use milena_core::{Error, ErrorCode, ErrorKind, Offset, Partition, Result, Timestamp, TopicName};
use uuid::Uuid;

use crate::api::ApiKey;
use crate::batch::HEADER_LEN;
use crate::hints::{self, LeaderHint, NodeEndpoint, TopicRef};
use crate::reader::Reader;
use crate::request::unknown_version;
use crate::writer::{put_count, put_i16, put_i32, put_no_tags, put_str, put_uvarint};

/// The first version that names topics by id (KIP-516).
pub const TOPIC_IDS_FROM: i16 = 13;

/// One batch for one partition.
///
/// A broker accepts one batch per partition and request.
#[derive(Clone, Debug)]
pub struct PartitionBatch {
    /// The topic.
    pub topic: TopicName,
    /// The topic's id. Version 13 needs it. `None` if it is not known.
    pub topic_id: Option<Uuid>,
    /// The partition.
    pub partition: Partition,
    /// The header that [`SealedBatch::header`](crate::batch::SealedBatch::header) wrote.
    pub header: [u8; HEADER_LEN],
    /// The sealed body.
    pub body: Bytes,
}

/// The parts of a Produce request besides its batches.
#[derive(Clone, Copy, Debug)]
pub struct ProduceOptions<'a> {
    /// `-1` for all in-sync replicas, `1` for the leader, `0` for no answer at all.
    pub acks: i16,
    /// The time that the leader may wait for its followers, in whole milliseconds on the wire.
    pub timeout: Duration,
    /// The transactional id. `None` outside of transactions.
    pub transactional_id: Option<&'a str>,
}

/// Encodes the body of a Produce request as pieces that are sent one after the other.
///
/// Batch bodies are pieces of their own, shared and not copied. All other pieces are slices of one
/// buffer. Batches are grouped by topic, in a stable order.
///
/// The request header comes in front, see [`request::head`](crate::request::head).
///
/// # Errors
/// - [`ErrorKind::Unsupported`] for a version outside 3 to 13
/// - [`ErrorKind::State`] for version 13 if a topic id is not known
/// - [`ErrorKind::RecordTooLarge`] for a batch over 2 GiB
pub fn encode(
    version: i16,
    options: &ProduceOptions<'_>,
    mut batches: Vec<PartitionBatch>,
) -> Result<Vec<Bytes>> {
    if !ApiKey::Produce.known().contains(version) {
        return Err(unknown_version(ApiKey::Produce, version));
    }
    let flexible = ApiKey::Produce.is_flexible(version);
    batches.sort_by(|a, b| a.topic.cmp(&b.topic));
    let names: usize = batches.iter().map(|batch| batch.topic.len()).sum();
    let mut out = Vec::with_capacity(64 + names + batches.len() * (HEADER_LEN + 48));
    put_str(&mut out, options.transactional_id, flexible)?;
    put_i16(&mut out, options.acks);
    put_i32(&mut out, millis(options.timeout));

    let mut cuts = Vec::with_capacity(batches.len());
    let topics = batches.chunk_by(|a, b| a.topic == b.topic);
    put_count(&mut out, topics.clone().count(), flexible)?;
    for topic in topics {
        put_topic(&mut out, version, topic)?;
        put_count(&mut out, topic.len(), flexible)?;
        for batch in topic {
            put_i32(&mut out, batch.partition.to_wire());
            put_records_len(&mut out, HEADER_LEN + batch.body.len(), flexible)?;
            out.extend_from_slice(&batch.header);
            cuts.push(out.len());
            put_no_tags(&mut out, flexible);
        }
        put_no_tags(&mut out, flexible);
    }
    put_no_tags(&mut out, flexible);
    Ok(interleave(&Bytes::from(out), &cuts, batches))
}

/// Writes the name or the id of a topic.
fn put_topic(out: &mut Vec<u8>, version: i16, batches: &[PartitionBatch]) -> Result<()> {
    let Some(first) = batches.first() else {
        return Ok(());
    };
    if version < TOPIC_IDS_FROM {
        return put_str(
            out,
            Some(&first.topic),
            ApiKey::Produce.is_flexible(version),
        );
    }
    let Some(id) = first.topic_id else {
        let what = "the topic's id is not known, but this version of the request needs it";
        return Err(Error::new(ErrorKind::State, what)
            .api("Produce")
            .topic(first.topic.clone()));
    };
    out.extend_from_slice(id.as_bytes());
    Ok(())
}

/// Writes the length of a batch.
fn put_records_len(out: &mut Vec<u8>, len: usize, flexible: bool) -> Result<()> {
    let len = i32::try_from(len).map_err(|_| {
        Error::new(
            ErrorKind::RecordTooLarge,
            format!("a batch of {len} bytes is over 2 GiB"),
        )
    })?;
    if flexible {
        put_uvarint(out, len.unsigned_abs() + 1);
    } else {
        put_i32(out, len);
    }
    Ok(())
}

/// Puts each body behind the end of its header.
fn interleave(frame: &Bytes, cuts: &[usize], batches: Vec<PartitionBatch>) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(2 * cuts.len() + 1);
    let mut start = 0;
    for (cut, batch) in cuts.iter().zip(batches) {
        pieces.push(frame.slice(start..*cut));
        pieces.push(batch.body);
        start = *cut;
    }
    pieces.push(frame.slice(start..));
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Returns a time in whole milliseconds, at most `i32::MAX`.
pub(crate) fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

/// The answer to a Produce request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ProduceResponse<'a> {
    /// One entry per partition, in wire order.
    pub partitions: Vec<ProducedPartition<'a>>,
    /// The time for which the broker asks this connection to be silent (KIP-219).
    pub throttle: Duration,
    /// The addresses of the leaders that entries hint at.
    pub endpoints: Vec<NodeEndpoint>,
}

/// The result for one partition's batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProducedPartition<'a> {
    /// The topic.
    pub topic: TopicRef<'a>,
    /// The partition.
    pub partition: Partition,
    /// The error. `None` if the batch was written.
    pub error: Option<ErrorCode>,
    /// The offset of the batch's first record. `None` for a duplicate that the broker no longer
    /// remembers.
    pub base_offset: Option<Offset>,
    /// The time at which the broker appended the batch. `None` if the topic keeps the producer's
    /// timestamps.
    pub append_time: Option<Timestamp>,
    /// The first offset of the log. `None` before version 5.
    pub log_start_offset: Option<Offset>,
    /// The records that made the broker refuse the batch (KIP-467).
    pub record_errors: Vec<RecordError<'a>>,
    /// The reason why the broker refused the batch, in its own words.
    pub message: Option<&'a str>,
    /// The leader, if the answering broker does not lead the partition.
    pub leader: Option<LeaderHint>,
}

/// One record that made a broker refuse its batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordError<'a> {
    /// The record's index in the batch. It comes from the broker, and may be out of range.
    pub index: u32,
    /// The reason, in the broker's words.
    pub message: Option<&'a str>,
}

/// Reads the body of the answer to a Produce request of `version`.
///
/// # Errors
/// - [`ErrorKind::Unsupported`] for a version outside 3 to 13
/// - [`ErrorKind::Decode`] if the bytes are not such an answer
pub fn decode_response(body: &[u8], version: i16) -> Result<ProduceResponse<'_>> {
    if !ApiKey::Produce.known().contains(version) {
        return Err(unknown_version(ApiKey::Produce, version));
    }
    let flexible = ApiKey::Produce.is_flexible(version);
    let mut reader = Reader::new(body);
    let mut answer = ProduceResponse::default();
    for _ in 0..reader.array_len(flexible, 3)?.unwrap_or(0) {
        let topic = hints::read_topic(&mut reader, version >= TOPIC_IDS_FROM, flexible)?;
        let count = reader.array_len(flexible, 22)?.unwrap_or(0);
        answer.partitions.reserve(count);
        for _ in 0..count {
            answer
                .partitions
                .push(read_partition(&mut reader, topic, version)?);
        }
        if flexible {
            reader.skip_tagged()?;
        }
    }
    answer.throttle = read_throttle(&mut reader)?;
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

/// Reads a throttle time. A negative one is zero.
pub(crate) fn read_throttle(reader: &mut Reader<'_>) -> Result<Duration> {
    let millis = reader.i32()?;
    Ok(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

/// Reads one partition's entry.
fn read_partition<'a>(
    reader: &mut Reader<'a>,
    topic: TopicRef<'a>,
    version: i16,
) -> Result<ProducedPartition<'a>> {
    let flexible = ApiKey::Produce.is_flexible(version);
    let partition = reader.i32()?;
    let partition =
        Partition::from_wire(partition).ok_or_else(|| reader.bad("a partition is negative"))?;
    let mut entry = ProducedPartition {
        topic,
        partition,
        error: ErrorCode::from_wire(reader.i16()?),
        base_offset: Offset::from_wire(reader.i64()?),
        append_time: Timestamp::from_wire(reader.i64()?),
        log_start_offset: None,
        record_errors: Vec::new(),
        message: None,
        leader: None,
    };
    if version >= 5 {
        entry.log_start_offset = Offset::from_wire(reader.i64()?);
    }
    if version >= 8 {
        entry.record_errors = read_record_errors(reader, flexible)?;
        entry.message = reader.nullable_str(flexible)?;
    }
    if flexible {
        reader.tagged(|tag, field| {
            if tag == 0 {
                entry.leader = hints::read_leader(field)?;
            }
            Ok(())
        })?;
    }
    Ok(entry)
}

/// Reads the records that made the broker refuse the batch.
fn read_record_errors<'a>(reader: &mut Reader<'a>, flexible: bool) -> Result<Vec<RecordError<'a>>> {
    let count = reader.array_len(flexible, 5)?.unwrap_or(0);
    let mut errors = Vec::with_capacity(count);
    for _ in 0..count {
        // A negative index names no record. It must not blame record 0, so it is out of range of
        // every batch instead.
        let index = u32::try_from(reader.i32()?).unwrap_or(u32::MAX);
        errors.push(RecordError {
            index,
            message: reader.nullable_str(flexible)?,
        });
        if flexible {
            reader.skip_tagged()?;
        }
    }
    Ok(errors)
}
