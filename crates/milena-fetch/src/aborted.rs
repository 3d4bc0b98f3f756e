//! Aborted transactions of an answer, as reading goes through its batches.

use std::collections::HashSet;

use milena_core::{IsolationLevel, ProducerId, Result};
use milena_protocol::batch::{Batch, ControlRecord};
use milena_protocol::fetch::AbortedTransaction;

/// The aborted transactions at the current point of reading.
#[derive(Debug)]
pub(crate) struct Aborted {
    /// Aborted transactions that start behind the batches read so far. Sorted by first offset, the
    /// lowest last. `None` with read_uncommitted, which returns all records.
    ahead: Option<Vec<AbortedTransaction>>,
    /// Producers whose transaction at the current batch is aborted.
    now: HashSet<ProducerId>,
}

impl Aborted {
    /// Returns the aborted transactions of an answer, before its first batch.
    pub(crate) fn new(mut list: Vec<AbortedTransaction>, isolation: IsolationLevel) -> Self {
        list.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.first_offset));
        Self {
            ahead: matches!(isolation, IsolationLevel::ReadCommitted).then_some(list),
            now: HashSet::new(),
        }
    }

    /// Returns true if the batch holds records for the user. Must be called for every batch, in
    /// order.
    pub(crate) fn admits(&mut self, batch: &Batch) -> Result<bool> {
        let Some(ahead) = &mut self.ahead else {
            return Ok(!batch.is_control());
        };
        while let Some(next) = ahead.pop_if(|next| next.first_offset <= batch.last_offset()) {
            self.now.insert(next.producer_id);
        }
        let Some(producer) = batch.header().producer_id else {
            return Ok(!batch.is_control());
        };
        if batch.is_control() {
            if !self.now.is_empty() && is_abort(batch)? {
                self.now.remove(&producer);
            }
            return Ok(false);
        }
        Ok(!(batch.is_transactional() && self.now.contains(&producer)))
    }
}

/// Returns true if the control batch is an abort marker.
fn is_abort(batch: &Batch) -> Result<bool> {
    let records = batch.records(MARKER_BYTES)?;
    let Some(record) = records.iter().next().transpose()? else {
        return Ok(false);
    };
    let marker = ControlRecord::parse(record.key, record.value)?;
    Ok(matches!(marker, ControlRecord::Abort { .. }))
}

/// The most bytes that a marker may decompress to. A valid one has some tens of bytes.
const MARKER_BYTES: usize = 64 << 10;
