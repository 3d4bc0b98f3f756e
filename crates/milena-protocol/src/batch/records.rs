//! The records of one batch, decoded one by one as slices of its body. Nothing is allocated per
//! record.

use bytes::Bytes;
use milena_core::{
    Error, ErrorKind, Headers, HeadersRef, Offset, RecordRef, Result, Timestamp, TimestampType,
};

use super::header::BatchHeader;
use super::varint::{self, Length};

/// The decompressed body of a batch.
#[derive(Clone, Debug)]
pub struct Records {
    /// The header of the batch.
    header: BatchHeader,
    /// The decompressed body.
    body: Bytes,
}

impl Records {
    pub(crate) fn new(header: BatchHeader, body: Bytes) -> Self {
        Self { header, body }
    }

    /// Returns the same records, all with the time at which the broker appended them.
    pub(crate) fn with_append_time(mut self, millis: i64) -> Self {
        self.header.attributes = self.header.attributes.log_append(true);
        self.header.max_timestamp = millis;
        self
    }

    /// Returns the batch's header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Returns the decompressed body that all records are slices of.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the number of records that the batch's header claims.
    pub fn count(&self) -> u32 {
        self.header.count
    }

    /// Returns the same records with a reference count of their own. Owned records then share that
    /// count, and not the one of the memory that they lie in. `holder` is kept as long as one of
    /// them is.
    ///
    /// This costs one allocation. It is for batches of one fetch that are read on several threads.
    #[must_use]
    pub fn held_by<H: Send + 'static>(&self, holder: H) -> Self {
        Self {
            header: self.header,
            body: Bytes::from_owner(HeldBody {
                body: self.body.clone(),
                _holder: holder,
            }),
        }
    }

    /// Decodes the records, front to back, as views.
    ///
    /// An error ends the iteration. The records before it are good.
    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter {
            header: self.header,
            rest: &self.body,
            left: self.header.count,
            lowest: 0,
            failed: false,
        }
    }

    /// Decodes the records, front to back, as owned slices of the shared body.
    ///
    /// This costs two reference counts per record, and nothing is copied.
    pub fn owned(&self) -> OwnedRecords {
        OwnedRecords {
            records: self.clone(),
            at: 0,
            left: self.header.count,
            lowest: 0,
            failed: false,
        }
    }
}

/// A body, and a value that is kept with it.
struct HeldBody<H> {
    /// The decompressed body.
    body: Bytes,
    /// The value, dropped with the last slice of the body.
    _holder: H,
}

impl<H> AsRef<[u8]> for HeldBody<H> {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = Result<RecordRef<'a>>;
    type IntoIter = RecordIter<'a>;

    fn into_iter(self) -> RecordIter<'a> {
        self.iter()
    }
}

/// Decodes records lazily. Made by [`Records::iter`].
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    /// The header of the batch.
    header: BatchHeader,
    /// The bytes that are not decoded yet.
    rest: &'a [u8],
    /// The number of records that are left.
    left: u32,
    /// The lowest offset that the next record may have, counted from the batch's first.
    lowest: usize,
    /// True after an error.
    failed: bool,
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<RecordRef<'a>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return self.end();
        }
        self.left -= 1;
        match read_record(&self.header, &mut self.lowest, &mut self.rest) {
            Some(record) => Some(Ok(record)),
            None => {
                self.left = 0;
                self.failed = true;
                Some(Err(corrupt(&self.header, BAD_RECORD)))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left as usize + 1))
    }
}

impl RecordIter<'_> {
    /// Ends the iteration. Bytes behind the last record are an error, since the count or a length
    /// must be wrong.
    #[inline]
    fn end<T>(&mut self) -> Option<Result<T>> {
        if self.rest.is_empty() || self.failed {
            return None;
        }
        self.failed = true;
        Some(Err(corrupt(
            &self.header,
            "more bytes than its records take",
        )))
    }
}

/// A record whose key, value and headers are owned slices of its batch's body.
#[derive(Clone, Debug)]
pub struct OwnedRecord {
    /// The offset.
    pub offset: Offset,
    /// The timestamp. `None` in message sets of a format without timestamps.
    pub timestamp: Option<Timestamp>,
    /// The side that set the timestamp.
    pub timestamp_type: TimestampType,
    /// The key. `None` is null.
    pub key: Option<Bytes>,
    /// The value. `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers, decoded when they are read.
    pub headers: Headers,
}

/// Decodes owned records lazily. Made by [`Records::owned`].
#[derive(Clone, Debug)]
pub struct OwnedRecords {
    /// The records.
    records: Records,
    /// The index in the body of the next record.
    at: usize,
    /// The number of records that are left.
    left: u32,
    /// The lowest offset that the next record may have, counted from the batch's first.
    lowest: usize,
    /// True after an error.
    failed: bool,
}

