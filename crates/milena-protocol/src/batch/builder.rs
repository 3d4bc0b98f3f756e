//! The open batch: records are appended in wire form into one buffer that is used again.

use bytes::Bytes;
use milena_core::{Error, ErrorKind, HeadersRef, Result, Timestamp};

use super::header::{Attributes, HEADER_LEN};
use super::sealed::SealedBatch;
use super::varint::{self, zigzag};
use crate::compression::{self, Codec, Compression};

/// Where a record went in the open batch, and how large it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AppendInfo {
    /// The record's index in the batch, which is also its offset relative to the batch's base.
    pub index: u32,
    /// The record's size on the wire, in bytes, before compression.
    pub size: usize,
}

/// Records in wire form, without the batch header, in one contiguous buffer.
///
/// Appending allocates only when the buffer has to grow. The header is written at drain by
/// [`SealedBatch::header`], since producer id, epoch and sequence are known only then.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    body: Vec<u8>,
    count: u32,
    last_delta: u32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// An empty batch whose body starts with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_buffer(Vec::with_capacity(capacity))
    }

    /// An empty batch that writes into `buffer`, whose contents are dropped and whose room is used.
    pub fn with_buffer(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self {
            body: buffer,
            ..Self::default()
        }
    }

    /// The most bytes that a record can take in a batch body, whatever its timestamp and place.
    pub fn upper_bound(key: Option<&[u8]>, value: Option<&[u8]>, headers: HeadersRef<'_>) -> usize {
        const FIXED: usize = 5 + 1 + varint::MAX_LEN + 5 + 5 + 5 + 5;
        let payload = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        let headers = match headers.as_wire() {
            Some((raw, _)) => raw.len(),
            None => headers
                .iter()
                .map(|header| 10 + header.key.len() + header.value.map_or(0, <[u8]>::len))
                .sum(),
        };
        FIXED + payload + headers
    }

    /// Appends a record.
    ///
    /// # Errors
    /// [`ErrorKind::RecordTooLarge`] when the record is over 2 GiB, which no broker takes; the
    /// batch is unchanged then.
    #[inline]
    pub fn append(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: HeadersRef<'_>,
    ) -> Result<AppendInfo> {
        let index = self.count;
        self.append_at(index, timestamp.to_millis(), key, value, headers)
    }

    /// Appends a record with an offset delta of its own, as compacted and converted batches need.
    #[inline]
    pub(crate) fn append_at(
        &mut self,
        delta: u32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: HeadersRef<'_>,
    ) -> Result<AppendInfo> {
        if self.count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        let time = zigzag(timestamp.wrapping_sub(self.base_timestamp));
        let place = zigzag(i64::from(delta));
        let (key_len, key) = nullable(key);
        let (value_len, value) = nullable(value);
        let headers_len = if headers.is_empty() {
            1
        } else {
            headers_size(headers)
        };
        let size = 1
            + varint::len(time)
            + varint::len(place)
            + varint::len(key_len)
            + key.len()
            + varint::len(value_len)
            + value.len()
            + headers_len;
        if size > i32::MAX as usize {
            return Err(too_large(size));
        }
        let size_len = zigzag(size as i64);
        let whole = varint::len(size_len) + size;

        // The length, attributes and deltas are laid out on the stack first, so that only copies
        // of known and of whole slices touch the vector. Invariant: 5 + 1 + 10 + 5 + 5 ≤ PREFIX.
        let mut prefix = [0u8; PREFIX];
        let mut at = varint::put(&mut prefix, size_len) + 1;
        at += put_at(&mut prefix, at, time);
        at += put_at(&mut prefix, at, place);
        at += put_at(&mut prefix, at, key_len);

        self.body.reserve(whole + PREFIX);
        push_prefix(&mut self.body, &prefix, at);
        if !key.is_empty() {
            self.body.extend_from_slice(key);
        }
        let mut prefix = [0u8; 8];
        let at = varint::put(&mut prefix, value_len);
        push_prefix(&mut self.body, &prefix, at);
        self.body.extend_from_slice(value);
        if headers.is_empty() {
            self.body.push(0);
        } else {
            put_headers(&mut self.body, headers);
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.last_delta = delta;
        self.count += 1;
        Ok(AppendInfo {
            index: self.count - 1,
            size: whole,
        })
    }

    /// The body's size, in bytes, before compression and without the header.
    pub fn body_len(&self) -> usize {
        self.body.len()
    }

    /// The size of the whole batch if it were sealed without compression, in bytes.
    pub fn wire_len(&self) -> usize {
        self.body.len() + HEADER_LEN
    }

    /// How many records have been appended.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether no record has been appended.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many bytes the buffer holds room for.
    pub fn capacity(&self) -> usize {
        self.body.capacity()
    }

    /// Closes the batch and compresses its body.
    ///
    /// Gives the builder's buffer back as well where the compressed body went into another. A body
    /// that compression does not make smaller is left as it is.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the codec was left out of the build; [`ErrorKind::Config`]
    /// when it refuses its level.
    pub fn seal(self, compression: Compression) -> Result<(SealedBatch, Option<Vec<u8>>)> {
        let uncompressed_len = self.body.len();
        let (body, codec, spare) = match compression.codec() {
            Codec::None => (self.body, Codec::None, None),
            codec => {
                let packed = compression::compress(compression, &self.body)?;
                if packed.len() < self.body.len() {
                    (packed, codec, Some(self.body))
                } else {
                    (self.body, Codec::None, None)
                }
            }
        };
        let batch = SealedBatch {
            body: Bytes::from(body),
            attributes: Attributes::of(codec),
            count: self.count,
            last_offset_delta: self.last_delta,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            uncompressed_len,
        };
        Ok((batch, spare))
    }
}

