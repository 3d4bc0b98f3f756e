//! The batches that one fetch returned for one partition. They are read one by one, and control
//! batches and aborted records are left out.

use std::sync::Arc;

use bytes::Bytes;
use milena_core::{IsolationLevel, LeaderEpoch, Offset, Result, Timestamp};
use milena_protocol::batch::{Batch, Batches};
use milena_protocol::fetch::AbortedTransaction;

use crate::aborted::Aborted;
use crate::budget::{Budget, Pinned};
use crate::closed::batch_time;

/// Fetched batches of one partition. They are a slice of the answer's frame.
#[derive(Debug)]
pub struct Chunk {
    /// Batches that are not read yet, in order.
    rest: Batches,
    /// Aborted transactions of the answer. Must see every batch, in order.
    aborted: Aborted,
    /// The memory of the frame, counted until its last holder drops it.
    pinned: Arc<Pinned>,
    /// The bytes of the batches that the chunk arrived with.
    len: usize,
    /// True if `step` verifies checksums. A batch whose checksum is wrong then goes to its reader
    /// as it is, whatever its header says.
    check_crcs: bool,
}

/// Facts from the batch headers of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The offset to fetch next. `None` if the answer holds no whole batch.
    pub next: Option<Offset>,
    /// The leader epoch of the last batch.
    pub epoch: Option<LeaderEpoch>,
    /// The size of the largest batch in bytes. A partial batch at the end counts with its full
    /// size.
    pub largest: usize,
    /// The bytes of whole batches.
    pub whole: usize,
    /// The number of records in whole batches, without control records.
    pub records: u64,
}

/// The next step through a chunk.
#[derive(Debug)]
pub enum Step {
    /// Records for the user.
    Batch(Batch),
    /// Nothing for the user below this offset. There were markers, aborted records, or a batch that
    /// compaction emptied.
    Skip(Offset),
    /// The end of the chunk.
    End,
}

/// Reads the batch headers in `records`, front to back. Records and checksums are left to the
/// reader of the batches.
///
/// # Errors
/// The defect of the first batch. A defect of a later batch ends the walk without an error, so that
/// the good batches before it are delivered first.
pub fn extent(records: &Bytes) -> Result<Extent> {
    let mut extent = Extent::default();
    let mut batches = Batches::new(records.clone());
    for batch in batches.by_ref() {
        match batch {
            Ok(batch) => {
                extent.next = Some(batch.next_offset());
                extent.epoch = batch.header().leader_epoch.or(extent.epoch);
                extent.largest = extent.largest.max(batch.header().size);
                extent.whole += batch.header().size;
                if !batch.is_control() {
                    extent.records += u64::from(batch.header().count);
                }
            }
            Err(error) if extent.next.is_none() => return Err(error),
            Err(_) => break,
        }
    }
    extent.largest = extent.largest.max(batches.tail_needs().unwrap_or(0));
    Ok(extent)
}

impl Chunk {
    /// Returns the batches of one partition in an answer. `pinned` is the frame that holds them.
    #[must_use]
    pub fn new(
        records: Batches,
        aborted: Vec<AbortedTransaction>,
        isolation: IsolationLevel,
        pinned: Arc<Pinned>,
    ) -> Self {
        Self {
            len: records.tail().len(),
            rest: records,
            aborted: Aborted::new(aborted, isolation),
            pinned,
            check_crcs: true,
        }
    }

    /// Turns the verification of checksums off. Batch headers are then trusted.
    #[must_use]
    pub fn unchecked(mut self) -> Self {
        self.check_crcs = false;
        self
    }

    /// Returns the base offset of the batch behind the last one that was read. `None` if there is
    /// none or its header cannot be read.
    #[must_use]
    pub fn next_base(&self) -> Option<Offset> {
        let next = self.rest.clone().next()?.ok()?;
        Some(next.base_offset())
    }

    /// Returns the bytes that the chunk arrived with.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.len
    }

    /// Returns the frame that holds the batches.
    #[must_use]
    pub fn pinned(&self) -> &Arc<Pinned> {
        &self.pinned
    }

    /// Returns the first timestamp of the first batch that does not end below `from`. Skips control
    /// batches.
    #[must_use]
    pub fn first_time(&self, from: Offset) -> Option<Timestamp> {
        let batches = self.rest.clone().filter_map(Result::ok);
        let mut ahead = batches.filter(|batch| batch.next_offset() > from && !batch.is_control());
        ahead.next().and_then(|batch| batch_time(batch.header()))
    }

    /// Returns the next batch. Skips batches that end below `from`.
    ///
    /// # Errors
    /// The defect of a batch whose header cannot be read, or of a transaction marker.
    pub fn step(&mut self, from: Offset) -> Result<Step> {
        loop {
            let Some(batch) = self.rest.next().transpose()? else {
                return Ok(Step::End);
            };
            let sound = batch.is_intact() || !self.check_crcs || batch.verify_crc().is_ok();
            if !sound {
                // Its header may be wrong too, so none of it is used here. The reader finds the
                // wrong checksum and reports it.
                return Ok(Step::Batch(batch));
            }
            let for_user = self.aborted.admits(&batch)?;
            if batch.next_offset() <= from {
                continue;
            }
            if !for_user || batch.count() == 0 {
                return Ok(Step::Skip(batch.next_offset()));
            }
            return Ok(Step::Batch(batch));
        }
    }

    /// Copies the bytes out of the frame if nothing else holds the frame and the copy is less than
    /// three quarters of it. This frees the rest of the frame.
    pub fn copy_out(&mut self, budget: &Arc<Budget>) {
        let own = self.rest.tail().len();
        let alone = Arc::strong_count(&self.pinned) == 1;
        if alone && own < self.pinned.bytes() / 4 * 3 {
            self.rest.copy_out();
            self.pinned = budget.pin(own);
        }
    }
}