impl OwnedRecords {
    /// Returns the next record as a view, with the body that it lies in.
    ///
    /// This is for callers that build a record type of their own. A record is large in memory, and
    /// should be written only once.
    #[inline(always)]
    pub fn next_view(&mut self) -> Option<Result<(RecordRef<'_>, &Bytes)>> {
        let Records { header, body } = &self.records;
        let mut rest = body.get(self.at..).unwrap_or_default();
        if self.left == 0 {
            if rest.is_empty() || self.failed {
                return None;
            }
            self.failed = true;
            return Some(Err(corrupt(header, "more bytes than its records take")));
        }
        self.left -= 1;
        let Some(record) = read_record(header, &mut self.lowest, &mut rest) else {
            self.left = 0;
            self.failed = true;
            return Some(Err(corrupt(header, BAD_RECORD)));
        };
        self.at = body.len() - rest.len();
        Some(Ok((record, body)))
    }

    /// Skips the records below `from`.
    pub fn skip_to(&mut self, from: Offset) {
        loop {
            let (at, left) = (self.at, self.left);
            let (lowest, failed) = (self.lowest, self.failed);
            match self.next_view() {
                Some(Ok((record, _))) if record.offset < from => {}
                _ => {
                    (self.at, self.left) = (at, left);
                    (self.lowest, self.failed) = (lowest, failed);
                    return;
                }
            }
        }
    }
}

/// Returns the headers as an owned slice of `body`, in which they lie.
#[inline]
pub fn owned_headers(headers: HeadersRef<'_>, body: &Bytes) -> Headers {
    match headers.as_wire() {
        Some((raw, count)) if count > 0 => Headers::from_wire(body.slice_ref(raw), count),
        _ => Headers::new(),
    }
}

impl Iterator for OwnedRecords {
    type Item = Result<OwnedRecord>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (record, body) = match self.next_view()? {
            Ok(view) => view,
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(OwnedRecord {
            offset: record.offset,
            timestamp: record.timestamp,
            timestamp_type: record.timestamp_type,
            key: record.key.map(|key| body.slice_ref(key)),
            value: record.value.map(|value| body.slice_ref(value)),
            headers: owned_headers(record.headers, body),
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left as usize + 1))
    }
}

/// Reads the record at the front of `rest`. `None` if it is malformed, or below the `lowest` offset
/// that it may have.
#[inline(always)]
fn read_record<'a>(
    header: &BatchHeader,
    lowest: &mut usize,
    rest: &mut &'a [u8],
) -> Option<RecordRef<'a>> {
    let Length::Of(len) = varint::take_length(rest)? else {
        return None;
    };
    let (mut record, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    let (_attributes, after) = record.split_first()?;
    record = after;
    let timestamp = header.timestamp(varint::take_signed(&mut record)?)?;
    let Length::Of(delta) = varint::take_length(&mut record)? else {
        return None;
    };
    // Offsets rise within a batch. Code that tracks which records are done relies on it.
    if delta < *lowest || delta > header.last_offset_delta as usize {
        return None;
    }
    *lowest = delta + 1;
    let key = take_nullable(&mut record)?;
    let value = take_nullable(&mut record)?;
    let headers = match record {
        [0] => HeadersRef::empty(),
        _ => read_headers(record)?,
    };
    Some(RecordRef {
        offset: header.base_offset.plus(delta as u32),
        timestamp,
        timestamp_type: header.attributes.timestamp_type(),
        key,
        value,
        headers,
    })
}

/// Reads a length and the bytes behind it. The inner `None` is null, and the outer one means that
/// the bytes are malformed.
#[inline(always)]
fn take_nullable<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match varint::take_length(bytes)? {
        Length::Null => Some(None),
        Length::Of(len) => {
            let (taken, rest) = bytes.split_at_checked(len)?;
            *bytes = rest;
            Some(Some(taken))
        }
    }
}

/// Reads the header count and checks that the headers take exactly the remaining bytes.
fn read_headers(mut bytes: &[u8]) -> Option<HeadersRef<'_>> {
    let Length::Of(count) = varint::take_length(&mut bytes)? else {
        return None;
    };
    let raw = bytes;
    // A header takes two bytes or more, so a count that is too large ends the loop early.
    for _ in 0..count {
        take_nullable(&mut bytes)??;
        take_nullable(&mut bytes)?;
    }
    bytes.is_empty().then(|| HeadersRef::wire(raw, count))
}

const BAD_RECORD: &str = "a record that does not decode or is out of order";

/// Returns a decode error at the offset of a batch.
#[cold]
fn corrupt(header: &BatchHeader, what: &str) -> Error {
    Error::new(ErrorKind::Decode, format!("a record batch has {what}")).offset(header.base_offset)
}