/// Room for a record's varints up to and including the key's length.
const PREFIX: usize = 32;

#[inline(always)]
fn nullable(bytes: Option<&[u8]>) -> (u64, &[u8]) {
    match bytes {
        Some(bytes) => (zigzag(bytes.len() as i64), bytes),
        None => (zigzag(-1), &[]),
    }
}

#[inline(always)]
fn put_at(prefix: &mut [u8; PREFIX], at: usize, raw: u64) -> usize {
    match prefix.get_mut(at..) {
        Some(rest) => varint::put(rest, raw),
        None => 0,
    }
}

/// Appends the first `len` bytes of `prefix`: by one copy of its whole fixed size, then a cut, which
/// is a few stores where a copy of a length unknown to the compiler is a call.
#[inline(always)]
fn push_prefix<const N: usize>(body: &mut Vec<u8>, prefix: &[u8; N], len: usize) {
    let end = body.len() + len;
    body.extend_from_slice(prefix);
    body.truncate(end);
}

fn headers_size(headers: HeadersRef<'_>) -> usize {
    let count = varint::len(zigzag(headers.len() as i64));
    if let Some((raw, _)) = headers.as_wire() {
        return count + raw.len();
    }
    headers.iter().fold(count, |sum, header| {
        let (key_len, key) = nullable(Some(header.key));
        let (value_len, value) = nullable(header.value);
        sum + varint::len(key_len) + key.len() + varint::len(value_len) + value.len()
    })
}

fn put_headers(body: &mut Vec<u8>, headers: HeadersRef<'_>) {
    put_varint(body, zigzag(headers.len() as i64));
    if let Some((raw, _)) = headers.as_wire() {
        body.extend_from_slice(raw);
        return;
    }
    for header in headers.iter() {
        let (key_len, key) = nullable(Some(header.key));
        let (value_len, value) = nullable(header.value);
        put_varint(body, key_len);
        body.extend_from_slice(key);
        put_varint(body, value_len);
        body.extend_from_slice(value);
    }
}

fn put_varint(body: &mut Vec<u8>, raw: u64) {
    let mut bytes = [0u8; varint::MAX_LEN];
    let len = varint::put(&mut bytes, raw);
    body.extend_from_slice(bytes.get(..len).unwrap_or_default());
}

#[cold]
fn too_large(size: usize) -> Error {
    Error::new(
        ErrorKind::RecordTooLarge,
        format!("a record of {size} bytes is over 2 GiB"),
    )
}
