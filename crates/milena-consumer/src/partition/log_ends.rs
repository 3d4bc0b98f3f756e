//! The end of a partition's log, as answers have shown it.

use std::time::Duration;

use milena_core::{IsolationLevel, Offset};
use tokio::time::Instant;

/// The known ends of the log, and their age.
#[derive(Debug)]
pub(super) struct LogEnds {
    /// The high watermark from the latest answer. `None` before the first one.
    high_watermark: Option<Offset>,
    /// The last stable offset from the latest answer. `None` before the first one and with
    /// read_uncommitted.
    stable_end: Option<Offset>,
    /// The time when the end was last reported or asked for, or when reading started here. The
    /// first fetch after a start reports the end by itself. `None` to ask now.
    at: Option<Instant>,
}

impl LogEnds {
    /// Returns unknown ends.
    pub(super) fn new() -> Self {
        Self {
            high_watermark: None,
            stable_end: None,
            at: Some(Instant::now()),
        }
    }

    /// Returns the end of the log, as far as it may be read. `None` if it is not known.
    pub(super) fn readable(&self) -> Option<Offset> {
        self.stable_end.or(self.high_watermark)
    }

    /// Returns true unless `next` is known to lie behind the log's end.
    pub(super) fn may_hold(&self, next: Offset) -> bool {
        self.high_watermark.is_none_or(|end| next <= end)
    }

    /// Returns `next`, or the end of the log if that is lower. A fetch at `from` told `next`. The
    /// header of a batch may be wrong, and an offset behind the log's end would be out of range.
    pub(super) fn bound(&self, from: Offset, next: Offset) -> Offset {
        match self.high_watermark {
            Some(end) if end > from => next.min(end),
            _ => next,
        }
    }

    /// Notes the ends of an answer to a fetch. `None` leaves the known one.
    pub(super) fn note(&mut self, high_watermark: Option<Offset>, stable_end: Option<Offset>) {
        self.high_watermark = high_watermark.or(self.high_watermark);
        self.stable_end = stable_end.or(self.stable_end);
    }

    /// Notes the end that was asked for at `asked_at`. Does nothing if a fetch was answered since,
    /// which knows the end better.
    pub(super) fn note_asked(&mut self, end: Offset, level: IsolationLevel, asked_at: Instant) {
        if self.at.is_some_and(|at| at > asked_at) {
            return;
        }
        match level {
            IsolationLevel::ReadCommitted => self.stable_end = Some(end),
            IsolationLevel::ReadUncommitted => self.high_watermark = Some(end),
        }
    }

    /// Returns the time at which the known end is older than `fresh`. `None` to ask now.
    pub(super) fn due(&self, fresh: Duration) -> Option<Instant> {
        self.at.map(|at| at + fresh)
    }

    /// Notes that the ends are current, or that the next fetch will report them.
    pub(super) fn are_fresh(&mut self, now: Instant) {
        self.at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_end_that_was_asked_for_before_a_fetch_was_answered_does_not_count() {
        let mut ends = LogEnds::new();
        let asked_at = Instant::now();
        tokio::time::advance(Duration::from_millis(5)).await;
        ends.note(Some(20.into()), None);
        ends.are_fresh(Instant::now());
        ends.note_asked(10.into(), IsolationLevel::ReadUncommitted, asked_at);
        assert_eq!(ends.readable(), Some(20.into()));
        ends.note_asked(30.into(), IsolationLevel::ReadCommitted, Instant::now());
        assert_eq!(ends.readable(), Some(30.into()));
    }

    #[test]
    fn a_batch_whose_header_names_an_offset_behind_the_log_does_not_move_the_position_there() {
        let mut ends = LogEnds::new();
        assert_eq!(ends.bound(5.into(), 900.into()), 900.into());
        ends.note(Some(20.into()), None);
        assert_eq!(ends.bound(5.into(), 900.into()), 20.into());
        assert!(!ends.may_hold(21.into()));
    }
}
