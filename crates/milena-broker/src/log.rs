//! The log of a partition in memory. It holds whole batches by offset, and is read like a real
//! broker's log.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use milena_core::{LeaderEpoch, TimestampType};
use milena_protocol::batch::{BatchHeader, HEADER_LEN};

/// A stored batch. Its header is rewritten for its offset, and its body is kept as it was received.
#[derive(Clone, Debug)]
pub(crate) struct StoredBatch {
    /// The offset of its first record.
    pub(crate) base_offset: i64,
    /// The offset of its last record.
    pub(crate) last_offset: i64,
    /// The leader epoch that it was appended under.
    pub(crate) leader_epoch: i32,
    /// The largest timestamp, in milliseconds.
    pub(crate) max_timestamp: i64,
    /// The header bytes, with the base offset and the leader epoch of this log.
    pub(crate) header: [u8; HEADER_LEN],
    /// The bytes after the header.
    pub(crate) body: Bytes,
}

impl StoredBatch {
    /// Splits a whole batch. A small body is copied, so that it does not keep the whole request
    /// frame alive.
    pub(crate) fn split(parsed: &BatchHeader, batch: &Bytes) -> Option<Self> {
        let header = *batch.first_chunk::<HEADER_LEN>()?;
        let body = batch.slice(HEADER_LEN..);
        Some(Self {
            base_offset: parsed.base_offset.to_wire(),
            last_offset: parsed.last_offset().to_wire(),
            leader_epoch: parsed.leader_epoch.map_or(-1, LeaderEpoch::to_wire),
            max_timestamp: parsed.max_timestamp,
            header,
            body: if body.len() < SHARED_BODY {
                Bytes::copy_from_slice(&body)
            } else {
                body
            },
        })
    }

    /// Sets the offset and the epoch of the batch. The CRC does not cover these fields.
    pub(crate) fn place(&mut self, base_offset: i64, leader_epoch: i32) {
        self.last_offset = base_offset + (self.last_offset - self.base_offset);
        self.base_offset = base_offset;
        self.leader_epoch = leader_epoch;
        if let Some(place) = self.header.first_chunk_mut::<8>() {
            *place = base_offset.to_be_bytes();
        }
        if let Some(place) = self.header.get_mut(12..16) {
            place.copy_from_slice(&leader_epoch.to_be_bytes());
        }
    }

    /// Returns the size in bytes.
    pub(crate) fn size(&self) -> usize {
        HEADER_LEN + self.body.len()
    }

    /// Returns the parsed header.
    pub(crate) fn parsed(&self) -> Option<BatchHeader> {
        BatchHeader::parse(&self.header).ok()
    }

    /// Returns the append time, or -1 if the batch keeps its producer's times.
    pub(crate) fn append_time(&self) -> i64 {
        let kind = self
            .parsed()
            .map(|header| header.attributes.timestamp_type());
        match kind {
            Some(TimestampType::LogAppend) => self.max_timestamp,
            _ => -1,
        }
    }

    /// Returns the batch in one piece.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut whole = BytesMut::with_capacity(self.size());
        whole.put_slice(&self.header);
        whole.put_slice(&self.body);
        whole.freeze()
    }
}

/// Batches as they are sent. The last one may be cut anywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadBatches {
    /// The batches, in order. All of them are whole here.
    pub(crate) batches: Vec<StoredBatch>,
    /// The number of bytes to send, which may end within the last batch.
    pub(crate) size: usize,
}

impl ReadBatches {
    pub(crate) fn is_empty(&self) -> bool {
        self.size == 0
    }
}

/// The batches of one partition by ascending offset. Only compaction leaves gaps between them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// The batches, oldest first.
    batches: VecDeque<StoredBatch>,
    /// The first offset that can be read.
    start: i64,
    /// The offset of the next record.
    end: i64,
    /// The bytes of all batches.
    size: usize,
    /// The epochs with their first offset, ascending.
    epochs: Vec<(i32, i64)>,
}

impl Log {
    /// Returns the first offset that can be read.
    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    /// Returns the offset of the next record.
    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    /// Returns the bytes of all batches.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Returns the batches, oldest first.
    pub(crate) fn batches(&self) -> impl DoubleEndedIterator<Item = &StoredBatch> {
        self.batches.iter()
    }

    /// Appends a batch under this epoch. Returns its base offset.
    pub(crate) fn append(&mut self, mut batch: StoredBatch, leader_epoch: i32) -> i64 {
        let base = self.end;
        batch.place(base, leader_epoch);
        if self
            .epochs
            .last()
            .is_none_or(|(last, _)| *last < leader_epoch)
        {
            self.epochs.push((leader_epoch, base));
        }
        self.end = batch.last_offset + 1;
        self.size += batch.size();
        self.batches.push_back(batch);
        base
    }

