//! The answer to a Fetch request. It has one entry per partition, whose records are slices of the
//! answer.

use std::time::Duration;

use bytes::Bytes;
use milena_core::{ErrorCode, LeaderEpoch, NodeId, Offset, Partition, ProducerId, Result};

use super::{Intact, TOPIC_IDS_FROM};
use crate::api::ApiKey;
use crate::hints::{self, LeaderHint, NodeEndpoint, TopicRef};
use crate::produce::read_throttle;
use crate::reader::Reader;
use crate::request::unknown_version;

/// The answer to a Fetch request.
#[derive(Clone, Debug, Default)]
pub struct FetchResponse<'a> {
    /// The time for which the broker asks this connection to be silent (KIP-219).
    pub throttle: Duration,
    /// An error of the whole request, for example of its session.
    pub error: Option<ErrorCode>,
    /// The session's id. 0 if the broker opened none.
    pub session_id: i32,
    /// One entry per partition that the broker has an answer for, in wire order.
    pub partitions: Vec<FetchedPartition<'a>>,
    /// The addresses of the leaders that entries hint at.
    pub endpoints: Vec<NodeEndpoint>,
}

/// The answer for one partition.
#[derive(Clone, Debug)]
pub struct FetchedPartition<'a> {
    /// The topic.
    pub topic: TopicRef<'a>,
    /// The partition.
    pub partition: Partition,
    /// The error. `None` if there is none.
    pub error: Option<ErrorCode>,
    /// The offset behind the last record that all in-sync replicas have.
    pub high_watermark: Option<Offset>,
    /// The offset up to which all transactions are decided.
    pub last_stable_offset: Option<Offset>,
    /// The first offset of the log. `None` before version 5.
    pub log_start_offset: Option<Offset>,
    /// The transactions aborted within the records. Brokers do not promise an order.
    pub aborted: Vec<AbortedTransaction>,
    /// The replica to read from instead (KIP-392).
    pub preferred_read_replica: Option<NodeId>,
    /// The last epoch that the log shares with the records that the client has read, if they differ
    /// (KIP-595).
    pub diverging: Option<DivergingEpoch>,
    /// The leader, if the answering broker does not lead the partition.
    pub leader: Option<LeaderHint>,
    /// The records, a slice of the whole answer. Read them with [`Batches`](crate::batch::Batches).
    pub records: Bytes,
    /// The number of bytes at the front of the records whose batches have a checksum that was found
    /// right on arrival. 0 if it was not checked.
    pub intact: usize,
}

/// A transaction whose records are not delivered.
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

/// Reads the body of the answer to a Fetch request of `version`. Records stay slices of `body`.
///
/// # Errors
/// - [`ErrorKind::Unsupported`](milena_core::ErrorKind::Unsupported) for a version outside 4 to 17
/// - [`ErrorKind::Decode`](milena_core::ErrorKind::Decode) if the bytes are not such an answer
pub fn decode_response(body: &Bytes, version: i16) -> Result<FetchResponse<'_>> {
    decode_checked(body, version, &Intact::default())
}

/// Reads an answer as [`decode_response`] does. `intact` is what a
/// [`FetchCheck`](super::FetchCheck) found right in the body.
///
/// # Errors
/// Those of [`decode_response`].
pub fn decode_checked<'a>(
    body: &'a Bytes,
    version: i16,
    intact: &Intact,
) -> Result<FetchResponse<'a>> {
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
                .push(read_partition(&mut reader, body, topic, version, intact)?);
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

/// Reads one partition's entry.
fn read_partition<'a>(
    reader: &mut Reader<'a>,
    body: &Bytes,
    topic: TopicRef<'a>,
    version: i16,
    intact: &Intact,
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
        intact: 0,
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
        entry.intact = intact.of(start);
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

/// Reads the aborted transactions. Entries with invalid ids or offsets are left out.
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

/// Reads the last shared epoch that a tagged field holds.
fn read_diverging(field: &mut Reader<'_>) -> Result<Option<DivergingEpoch>> {
    let (epoch, end) = (field.i32()?, field.i64()?);
    field.skip_tagged()?;
    Ok(LeaderEpoch::from_wire(epoch)
        .zip(Offset::from_wire(end))
        .map(|(epoch, end_offset)| DivergingEpoch { epoch, end_offset }))
}
