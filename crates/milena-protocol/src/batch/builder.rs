//! The open batch. Records are appended in wire form to one buffer, which can be reused.

use bytes::Bytes;
use milena_core::{Error, ErrorKind, HeadersRef, Result, Timestamp};

use super::header::{Attributes, HEADER_LEN};
use super::packed::Packed;
use super::sealed::SealedBatch;
use super::varint::{self, zigzag};
use crate::compression::{self, Codec, Compression};

/// The place and the size of a record in the open batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AppendInfo {
    /// The record's index in the batch, which is also its offset relative to the batch's base.
    pub index: u32,
    /// The record's size on the wire, in bytes, before compression.
    pub size: usize,
}

/// Records in wire form, without the batch header, in one contiguous buffer.
///
/// Appending allocates only if the buffer has to grow. [`SealedBatch::header`] writes the header
/// when the batch is sent, since producer id, epoch and sequence are known only then.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    /// Invariant: the first `used` bytes are records. The bytes behind them are left from an
    /// earlier batch, and are overwritten but never read. They are kept so that a reused buffer
    /// need not be cleared, since safe code can only write to bytes that exist.
    body: Vec<u8>,
    /// The bytes of the records in `body`.
    used: usize,
    /// The number of records.
    count: u32,
    /// The offset delta of the last record.
    last_delta: u32,
    /// The timestamp of the first record, in milliseconds.
    base_timestamp: i64,
    /// The largest timestamp, in milliseconds.
    max_timestamp: i64,
}

