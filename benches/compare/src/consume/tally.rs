//! The counts of one task. They are private to the task, and are copied to the board at intervals.

use std::sync::atomic::Ordering;

use crate::consume::board::Board;

/// Counts records, and checks that their offsets have no gap.
pub(crate) struct Tally<'a> {
    /// The board of the process.
    board: &'a Board,
    /// The lane of the board that this task writes to.
    lane: i32,
    /// The records so far.
    records: u64,
    /// A sum over values, so that every value is read.
    sum: u64,
    /// The next expected offset of each partition. `ANY` before its first record.
    next: Vec<i64>,
    /// The number of records between two updates of the board.
    every: u64,
    /// True if the ages of records are measured.
    timed: bool,
    /// The ages since the last update of the board, in milliseconds.
    times: Vec<f64>,
    /// A gap, with the partition, the expected and the received offset.
    gap: Option<(i32, i64, i64)>,
}

impl<'a> Tally<'a> {
    pub(crate) fn new(board: &'a Board, lane: i32, partitions: u32) -> Self {
        Self {
            board,
            lane,
            records: 0,
            sum: 0,
            next: vec![ANY; partitions as usize],
            every: board.every(),
            timed: board.is_timed(),
            times: Vec::new(),
            gap: None,
        }
    }

    #[inline]
    pub(crate) fn record(&mut self, partition: i32, offset: i64, value: &[u8]) {
        if let Some(next) = self.next.get_mut(partition as usize) {
            if *next != offset && *next != ANY {
                self.gap = Some((partition, *next, offset));
            }
            *next = offset + 1;
        }
        self.records += 1;
        self.sum += value.first().map_or(0, |byte| u64::from(*byte));
        if self.timed
            && let Some(age) = self.board.age_ms(partition, offset, value)
        {
            self.times.push(age);
        }
    }

    /// Updates the board after every `every` records. Returns true if the task should go on.
    ///
    /// # Errors
    /// An error for a record that did not follow the one before it.
    pub(crate) fn now_and_then(&mut self) -> Result<bool, String> {
        if self.records.is_multiple_of(self.every) {
            return self.flush();
        }
        Ok(true)
    }

    /// Updates the board. Returns true if the task should go on.
    ///
    /// # Errors
    /// An error for a record that did not follow the one before it.
    pub(crate) fn flush(&mut self) -> Result<bool, String> {
        if let Some((partition, expected, came)) = self.gap {
            return Err(format!(
                "partition {partition}: offset {came} came, but {expected} was expected"
            ));
        }
        if let Some(lane) = self.board.lane(self.lane) {
            lane.records.store(self.records, Ordering::Relaxed);
            lane.sum.store(self.sum, Ordering::Relaxed);
        }
        if !self.times.is_empty() {
            self.board.times(&mut self.times);
        }
        Ok(!self.board.is_over())
    }
}

/// Any offset is expected, because no record came yet.
const ANY: i64 = i64::MIN;