    /// Drops whole batches from the front until at most `keep` bytes are left. The newest batch
    /// stays.
    pub(crate) fn retain(&mut self, keep: usize) {
        while self.size > keep && self.batches.len() > 1 {
            if let Some(gone) = self.batches.pop_front() {
                self.size -= gone.size();
                self.start = self.start.max(gone.last_offset + 1);
            }
        }
    }

    /// Drops the batches from `end` on. A batch must begin at `end`.
    pub(crate) fn truncate(&mut self, end: i64) {
        while let Some(gone) = self.batches.pop_back_if(|last| last.last_offset >= end) {
            self.size -= gone.size();
        }
        self.epochs.retain(|(_, first)| *first < end);
        self.end = end.max(self.start);
    }

    /// Makes `offset` the first that can be read. Drops batches that are wholly before it.
    pub(crate) fn delete_before(&mut self, offset: i64) {
        self.start = self.start.max(offset.min(self.end));
        while let Some(front) = self.batches.front() {
            if front.last_offset >= self.start {
                break;
            }
            self.size -= front.size();
            self.batches.pop_front();
        }
    }

    /// Reads from the batch that holds `offset`, below `upto`, at most `max` bytes.
    ///
    /// With `at_least_one` the first batch is whole even if it is larger than `max`. Without it,
    /// nothing is read if the first batch does not fit. The last batch is cut at `max`.
    pub(crate) fn read(
        &self,
        offset: i64,
        upto: i64,
        max: usize,
        at_least_one: bool,
    ) -> ReadBatches {
        let mut read = ReadBatches::default();
        let from = self
            .batches
            .partition_point(|batch| batch.last_offset < offset);
        let mut left = max;
        for batch in self.batches.range(from..) {
            if batch.base_offset >= upto || (left == 0 && !(at_least_one && read.is_empty())) {
                break;
            }
            let size = batch.size();
            if size > left && read.is_empty() {
                if !at_least_one {
                    break;
                }
                left = size;
            }
            let taken = size.min(left);
            read.batches.push(batch.clone());
            read.size += taken;
            left -= taken;
        }
        read
    }

    /// Changes the bytes of the batch that holds `offset`. Its offsets in this log stay. Returns
    /// true if there is such a batch.
    pub(crate) fn replace(&mut self, offset: i64, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let at = self
            .batches
            .partition_point(|batch| batch.last_offset < offset);
        let Some(batch) = self.batches.get_mut(at) else {
            return false;
        };
        let before = batch.size();
        let mut bytes = batch.to_bytes().to_vec();
        change(&mut bytes);
        bytes.resize(bytes.len().max(HEADER_LEN), 0);
        if let Some(header) = bytes.first_chunk::<HEADER_LEN>() {
            batch.header = *header;
        }
        batch.body = Bytes::from(bytes).slice(HEADER_LEN..);
        self.size = (self.size + batch.size()).saturating_sub(before);
        true
    }

    /// Returns the batch that holds `offset`, or the next one.
    pub(crate) fn batch_at(&self, offset: i64) -> Option<&StoredBatch> {
        let at = self
            .batches
            .partition_point(|batch| batch.last_offset < offset);
        self.batches.get(at)
    }

    /// Returns the batches whose largest timestamp is at least `time`, in order.
    pub(crate) fn batches_since(&self, time: i64) -> impl Iterator<Item = &StoredBatch> {
        let batches = self.batches.iter();
        batches.filter(move |batch| batch.max_timestamp >= time)
    }

    /// Returns the batch with the largest timestamp, and the earliest of equals.
    pub(crate) fn newest_batch(&self) -> Option<&StoredBatch> {
        let mut newest: Option<&StoredBatch> = None;
        for batch in &self.batches {
            if newest.is_none_or(|known| batch.max_timestamp > known.max_timestamp) {
                newest = Some(batch);
            }
        }
        newest
    }

    /// Returns the largest epoch that is not above `asked`, with the offset after its last record
    /// (KIP-279).
    ///
    /// `current` is the leader's epoch. Returns `None` if `asked` is above it or negative.
    pub(crate) fn end_of_epoch(&self, asked: i32, current: i32) -> Option<(i32, i64)> {
        if asked < 0 || asked > current {
            return None;
        }
        if asked == current {
            return Some((current, self.end));
        }
        let next = self.epochs.partition_point(|(epoch, _)| *epoch <= asked);
        let end = self.epochs.get(next).map_or(self.end, |(_, start)| *start);
        match next.checked_sub(1).and_then(|at| self.epochs.get(at)) {
            Some((epoch, _)) => Some((*epoch, end)),
            None => Some((asked, end)),
        }
    }
}

