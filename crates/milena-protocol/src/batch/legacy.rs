//! Message sets v0 and v1, which topics written before Kafka 0.11 still hold. They are read, and
//! never written.
//!
//! Each message is converted to the body of a record batch v2 when its records are asked for, so
//! all other files know only one format.

use bytes::Bytes;
use milena_core::{Error, ErrorKind, HeadersRef, Offset, Result, TimestampType};

use super::builder::BatchBuilder;
use super::header::{Attributes, BatchHeader, LENGTH_PREFIX, unknown_magic};
use super::records::Records;
use crate::compression::{self, Codec};
use crate::reader::Reader;

/// Returns the size of a message before its key, in bytes.
pub(super) const fn header_len(magic: u8) -> usize {
    if magic == 0 { 18 } else { 26 }
}

/// Reads the header of the message at the front of `bytes`, which may end before the message does.
pub(super) fn parse(bytes: &[u8]) -> Result<BatchHeader> {
    let mut reader = Reader::new(bytes);
    let raw_offset = reader.i64()?;
    let bad = |what: &str| {
        Error::new(
            ErrorKind::Decode,
            format!("a message at offset {raw_offset} has {what}"),
        )
    };
    let offset = Offset::from_wire(raw_offset)
        .filter(|_| raw_offset < i64::MAX)
        .ok_or_else(|| bad("an impossible offset"))?;
    let length = usize::try_from(reader.i32()?).map_err(|_| bad("a negative length"))?;
    let crc = u32::from_be_bytes(reader.array()?);
    let magic = reader.u8()?;
    let raw_attributes = reader.u8()?;
    let timestamp = match magic {
        0 => -1,
        1 => reader.i64()?,
        _ => return Err(unknown_magic(magic)),
    };
    let size = length + LENGTH_PREFIX;
    if size < header_len(magic) + 8 {
        return Err(bad("a length below its own header's"));
    }
    // v0 has no timestamp type. In both formats bits 0 to 3 are where v2 has them.
    let kept = if magic == 0 {
        raw_attributes & 0x07
    } else {
        raw_attributes & 0x0f
    };
    Ok(BatchHeader {
        base_offset: offset,
        size,
        leader_epoch: None,
        magic,
        crc,
        attributes: Attributes::from_wire(i16::from(kept)),
        last_offset_delta: 0,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        producer_id: None,
        producer_epoch: None,
        base_sequence: None,
        count: 1,
    })
}

/// Returns the CRC-32 of all bytes of a message from its magic byte on.
pub(super) fn crc(message: &[u8]) -> u32 {
    crc_fast::crc32_iso_hdlc(message.get(16..).unwrap_or_default())
}

/// Returns the records of a message. It is one record, or a set of them if it is compressed.
pub(super) fn records(header: &BatchHeader, bytes: &[u8], max_size: usize) -> Result<Records> {
    let (key, value) = payload(header, bytes)?;
    let codec = header.attributes.codec();
    let codec = codec.ok_or_else(|| {
        Error::new(
            ErrorKind::Unsupported,
            "a message has an unknown compression type",
        )
        .offset(header.base_offset)
    })?;
    if codec == Codec::None {
        let mut builder = BatchBuilder::with_capacity(bytes.len());
        builder.append_at(0, header.base_timestamp, key, value, HeadersRef::empty())?;
        return finish(*header, builder);
    }
    let Some(value) = value else {
        return Err(bad(header, "a compressed message set without a value"));
    };
    let set = compression::decompress_legacy(codec, value, max_size, header.magic)
        .map_err(|error| error.offset(header.base_offset))?;
    inner_records(header, &set)
}

/// Reads the set inside a compressed message.
///
/// In v1 inner offsets are relative, and the wrapper holds the absolute offset of the last one
/// (KIP-31). In v0 they are absolute.
fn inner_records(wrapper: &BatchHeader, set: &Bytes) -> Result<Records> {
    let last = wrapper.base_offset.to_wire();
    let mut inner = Vec::new();
    let mut rest = &set[..];
    while !rest.is_empty() {
        let header = parse(rest)?;
        let (message, behind) = rest
            .split_at_checked(header.size)
            .ok_or_else(|| bad(wrapper, "an inner message that is cut short"))?;
        if header.attributes.codec() != Some(Codec::None) {
            return Err(bad(wrapper, "a compressed message inside a compressed one"));
        }
        inner.push((header, message));
        rest = behind;
    }
    let Some((last_inner, _)) = inner.last() else {
        return Err(bad(wrapper, "a compressed message set with nothing in it"));
    };
    let shift = if wrapper.magic == 0 {
        0
    } else {
        last - last_inner.base_offset.to_wire()
    };
    let absolute = |header: &BatchHeader| header.base_offset.to_wire().saturating_add(shift);
    let base = inner.first().map_or(last, |(header, _)| absolute(header));
    let log_append = wrapper.attributes.timestamp_type() == TimestampType::LogAppend;

    let mut builder = BatchBuilder::with_capacity(set.len());
    let mut max_delta = 0;
    for (header, message) in &inner {
        let delta = u32::try_from(absolute(header).saturating_sub(base))
            .map_err(|_| bad(wrapper, "inner offsets out of order"))?;
        max_delta = delta.max(max_delta);
        let (key, value) = payload(header, message)?;
        builder.append_at(
            delta,
            header.base_timestamp,
            key,
            value,
            HeadersRef::empty(),
        )?;
    }
    let base_offset =
        Offset::from_wire(base).ok_or_else(|| bad(wrapper, "a negative inner offset"))?;
    if base.checked_add(i64::from(max_delta) + 1).is_none() {
        return Err(bad(wrapper, "offsets past the largest"));
    }
    let header = BatchHeader {
        base_offset,
        last_offset_delta: max_delta,
        ..*wrapper
    };
    let mut records = finish(header, builder)?;
    if log_append {
        records = records.with_append_time(wrapper.max_timestamp);
    }
    Ok(records)
}

/// The key and value of a message, each of which may be null.
type KeyValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Reads the key and value of a message.
fn payload<'a>(header: &BatchHeader, message: &'a [u8]) -> Result<KeyValue<'a>> {
    let mut reader = Reader::new(message);
    reader.skip(header_len(header.magic))?;
    let mut field = || match reader.bytes_len(false)? {
        Some(len) => reader.take(len).map(Some),
        None => Ok(None),
    };
    Ok((field()?, field()?))
}

/// Returns the converted records under the header of the message that they come from.
fn finish(header: BatchHeader, builder: BatchBuilder) -> Result<Records> {
    let (batch, _) = builder.seal(compression::Compression::None)?;
    let records = batch.records()?;
    let converted = BatchHeader {
        base_timestamp: records.header().base_timestamp,
        max_timestamp: records.header().max_timestamp,
        count: records.count(),
        attributes: header.attributes.uncompressed(),
        ..header
    };
    Ok(Records::new(converted, records.body().clone()))
}

/// Returns a decode error at the offset of a message.
fn bad(header: &BatchHeader, what: &'static str) -> Error {
    Error::new(ErrorKind::Decode, what).offset(header.base_offset)
}
