//! A closed batch. Its body does not change, and its header is written when it is sent.

use bytes::Bytes;
use milena_core::{HeadersRef, Offset, Result, Timestamp};

use super::builder::BatchBuilder;
use super::header::{Attributes, BatchHeader, HEADER_LEN, HeaderFields, ProducerStamp};
use super::records::Records;
use crate::compression::{self, Compression};

/// A batch that takes no more records. A retry sends the same bytes again.
#[derive(Clone, Debug)]
pub struct SealedBatch {
    /// The records, compressed as `attributes` say.
    pub(super) body: Bytes,
    /// The attributes, without the transactional bit.
    pub(super) attributes: Attributes,
    /// The number of records.
    pub(super) count: u32,
    /// The offset delta of the last record.
    pub(super) last_offset_delta: u32,
    /// The timestamp that record timestamps are relative to, in milliseconds.
    pub(super) base_timestamp: i64,
    /// The largest timestamp, in milliseconds.
    pub(super) max_timestamp: i64,
    /// The size of the body before compression, in bytes.
    pub(super) uncompressed_len: usize,
}

impl SealedBatch {
    /// Writes the header for this body, with the CRC-32C over both.
    ///
    /// Without a `stamp` the batch is not idempotent. The same stamp always gives the same bytes.
    pub fn header(&self, stamp: Option<ProducerStamp>) -> [u8; HEADER_LEN] {
        let transactional = stamp.is_some_and(|stamp| stamp.transactional);
        HeaderFields {
            base_offset: 0,
            body_len: self.body.len(),
            leader_epoch: -1,
            attributes: self.attributes.transactional(transactional),
            last_offset_delta: self.last_offset_delta,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer: stamp.map(|stamp| (stamp.id, stamp.epoch, Some(stamp.sequence))),
            count: self.count,
        }
        .write(&self.body)
    }

    /// Returns header and body as one piece. It copies, so it is for tests and small batches.
    pub fn to_bytes(&self, stamp: Option<ProducerStamp>) -> Bytes {
        let mut whole = Vec::with_capacity(self.wire_len());
        whole.extend_from_slice(&self.header(stamp));
        whole.extend_from_slice(&self.body);
        Bytes::from(whole)
    }

    /// Returns the records, compressed as the attributes say. They are shared, not copied.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the size on the wire, header included, in bytes.
    pub fn wire_len(&self) -> usize {
        self.body.len() + HEADER_LEN
    }

    /// Returns the number of records in the batch.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Returns the body's size before compression, in bytes.
    pub fn uncompressed_len(&self) -> usize {
        self.uncompressed_len
    }

    /// Returns the attributes, without the transactional bit, which comes from the stamp.
    pub fn attributes(&self) -> Attributes {
        self.attributes
    }

    /// Returns the largest timestamp, in milliseconds since the Unix epoch.
    pub fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// Returns the body's buffer for another batch, if nothing else holds it.
    pub fn reclaim(self) -> Option<Vec<u8>> {
        self.body.is_unique().then(|| Vec::from(self.body))
    }

    /// Splits the batch into one of the first `at` records and one of the rest, for a broker that
    /// found it too large. `None` if either part would be empty.
    ///
    /// # Errors
    /// Those of [`BatchBuilder::seal`]. [`ErrorKind::Decode`](milena_core::ErrorKind::Decode) never
    /// occurs for a batch that a builder made.
    pub fn split(&self, at: u32, compression: Compression) -> Result<Option<(Self, Self)>> {
        if at == 0 || at >= self.count {
            return Ok(None);
        }
        let records = self.records()?;
        let front = self.rebuild(&records, |index| index < at)?;
        let back = self.rebuild(&records, |index| index >= at)?;
        Ok(Some((
            front.seal(compression)?.0,
            back.seal(compression)?.0,
        )))
    }

    /// Returns a batch of the records for whose index `keep` returns true, in their order. `None`
    /// if none is left.
    ///
    /// # Errors
    /// Those of [`split`](Self::split).
    pub fn retain(
        &self,
        keep: impl FnMut(u32) -> bool,
        compression: Compression,
    ) -> Result<Option<Self>> {
        let kept = self.rebuild(&self.records()?, keep)?;
        if kept.is_empty() {
            return Ok(None);
        }
        Ok(Some(kept.seal(compression)?.0))
    }

    /// Appends the records for whose index `keep` returns true to a new batch.
    fn rebuild(
        &self,
        records: &Records,
        mut keep: impl FnMut(u32) -> bool,
    ) -> Result<BatchBuilder> {
        let mut part = BatchBuilder::with_capacity(self.uncompressed_len);
        for (record, index) in records.iter().zip(0..) {
            let record = record?;
            if keep(index) {
                let delta = part.count();
                let timestamp = record.timestamp.map_or(-1, Timestamp::to_millis);
                let headers: HeadersRef<'_> = record.headers;
                part.append_at(delta, timestamp, record.key, record.value, headers)?;
            }
        }
        Ok(part)
    }

    /// Returns the records of the batch, decompressed if needed. Offsets count from 0.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`](milena_core::ErrorKind::Decode), which never occurs for a batch that a
    /// builder made.
    pub fn records(&self) -> Result<Records> {
        let header = BatchHeader {
            base_offset: Offset::ZERO,
            size: self.wire_len(),
            leader_epoch: None,
            magic: 2,
            crc: 0,
            attributes: self.attributes,
            last_offset_delta: self.last_offset_delta,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: None,
            producer_epoch: None,
            base_sequence: None,
            count: self.count,
        };
        let codec = self.attributes.codec().unwrap_or_default();
        let body = compression::decompress(codec, &self.body, self.uncompressed_len)?;
        Ok(Records::new(header, body))
    }
}
