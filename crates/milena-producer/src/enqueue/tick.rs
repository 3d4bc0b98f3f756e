//! A coarse clock, from which records that share a read of the wall clock see that time has passed.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A counter that moves on at most a millisecond after records were allowed to share a read of the
/// wall clock, as long as the sender runs.
///
/// All accesses are relaxed except the count itself, since nothing else depends on it. A record
/// that sees the old value for some nanoseconds has a timestamp that is too early by as much.
#[derive(Debug, Default)]
// On a cache line of its own. Each record reads it, and the fields beside it in `Shared` are
// written often by the sender.
#[repr(align(128))]
pub(crate) struct Tick {
    /// The count. The sender adds to it, and callers read it.
    hand: AtomicU32,
    /// True if a read was shared since the count last moved on. Callers set it, and the sender
    /// clears it.
    wanted: AtomicBool,
}

/// The time for which a read of the wall clock may be shared.
const STEP: Duration = Duration::from_millis(1);

impl Tick {
    /// Returns the count. A read of the wall clock may be shared while this stays the same.
    #[inline(always)]
    pub(crate) fn hand(&self) -> u32 {
        self.hand.load(Ordering::Relaxed)
    }

    /// Asks for the count to move on soon. Returns true for the first caller to ask, which then
    /// wakes the sender.
    pub(crate) fn want(&self) -> bool {
        !self.wanted.load(Ordering::Relaxed) && !self.wanted.swap(true, Ordering::Relaxed)
    }

    /// Moves the count on if that was asked for and `due` has come. Returns the time at which to
    /// call this again. `due` is the sender's note of that time.
    pub(crate) fn turn(&self, due: &mut Option<Instant>, now: Instant) -> Option<Instant> {
        if due.is_some_and(|time| time <= now) {
            *due = None;
            // Cleared before the count moves on, so that a caller which shares a read from now on
            // asks again.
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