impl BatchBuilder {
    /// Returns an empty batch whose body starts with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_buffer(Vec::with_capacity(capacity))
    }

    /// Returns an empty batch that writes into `buffer`. Its content is overwritten and its
    /// capacity is used.
    pub fn with_buffer(buffer: Vec<u8>) -> Self {
        Self {
            body: buffer,
            ..Self::default()
        }
    }

    /// Moves the records into `buffer`, usually a larger one. Returns the former buffer, with
    /// meaningless content.
    pub fn move_into(&mut self, mut buffer: Vec<u8>) -> Vec<u8> {
        let written = self.body.get(..self.used).unwrap_or_default();
        match buffer.get_mut(..self.used) {
            Some(room) => room.copy_from_slice(written),
            None => {
                buffer.clear();
                buffer.extend_from_slice(written);
            }
        }
        std::mem::replace(&mut self.body, buffer)
    }

    /// Returns the most bytes that a record can take in a batch body, whatever its timestamp and
    /// place.
    #[inline]
    pub fn upper_bound(key: Option<&[u8]>, value: Option<&[u8]>, headers: HeadersRef<'_>) -> usize {
        const FIXED: usize = 5 + 1 + varint::MAX_LEN + 5 + 5 + 5 + 5;
        let payload = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        if headers.is_empty() {
            return FIXED + payload;
        }
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
    /// [`ErrorKind::RecordTooLarge`] if the record is over 2 GiB, which no broker accepts. The
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

    /// Appends a record with its own offset delta, as compacted and converted batches need.
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
        let size = match self.append_short(time, place, key, value, headers) {
            Some(size) => size,
            None => self.append_long(time, place, key, value, headers)?,
        };
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.last_delta = delta;
        self.count += 1;
        Ok(AppendInfo {
            index: self.count - 1,
            size,
        })
    }

    /// Appends a record without headers whose varints are all below 2^19, as nearly all are. `None`
    /// if it is not such a record.
    ///
    /// All bytes before the key are packed into one register and stored at once. Without a key,
    /// this includes the bytes before the value.
    #[inline(always)]
    fn append_short(
        &mut self,
        time: u64,
        place: u64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: HeadersRef<'_>,
    ) -> Option<usize> {
        let (key_len, key) = nullable(key);
        let (value_len, value) = nullable(value);
        if (time | place | key_len | value_len) >= Packed::LIMIT / 4 || !headers.is_empty() {
            return None;
        }
        let mut behind_size = Packed::default()
            .with(0)
            .with(time)
            .with(place)
            .with(key_len);
        let mut behind_key = Packed::default().with(value_len);
        if key.is_empty() {
            behind_size = behind_size.followed_by(behind_key);
            behind_key = Packed::default();
        }
        // The one more byte says that there are no headers. Both payloads are below 2^18 bytes, so
        // the size's varint is below the limit too.
        let size = behind_size.len + key.len() + behind_key.len + value.len() + 1;
        let front = Packed::default()
            .with(zigzag(size as i64))
            .followed_by(behind_size);

        let len = front.len + size - behind_size.len;
        let out = self.room(len)?;
        let out = front.store(out)?;
        let out = if key.is_empty() {
            out
        } else {
            let (place, out) = out.split_at_mut_checked(key.len())?;
            place.copy_from_slice(key);
            behind_key.store(out)?
        };
        let (place, out) = out.split_at_mut_checked(value.len())?;
        place.copy_from_slice(value);
        *out.first_mut()? = 0;
        self.used += len;
        Some(len)
    }

    /// Returns the bytes to write a record of `len` bytes to, with some to spare for stores of a
    /// whole register.
    #[inline(always)]
    fn room(&mut self, len: usize) -> Option<&mut [u8]> {
        let end = self.used + len + 2 * Packed::STORE;
        if end > self.body.len() {
            self.grow(end);
        }
        self.body.get_mut(self.used..)
    }

    /// Makes at least `end` bytes writable. It does so in steps, so that the pages of a large
    /// buffer are touched only as it fills.
    #[cold]
    fn grow(&mut self, end: usize) {
        let step = (end + STEP).min(self.body.capacity());
        self.body.resize(step.max(end), 0);
    }

    /// Appends any record.
    #[inline(never)]
    fn append_long(
        &mut self,
        time: u64,
        place: u64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: HeadersRef<'_>,
    ) -> Result<usize> {
        let (key_len, key) = nullable(key);
        let (value_len, value) = nullable(value);
        let size = 1
            + varint::len(time)
            + varint::len(place)
            + varint::len(key_len)
            + key.len()
            + varint::len(value_len)
            + value.len()
            + headers_size(headers);
        if size > i32::MAX as usize {
            return Err(too_large(size));
        }
        let size_len = zigzag(size as i64);
        let whole = varint::len(size_len) + size;
        self.body.truncate(self.used);
        self.body.reserve(whole);
        put_varint(&mut self.body, size_len);
        self.body.push(0);
        put_varint(&mut self.body, time);
        put_varint(&mut self.body, place);
        put_varint(&mut self.body, key_len);
        self.body.extend_from_slice(key);
        put_varint(&mut self.body, value_len);
        self.body.extend_from_slice(value);
        put_headers(&mut self.body, headers);
        self.used = self.body.len();
        Ok(whole)
    }

    /// Returns the body's size, in bytes, before compression and without the header.
    pub fn body_len(&self) -> usize {
        self.used
    }

    /// Returns the size of the whole batch if it were sealed without compression, in bytes.
    pub fn wire_len(&self) -> usize {
        self.used + HEADER_LEN
    }

    /// Returns the number of records that have been appended.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Returns true if no record has been appended.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the capacity of the buffer, in bytes.
    pub fn capacity(&self) -> usize {
        self.body.capacity()
    }

    /// Closes the batch and compresses its body.
    ///
    /// Also returns the builder's buffer if the compressed body went into another one. A body that
    /// compression does not make smaller stays as it is.
    ///
    /// # Errors
    /// - [`ErrorKind::Unsupported`] if the codec was left out of the build
    /// - [`ErrorKind::Config`] if the codec refuses its level
    pub fn seal(self, compression: Compression) -> Result<(SealedBatch, Option<Vec<u8>>)> {
        self.seal_into(compression, Vec::with_capacity)
    }

    /// Seals as [`seal`](Self::seal) does, with a compressed body in the buffer that `take` returns
    /// for its size in bytes. The content of that buffer is overwritten.
    ///
    /// # Errors
    /// Those of [`seal`](Self::seal).
    pub fn seal_into(
        mut self,
        compression: Compression,
        take: impl FnOnce(usize) -> Vec<u8>,
    ) -> Result<(SealedBatch, Option<Vec<u8>>)> {
        let uncompressed_len = self.used;
        self.body.truncate(self.used);
        let (body, codec, spare) = match compression.codec() {
            Codec::None => (self.body, Codec::None, None),
            codec => {
                let kept = |packed: &[u8]| {
                    (packed.len() < self.body.len()).then(|| {
                        let mut body = take(packed.len());
                        body.clear();
                        body.extend_from_slice(packed);
                        body
                    })
                };
                match compression::compress_to(compression, &self.body, kept)? {
                    Some(packed) => (packed, codec, Some(self.body)),
                    None => (self.body, Codec::None, None),
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

/// The bytes of a fresh buffer that are cleared at once.
const STEP: usize = 16 << 10;

/// Returns the length of a field, as a zigzag number with `-1` for null, and its bytes.
#[inline(always)]
fn nullable(bytes: Option<&[u8]>) -> (u64, &[u8]) {
    match bytes {
        Some(bytes) => (zigzag(bytes.len() as i64), bytes),
        None => (zigzag(-1), &[]),
    }
}

/// Returns the bytes that headers take, with their count.
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

/// Appends headers with their count.
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

/// Appends a varint.
fn put_varint(body: &mut Vec<u8>, raw: u64) {
    let mut bytes = [0u8; varint::MAX_LEN];
    let len = varint::put(&mut bytes, raw);
    body.extend_from_slice(bytes.get(..len).unwrap_or_default());
}

/// Returns the error for a record that is too large.
#[cold]
fn too_large(size: usize) -> Error {
    Error::new(
        ErrorKind::RecordTooLarge,
        format!("a record of {size} bytes is over 2 GiB"),
    )
}
