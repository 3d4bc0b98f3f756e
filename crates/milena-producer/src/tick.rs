//! A coarse clock hand: how records that share a read of the wall clock notice that time has passed.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Moves on at most a millisecond after records were allowed to share a read of the wall clock, as long as the sender runs.
///
/// Relaxed throughout: nothing else depends on it, and a record that sees the old value for some nanoseconds is stamped as much too
/// early.
#[derive(Debug, Default)]
// On a cache line of its own: each record reads it, and beside it stands what the sender writes all the time.
#[repr(align(128))]
pub(crate) struct Tick {
    hand: AtomicU32,
    /// Whether a read was shared since the hand last moved.
    wanted: AtomicBool,
}

/// How long a read of the wall clock serves.
const STEP: Duration = Duration::from_millis(1);

impl Tick {
    /// Where the hand stands. A read of the wall clock serves while this stays as it is.
    #[inline(always)]
    pub(crate) fn hand(&self) -> u32 {
        self.hand.load(Ordering::Relaxed)
    }

    /// Asks for the hand to move on soon; true for the first to ask, who wakes the sender.
    pub(crate) fn want(&self) -> bool {
        !self.wanted.load(Ordering::Relaxed) && !self.wanted.swap(true, Ordering::Relaxed)
    }

    /// Moves the hand where that is wanted and `due`; says when to do so otherwise. `due` is the caller's note of that time.
    pub(crate) fn turn(&self, due: &mut Option<Instant>, now: Instant) -> Option<Instant> {
        if due.is_some_and(|time| time <= now) {
            *due = None;
            // Before the hand: who shares a read from now on is seen again.
            self.wanted.store(false, Ordering::Relaxed);
            self.hand.fetch_add(1, Ordering::Release);
        }
        if due.is_none() && self.wanted.load(Ordering::Relaxed) {
            *due = Some(now + STEP);
        }
        *due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hand_moves_a_millisecond_after_it_was_asked_for_and_then_rests() {
        let (tick, mut due) = (Tick::default(), None);
        let now = Instant::now();
        assert_eq!(tick.turn(&mut due, now), None);
        assert!(tick.want() && !tick.want());
        assert_eq!(tick.turn(&mut due, now), Some(now + STEP));
        assert_eq!(tick.hand(), 0);
        assert_eq!(tick.turn(&mut due, now + STEP), None);
        assert_eq!(tick.hand(), 1);
        assert!(tick.want());
    }
}