#[cfg(test)]
mod tests {
    use milena_core::{Compression, HeadersRef, ProducerEpoch, ProducerId, Sequence};
    use milena_protocol::batch::{BatchBuilder, ControlRecord, ProducerStamp, rewrite};
    use tokio::sync::Notify;

    use super::*;

    fn batch(offset: u32, count: usize, producer: Option<i64>) -> Vec<u8> {
        let mut open = BatchBuilder::with_capacity(64);
        for _ in 0..count {
            open.append(
                Timestamp::from_millis(1),
                None,
                Some(b"value"),
                HeadersRef::empty(),
            )
            .unwrap();
        }
        let (sealed, _) = open.seal(Compression::None).unwrap();
        let stamp = producer.map(|id| ProducerStamp {
            id: ProducerId::from_wire(id).unwrap(),
            epoch: ProducerEpoch::from_wire(0).unwrap(),
            sequence: Sequence::ZERO,
            transactional: true,
        });
        let mut bytes = sealed.to_bytes(stamp).to_vec();
        rewrite::assign(&mut bytes, offset.into(), None).unwrap();
        bytes
    }

    fn marker(offset: u32, producer: i64, abort: bool) -> Vec<u8> {
        let coordinator_epoch = 0;
        let record = if abort {
            ControlRecord::Abort { coordinator_epoch }
        } else {
            ControlRecord::Commit { coordinator_epoch }
        };
        let producer = (
            ProducerId::from_wire(producer).unwrap(),
            ProducerEpoch::from_wire(0).unwrap(),
        );
        record
            .to_batch(offset.into(), producer, Timestamp::from_millis(1))
            .unwrap()
            .to_vec()
    }

    fn aborted(producer: i64, first: u32) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: ProducerId::from_wire(producer).unwrap(),
            first_offset: first.into(),
        }
    }

    fn chunk(parts: &[Vec<u8>], list: Vec<AbortedTransaction>, level: IsolationLevel) -> Chunk {
        let budget = Budget::new(1 << 20, Arc::new(Notify::new()));
        let bytes = Bytes::from(parts.concat());
        let pinned = budget.pin(bytes.len());
        Chunk::new(Batches::new(bytes), list, level, pinned)
    }

    fn steps(mut chunk: Chunk, from: u32) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            match chunk.step(from.into()).unwrap() {
                Step::Batch(batch) => seen.push(format!("batch {}", batch.base_offset())),
                Step::Skip(next) => seen.push(format!("skip to {next}")),
                Step::End => return seen,
            }
        }
    }

    #[test]
    fn records_of_an_aborted_transaction_and_markers_are_passed_over() {
        let parts = [
            batch(0, 2, Some(7)),
            batch(2, 1, Some(8)),
            marker(3, 7, true),
            batch(4, 1, Some(7)),
            marker(5, 7, false),
            marker(6, 8, false),
            batch(7, 1, None),
        ];
        let read = chunk(&parts, vec![aborted(7, 0)], IsolationLevel::ReadCommitted);
        assert_eq!(
            steps(read, 0),
            [
                "skip to 2",
                "batch 2",
                "skip to 4",
                "batch 4",
                "skip to 6",
                "skip to 7",
                "batch 7"
            ]
        );
    }

    #[test]
    fn uncommitted_reads_see_all_records_but_no_markers() {
        let parts = [batch(0, 2, Some(7)), marker(2, 7, true)];
        let read = chunk(&parts, vec![aborted(7, 0)], IsolationLevel::ReadUncommitted);
        assert_eq!(steps(read, 0), ["batch 0", "skip to 3"]);
    }

    #[test]
    fn the_aborted_list_may_come_in_any_order() {
        let parts = [batch(0, 1, Some(7)), batch(1, 1, Some(8))];
        let list = vec![aborted(8, 1), aborted(7, 0)];
        let read = chunk(&parts, list, IsolationLevel::ReadCommitted);
        assert_eq!(steps(read, 0), ["skip to 1", "skip to 2"]);
    }

    #[test]
    fn batches_below_the_position_are_passed_over_in_silence() {
        let parts = [batch(0, 2, None), batch(2, 3, None)];
        let read = chunk(&parts, vec![], IsolationLevel::ReadCommitted);
        assert_eq!(steps(read, 3), ["batch 2"]);
    }

    #[test]
    fn the_extent_covers_whole_batches_and_knows_the_size_of_a_cut_one() {
        let large = batch(2, 40, None);
        let mut bytes = batch(0, 2, None);
        let first = bytes.len();
        bytes.extend_from_slice(&large[..100]);
        let extent = extent(&Bytes::from(bytes)).unwrap();
        assert_eq!(extent.next, Some(2.into()));
        assert_eq!((extent.whole, extent.largest), (first, large.len()));
    }

    #[test]
    fn the_last_holder_of_a_frame_copies_its_slice_out() {
        let budget = Budget::new(1 << 20, Arc::new(Notify::new()));
        let bytes = Bytes::from(batch(0, 2, None));
        let pinned = budget.pin(100 << 10);
        let level = IsolationLevel::ReadCommitted;
        let mut first = Chunk::new(
            Batches::new(bytes.clone()),
            vec![],
            level,
            Arc::clone(&pinned),
        );
        drop(pinned);
        let second = Chunk::new(
            Batches::new(bytes.clone()),
            vec![],
            level,
            Arc::clone(first.pinned()),
        );
        first.copy_out(&budget);
        assert_eq!(budget.used(), 100 << 10, "another one holds it");
        drop(second);
        first.copy_out(&budget);
        assert_eq!(budget.used(), bytes.len());
        assert_eq!(steps(first, 0), ["batch 0"]);
    }
}
