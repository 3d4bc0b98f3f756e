//! The sender of a log in memory.

use std::fmt;
use std::sync::Arc;

use milena_core::ProducerRecord;

use super::source::MemorySource;

/// Appends records to a log in memory. A run over the log goes on while a sender exists.
pub struct MemorySender {
    /// The log. It counts its senders.
    source: Arc<MemorySource>,
}

impl MemorySender {
    pub(super) fn new(source: &Arc<MemorySource>) -> Self {
        source.add_sender();
        Self {
            source: Arc::clone(source),
        }
    }

    /// Appends a record. Waits while 1024 sent records are not delivered yet.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, the record is not appended.
    pub async fn send(&self, record: impl Into<ProducerRecord>) {
        let record = record.into();
        let permit = self.source.room().await;
        self.source.append(record, permit);
    }
}

impl Clone for MemorySender {
    fn clone(&self) -> Self {
        Self::new(&self.source)
    }
}

impl Drop for MemorySender {
    fn drop(&mut self) {
        self.source.remove_sender();
    }
}

impl fmt::Debug for MemorySender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySender").finish_non_exhaustive()
    }
}