/// The size in bytes from which bodies share the frame that they arrived in.
const SHARED_BODY: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::batch;
    use proptest::prelude::*;

    fn log_of(sizes: &[u32]) -> Log {
        let mut log = Log::default();
        for &count in sizes {
            let bytes = batch(count);
            let header = BatchHeader::parse(&bytes).unwrap();
            log.append(StoredBatch::split(&header, &bytes).unwrap(), 3);
        }
        log
    }

    #[test]
    fn a_read_begins_with_the_batch_that_holds_the_offset() {
        let log = log_of(&[2, 3, 1]);
        assert_eq!(log.end(), 6);
        let read = log.read(3, 6, 1 << 20, true);
        assert_eq!(read.batches.len(), 2);
        assert_eq!(read.batches[0].base_offset, 2);
        let header = BatchHeader::parse(&read.batches[0].to_bytes()).unwrap();
        assert_eq!(header.base_offset.to_wire(), 2);
        assert_eq!(header.leader_epoch.unwrap().to_wire(), 3);
    }

    #[test]
    fn the_first_batch_is_whole_and_the_last_is_cut_at_the_limit() {
        let log = log_of(&[2, 3]);
        let first = log.batches[0].size();
        assert_eq!(log.read(0, 5, 1, true).size, first);
        assert!(log.read(0, 5, 1, false).is_empty());
        let cut = log.read(0, 5, first + 7, true);
        assert_eq!((cut.batches.len(), cut.size), (2, first + 7));
        assert_eq!(log.read(0, 5, first, true).batches.len(), 1);
        assert!(log.read(5, 5, 100, true).is_empty());
    }

    #[test]
    fn retention_drops_whole_batches_and_moves_the_start() {
        let mut log = log_of(&[2, 3, 1]);
        log.retain(log.batches[2].size());
        assert_eq!((log.start(), log.end()), (5, 6));
        log.retain(0);
        assert_eq!(log.batches.len(), 1, "the newest batch stays");
    }

    #[test]
    fn deletion_inside_a_batch_keeps_the_batch() {
        let mut log = log_of(&[2, 3]);
        log.delete_before(3);
        assert_eq!(log.start(), 3);
        assert_eq!(log.batches.len(), 1);
        log.delete_before(99);
        assert_eq!((log.start(), log.size()), (5, 0));
    }

    #[test]
    fn a_log_that_is_cut_goes_on_where_it_was_cut() {
        let mut log = log_of(&[2, 3, 1]);
        log.truncate(2);
        assert_eq!((log.end(), log.batches.len()), (2, 1));
        assert_eq!(log.size(), log.batches[0].size());
        let bytes = batch(4);
        let header = BatchHeader::parse(&bytes).unwrap();
        let base = log.append(StoredBatch::split(&header, &bytes).unwrap(), 4);
        assert_eq!((base, log.end()), (2, 6));
        assert_eq!(log.end_of_epoch(3, 4), Some((3, 2)));
    }

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let mut log = Log::default();
        for epoch in [0, 0, 2, 5] {
            let bytes = batch(2);
            let header = BatchHeader::parse(&bytes).unwrap();
            log.append(StoredBatch::split(&header, &bytes).unwrap(), epoch);
        }
        assert_eq!(log.end_of_epoch(0, 5), Some((0, 4)));
        assert_eq!(log.end_of_epoch(1, 5), Some((0, 4)));
        assert_eq!(log.end_of_epoch(3, 5), Some((2, 6)));
        assert_eq!(log.end_of_epoch(5, 5), Some((5, 8)));
        assert_eq!(log.end_of_epoch(6, 5), None);
    }

    proptest! {
        #[test]
        fn a_read_is_a_run_of_the_log_from_the_batch_of_its_offset(
            counts in prop::collection::vec(1u32..5, 1..12),
            at in 0i64..60,
            max in 0usize..2000,
            at_least_one: bool,
        ) {
            let log = log_of(&counts);
            let offset = at % (log.end() + 1);
            let read = log.read(offset, log.end(), max, at_least_one);
            let whole: Vec<u8> = log
                .batches()
                .filter(|batch| batch.last_offset >= offset)
                .flat_map(|batch| batch.to_bytes().to_vec())
                .collect();
            let given: Vec<u8> = read.batches.iter().flat_map(|batch| batch.to_bytes().to_vec()).collect();
            prop_assert!(read.size <= given.len());
            prop_assert_eq!(&given[..read.size], &whole[..read.size]);
            let first = log.batch_at(offset).map_or(0, StoredBatch::size);
            prop_assert!(read.size <= max.max(first));
            if at_least_one || max >= first {
                prop_assert!(read.size >= first.min(whole.len()));
            } else {
                prop_assert_eq!(read.size, 0);
            }
        }
    }
}
