//! One task's counts: kept to itself, and written to the board now and then.

use std::sync::atomic::Ordering;

use crate::consume::board::Board;

/// Counts records as they come, and holds them to be in order without a gap.
pub(crate) struct Tally<'a> {
    board: &'a Board,
    /// The lane that it writes to.
    lane: i32,
    records: u64,
    /// Makes sure that every value is touched.
    sum: u64,
    /// The offset expected of each partition; none before its first record.
    next: Vec<i64>,
    /// How many records come between two looks at the board.
    every: u64,
    timed: bool,
    times: Vec<f64>,
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

    /// Writes the counts down where many have come since; whether to go on.
    ///
    /// # Errors
    /// A record that did not follow the one before it.
    pub(crate) fn now_and_then(&mut self) -> Result<bool, String> {
        if self.records.is_multiple_of(self.every) {
            return self.flush();
        }
        Ok(true)
    }

    /// Writes the counts down; whether to go on.
    ///
    /// # Errors
    /// A record that did not follow the one before it.
    pub(crate) fn flush(&mut self) -> Result<bool, String> {
        if let Some((partition, expected, came)) = self.gap {
            return Err(format!("partition {partition}: {came} came for {expected}"));
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

/// Before the first record.
const ANY: i64 = i64::MIN;
