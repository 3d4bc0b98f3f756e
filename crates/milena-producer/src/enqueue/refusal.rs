//! The records that are refused at the call, because no request, buffer or reader can take them.

use milena_core::{Error, ErrorKind, HeadersRef, Partition, Persistence};
use milena_protocol::batch::HEADER_LEN;
use tokio::time::{Instant, timeout_at};

use crate::enqueue::inner::Inner;
use crate::enqueue::partition::RecordDraft;
use crate::enqueue::topic::TopicState;
use crate::enqueue::within::within;

impl Inner {
    /// Returns true if a record can be taken at all.
    #[inline]
    pub(crate) fn fits(&self, draft: &RecordDraft<'_>) -> bool {
        let size = draft.size + HEADER_LEN;
        size <= self.settings.max_request_size
            && size + SLACK <= self.settings.buffer_memory
            && (draft.headers.is_empty() || unreadable_key(draft.headers).is_none())
    }

    /// Returns the reason why a record does not [`fit`](Self::fits).
    #[cold]
    pub(crate) fn refusal(&self, draft: &RecordDraft<'_>, topic: &TopicState) -> Error {
        let error = match unreadable_key(draft.headers) {
            Some(key) => {
                let what = format!("the header key \"{}\" is not UTF-8", key.escape_ascii());
                Error::new(ErrorKind::Config, what)
            }
            None => self.too_large(draft.size + HEADER_LEN),
        };
        unwritten(error.topic(topic.name.clone()))
    }

    /// Returns the error of a record that was not placed. If the producer is closed, that comes
    /// first.
    #[cold]
    pub(crate) fn unplaced(&self, error: Error) -> Error {
        self.topics.registry().closed().unwrap_or(error)
    }

    /// Returns the error of a record that is larger than a request or the buffer.
    fn too_large(&self, size: usize) -> Error {
        let (key, limit) = if size > self.settings.max_request_size {
            ("max.request.size", self.settings.max_request_size)
        } else {
            ("buffer.memory", self.settings.buffer_memory)
        };
        let what = format!("a record of up to {size} bytes is over {key} = {limit} bytes");
        Error::new(ErrorKind::RecordTooLarge, what).setting(key)
    }

    /// Requests metadata once more if the record names an unknown partition, which may have been
    /// added since. Returns true if the partition is known now.
    #[cold]
    pub(crate) async fn found_since(
        &self,
        topic: &TopicState,
        named: Option<Partition>,
        deadline: Instant,
    ) -> bool {
        let Some(named) = named else { return false };
        let known = || (named.index() as u64) < u64::from(topic.count());
        if known() || self.topics.registry().closed().is_some() {
            return false;
        }
        // Without an answer in time the partition counts as missing.
        let renewal = async { timeout_at(deadline, self.network.renew()).await };
        let _ = within(&self.runtime, renewal).await;
        self.topics.refresh(&*self.network);
        known()
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

/// The bytes that a batch needs beyond its records. It must equal the constant of the same name in
/// `partition.rs`.
const SLACK: usize = 32;

/// Adds to an error that nothing was written.
pub(crate) fn unwritten(error: Error) -> Error {
    error.with_persistence(Persistence::NotWritten)
}
