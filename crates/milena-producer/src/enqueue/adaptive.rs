//! The choice of the next partition for a caller without keys. The fewer batches wait for a
//! partition, the likelier it is chosen (KIP-794).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The batches that wait for a partition. The sender writes the figures, and callers read them.
///
/// All accesses are relaxed, since callers only use the figures to choose and nothing else depends
/// on them.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// The number of closed batches that wait to be sent.
    batches: AtomicU32,
    /// The time since which no waiting batch has left, in microseconds since `origin`. 0 while
    /// nothing waits.
    stuck: AtomicU64,
    /// The time at which this was created.
    origin: Instant,
}

impl Backlog {
    pub(crate) fn new() -> Self {
        Self {
            batches: AtomicU32::new(0),
            stuck: AtomicU64::new(0),
            origin: Instant::now(),
        }
    }

    /// Sets the number of closed batches that wait to be sent. `moved` is true if one has just
    /// left.
    pub(crate) fn set(&self, batches: usize, moved: bool) {
        let batches = u32::try_from(batches).unwrap_or(u32::MAX);
        let before = self.batches.swap(batches, Ordering::Relaxed);
        if batches == 0 {
            self.stuck.store(0, Ordering::Relaxed);
        } else if moved || before == 0 {
            let since = self.origin.elapsed().as_micros().max(1);
            self.stuck
                .store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Returns the number of waiting batches. `None` if none of them has left for longer than
    /// `limit`.
    pub(crate) fn read(&self, limit: Option<Duration>) -> Option<u32> {
        if let Some(limit) = limit {
            let stuck = self.stuck.load(Ordering::Relaxed);
            if stuck > 0 && self.origin.elapsed() > Duration::from_micros(stuck) + limit {
                return None;
            }
        }
        Some(self.batches.load(Ordering::Relaxed))
    }
}

/// The way in which a topic's records without keys are spread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    /// `partitioner.adaptive.partitioning.enable`. True if partitions with fewer waiting batches
    /// get more records.
    pub(crate) adaptive: bool,
    /// `partitioner.availability.timeout.ms`. `None` turns it off.
    pub(crate) availability: Option<Duration>,
}

/// The most partitions that are compared for one choice. They start with the one whose turn it is.
pub(crate) const LOOKED_AT: usize = 128;

/// Picks one of `backlogs` at random, with a weight of `most + 1 - own` each. `None` marks a
/// partition that is not available.
///
/// `draw` returns a number below its argument. The result is `None` if all have the same backlog,
/// or if none is available.
pub(crate) fn pick(
    backlogs: impl Iterator<Item = Option<u32>> + Clone,
    draw: impl FnOnce(u64) -> u64,
) -> Option<usize> {
    let (mut least, mut most, mut sum, mut count, mut gone) = (u32::MAX, 0, 0_u64, 0_u64, 0_u64);
    for backlog in backlogs.clone() {
        match backlog {
            Some(waiting) => {
                least = least.min(waiting);
                most = most.max(waiting);
                sum += u64::from(waiting);
                count += 1;
            }
            None => gone += 1,
        }
    }
    if count == 0 || (gone == 0 && least == most) {
        return None;
    }
    let weight = |waiting: u32| u64::from(most) + 1 - u64::from(waiting);
    let mut left = draw((u64::from(most) + 1) * count - sum);
    for (at, backlog) in backlogs.enumerate() {
        let Some(waiting) = backlog else { continue };
        match left.checked_sub(weight(waiting)) {
            Some(rest) => left = rest,
            None => return Some(at),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(backlogs: &[Option<u32>]) -> Vec<usize> {
        let mut shares = vec![0; backlogs.len()];
        let mut total = 1;
        let mut drawn = 0;
        while drawn < total {
            let at = pick(backlogs.iter().copied(), |below| {
                total = below;
                drawn
            });
            shares[at.unwrap()] += 1;
            drawn += 1;
        }
        shares
    }

    #[test]
    fn the_chance_falls_with_what_waits() {
        assert_eq!(shares(&[Some(0), Some(3), Some(1)]), [4, 1, 3]);
    }

    #[test]
    fn who_is_unavailable_is_never_chosen() {
        assert_eq!(shares(&[Some(2), None, Some(2)]), [1, 0, 1]);
    }

    #[test]
    fn where_all_wait_alike_or_nobody_is_there_it_is_left_to_turns() {
        assert_eq!(pick([Some(4), Some(4)].into_iter(), |_| 0), None);
        assert_eq!(pick([None, None].into_iter(), |_| 0), None);
        assert_eq!(pick(std::iter::empty(), |_| 0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_from_which_nothing_leaves_becomes_unavailable() {
        let (backlog, limit) = (Backlog::new(), Some(Duration::from_secs(1)));
        backlog.set(2, false);
        tokio::time::advance(Duration::from_millis(900)).await;
        backlog.set(3, false);
        assert_eq!(backlog.read(limit), Some(3));
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(backlog.read(limit), None);
        assert_eq!(backlog.read(None), Some(3));
        backlog.set(2, true);
        assert_eq!(backlog.read(limit), Some(2));
        backlog.set(0, true);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(backlog.read(limit), Some(0));
    }
}
