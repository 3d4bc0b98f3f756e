//! The time of records that have no timestamp of their own.

use milena_core::Timestamp;

use crate::enqueue::shared::Shared;

/// The time for records without a timestamp. The wall clock is read only now and then, since a read
/// costs more than encoding a record.
///
/// Each batch begins with a read. Within a batch one read serves up to 32 records that come close
/// behind each other, or one run of records, and none that comes after [`Tick`] moved on. The tick
/// needs a millisecond and a turn of the sender. A caller that computes without awaiting can delay
/// that turn.
///
/// The clock may be the user's, and may block or enqueue records itself. So this only says that a
/// read is due. The caller reads the clock before it takes the lock that holds this.
///
/// [`Tick`]: crate::enqueue::tick::Tick
#[derive(Debug, Default)]
pub(super) struct CoarseTime {
    /// The wall clock at the last read.
    now: Timestamp,
    /// The position of the tick at the last read.
    hand: u32,
    /// The records that the last read may still serve.
    left: u8,
    /// The further records that a read serves. It doubles while reads show almost the same time,
    /// and falls to 0 otherwise.
    stride: u8,
}

/// A read of the wall clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockRead {
    /// The position of the tick just before.
    hand: u32,
    /// The time that the clock showed.
    now: Timestamp,
}

impl ClockRead {
    /// Reads the clock. No lock may be held, since the clock may be the user's code.
    pub(super) fn new(shared: &Shared) -> Self {
        // Read before the clock. If the tick moves on in between, the next record reads the clock
        // again.
        let hand = shared.tick.hand();
        let now = (shared.clock)();
        Self { hand, now }
    }
}

impl CoarseTime {
    /// Makes the next record read the clock.
    pub(super) fn refresh(&mut self) {
        self.left = 0;
    }

    /// Returns the time for a record from the last read. `None` if a new read is due.
    #[inline(always)]
    pub(super) fn share(&mut self, shared: &Shared) -> Option<Timestamp> {
        if self.left == 0 || self.hand != shared.tick.hand() {
            return None;
        }
        self.left -= 1;
        Some(self.now)
    }

    /// Takes over a new read, and decides how many further records may share it. Returns its time.
    pub(super) fn take(&mut self, read: ClockRead, shared: &Shared) -> Timestamp {
        let ClockRead { hand, now } = read;
        let quick = now.to_millis().saturating_sub(self.now.to_millis()) <= 1;
        self.hand = hand;
        self.now = now;
        self.stride = if quick {
            (self.stride * 2 + 1).min(31)
        } else {
            0
        };
        self.left = self.stride;
        if self.left > 0 && shared.tick.want() {
            shared.bell.ring();
        }
        now
    }

    /// Notes that `records` more took the time of the last read.
    pub(super) fn spend(&mut self, records: u32) {
        let records = u8::try_from(records).unwrap_or(u8::MAX);
        self.left = self.left.saturating_sub(records);
    }
}
