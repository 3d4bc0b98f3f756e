//! A record before it is placed, and the check that it can be placed at all.

use milena_core::{Error, ErrorKind, HeadersRef, ProducerRecord, Timestamp, TopicName};
use milena_protocol::batch::{BatchBuilder, HEADER_LEN};

use crate::enqueue::key_value::KeyValue;
use crate::enqueue::refusal::unwritten;
use crate::settings::Settings;

/// A record to be encoded, borrowed from the caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordDraft<'a> {
    /// The key. `None` is null.
    pub(crate) key: Option<&'a [u8]>,
    /// The value. `None` is null, a tombstone.
    pub(crate) value: Option<&'a [u8]>,
    /// The headers, in their order.
    pub(crate) headers: HeadersRef<'a>,
    /// The record's timestamp. `None` takes the time at which it is placed.
    pub(crate) timestamp: Option<Timestamp>,
    /// The most bytes that it takes in a batch.
    pub(crate) size: usize,
}

impl<'a> RecordDraft<'a> {
    /// Borrows a key and a value, without headers and without a timestamp.
    #[inline]
    pub(crate) fn of(record: &'a impl KeyValue) -> Self {
        Self::new(record.key(), record.value(), HeadersRef::empty(), None)
    }

    /// Borrows the parts of a record that are encoded.
    #[inline]
    pub(crate) fn of_record(record: &'a ProducerRecord) -> Self {
        let content = &record.record;
        Self::new(
            content.key.as_deref(),
            content.value.as_deref(),
            content.headers.view(),
            content.timestamp,
        )
    }

    /// Borrows the parts of a record, and computes its size.
    #[inline]
    pub(crate) fn new(
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
        headers: HeadersRef<'a>,
        timestamp: Option<Timestamp>,
    ) -> Self {
        Self {
            key,
            value,
            headers,
            timestamp,
            size: BatchBuilder::upper_bound(key, value, headers),
        }
    }
}

/// The sizes over which a record is refused at the call, because no request or buffer can take it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordLimits {
    /// The most bytes of a request.
    request: usize,
    /// The most bytes of records without an outcome.
    memory: usize,
}

impl RecordLimits {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            request: settings.max_request_size,
            memory: settings.buffer_memory,
        }
    }

    /// Returns true if a record can be taken at all.
    #[inline]
    pub(crate) fn fits(&self, draft: &RecordDraft<'_>) -> bool {
        let size = draft.size + HEADER_LEN;
        size <= self.request
            && size + SLACK <= self.memory
            && (draft.headers.is_empty() || unreadable_key(draft.headers).is_none())
    }

    /// Returns the reason why a record does not [`fit`](Self::fits).
    #[cold]
    pub(crate) fn refusal(&self, draft: &RecordDraft<'_>, topic: &TopicName) -> Error {
        let error = match unreadable_key(draft.headers) {
            Some(key) => {
                let what = format!("the header key \"{}\" is not UTF-8", key.escape_ascii());
                Error::new(ErrorKind::Config, what)
            }
            None => self.too_large(draft.size + HEADER_LEN),
        };
        unwritten(error.topic(topic.clone()))
    }

    /// Returns the error of a record that is larger than a request or the buffer.
    fn too_large(&self, size: usize) -> Error {
        let (key, limit) = if size > self.request {
            ("max.request.size", self.request)
        } else {
            ("buffer.memory", self.memory)
        };
        let what = format!("a record of up to {size} bytes is over {key} = {limit} bytes");
        Error::new(ErrorKind::RecordTooLarge, what).setting(key)
    }
}

/// Returns a header key that is not UTF-8, which readers could not take as text. The headers of a
/// consumed record are not checked, and stay as they came.
fn unreadable_key(headers: HeadersRef<'_>) -> Option<&[u8]> {
    if headers.as_wire().is_some() {
        return None;
    }
    let mut keys = headers.iter().map(|header| header.key);
    keys.find(|key| std::str::from_utf8(key).is_err())
}

/// The bytes that the encoder reserves beyond a record's own bytes.
pub(super) const SLACK: usize = 32;
