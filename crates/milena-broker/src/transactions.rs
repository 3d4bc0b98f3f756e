//! The open and aborted transactions in a partition's log, and the offset up to which all are
//! decided (KIP-98).

use std::collections::BTreeMap;

use milena_protocol::batch::{Batch, BatchHeader, Batches, ControlRecord};
use milena_protocol::compression::DEFAULT_MAX_SIZE;

use crate::log::{Log, StoredBatch};

/// The transactions that have records in one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transactions {
    /// The open transactions, by producer, with the offset of the first record.
    open: BTreeMap<i64, i64>,
    /// The aborted transactions, in the order of their markers. Deleting records does not remove
    /// them.
    aborted: Vec<Aborted>,
}

/// An aborted transaction. Readers of committed records skip its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted {
    /// The producer id.
    pub(crate) producer: i64,
    /// The offset of its first record.
    pub(crate) first: i64,
    /// The offset of its marker.
    last: i64,
}

impl Transactions {
    /// Returns the transactions of a log.
    pub(crate) fn of(log: &Log) -> Self {
        let mut transactions = Self::default();
        for batch in log.batches() {
            transactions.note(batch);
        }
        transactions
    }

    /// Updates the transactions by a batch that was appended. A batch of a transaction opens it,
    /// and a marker ends it.
    pub(crate) fn note(&mut self, stored: &StoredBatch) {
        let Some(header) = stored.parsed() else {
            return;
        };
        let Some(producer) = header.producer_id.map(milena_core::ProducerId::to_wire) else {
            return;
        };
        if header.attributes.is_control() {
            let first = self.open.remove(&producer);
            if is_abort(&header, stored)
                && let Some(first) = first
            {
                self.aborted.push(Aborted {
                    producer,
                    first,
                    last: stored.last_offset,
                });
            }
        } else if header.attributes.is_transactional() {
            self.open.entry(producer).or_insert(stored.base_offset);
        }
    }

    /// Returns the start of the first open transaction, or `end` if none is open.
    pub(crate) fn stable_end(&self, end: i64) -> i64 {
        self.open.values().copied().fold(end, i64::min)
    }

    /// Returns the aborted transactions with records or their marker between `from` and `upto`.
    pub(crate) fn aborted(&self, from: i64, upto: i64) -> Vec<Aborted> {
        let overlaps = |each: &&Aborted| each.last >= from && each.first < upto;
        self.aborted.iter().filter(overlaps).copied().collect()
    }
}

/// Returns true if the batch is the marker of an aborted transaction.
fn is_abort(header: &BatchHeader, stored: &StoredBatch) -> bool {
    if !header.attributes.is_control() {
        return false;
    }
    let marker = |batch: &Batch| {
        let records = batch.records(DEFAULT_MAX_SIZE).ok()?;
        let record = records.iter().next()?.ok()?;
        ControlRecord::parse(record.key, record.value).ok()
    };
    let batch = Batches::new(stored.to_bytes()).next().and_then(Result::ok);
    let marker = batch.as_ref().and_then(marker);
    matches!(marker, Some(ControlRecord::Abort { .. }))
}

#[cfg(test)]
mod tests {
    use milena_core::{Offset, ProducerEpoch, ProducerId, Timestamp};

    use super::*;
    use crate::samples;

    fn append(log: &mut Log, transactions: &mut Transactions, bytes: &bytes::Bytes) {
        let header = BatchHeader::parse(bytes).unwrap();
        log.append(StoredBatch::split(&header, bytes).unwrap(), 0);
        transactions.note(log.batches().next_back().unwrap());
    }

    fn marker(producer: i64, abort: bool) -> bytes::Bytes {
        let coordinator_epoch = 0;
        let record = if abort {
            ControlRecord::Abort { coordinator_epoch }
        } else {
            ControlRecord::Commit { coordinator_epoch }
        };
        let id = ProducerId::from_wire(producer).unwrap();
        let epoch = ProducerEpoch::from_wire(0).unwrap();
        record
            .to_batch(Offset::ZERO, (id, epoch), Timestamp::from_millis(1))
            .unwrap()
    }

    #[test]
    fn the_stable_end_is_the_first_open_transaction_and_aborted_ones_are_listed() {
        let (mut log, mut open) = (Log::default(), Transactions::default());
        append(&mut log, &mut open, &samples::batch(2));
        append(&mut log, &mut open, &samples::transactional(3, 7, 0, 0));
        append(&mut log, &mut open, &samples::transactional(1, 8, 0, 0));
        assert_eq!(open.stable_end(log.end()), 2);
        append(&mut log, &mut open, &marker(7, true));
        assert_eq!(open.stable_end(log.end()), 5);
        append(&mut log, &mut open, &marker(8, false));
        assert_eq!(open.stable_end(log.end()), log.end());
        let listed: Vec<_> = open
            .aborted(0, 100)
            .iter()
            .map(|a| (a.producer, a.first))
            .collect();
        assert_eq!(listed, [(7, 2)]);
        assert!(open.aborted(7, 100).is_empty(), "its marker is at 6");
        assert_eq!(Transactions::of(&log).aborted(0, 100), open.aborted(0, 100));
    }
}
