//! How many bytes may be on their way to a broker without an answer.

use std::collections::HashMap;
use std::time::Duration;

use milena_core::NodeId;
use tokio::time::Instant;

/// The bytes on their way to one broker, over all connections to it.
///
/// The deadline of a request runs from when it is handed over. On a slow link what stands before it in the own queue would use that up,
/// and everything would be sent again, for ever. So no more is handed over than comes back in time: twice as much for each time around
/// while answers come soon, less once they come late.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// The most bytes without an answer; one request may always be on its way.
    limit: usize,
    open: usize,
    /// Whether the last answers took long for the bytes that were on their way.
    slow: bool,
}

/// What may be on its way at first: less than a request timeout's worth on a link of 40 KB/s.
const FIRST: usize = 1 << 20;

/// The limit falls no further.
const LEAST: usize = 64 << 10;

impl Default for Window {
    fn default() -> Self {
        Self {
            limit: FIRST,
            open: 0,
            slow: false,
        }
    }
}

impl Window {
    /// The bytes that may be handed over now, beyond a first request.
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.open)
    }

    /// Whether a request may be handed over at all.
    pub(crate) fn is_open(&self) -> bool {
        self.open == 0 || self.open < self.limit
    }

    /// Whether the link is what requests wait for, and not the broker's work.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow
    }

    /// Notes a request of so many bytes on its way.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.open += bytes;
    }

    /// Notes that an answer came, so long after its request was handed over; `timeout` is how long it might have taken.
    pub(crate) fn answered(&mut self, bytes: usize, took: Duration, timeout: Duration) {
        // A limit that is far off says nothing of the link.
        let used = self.open >= self.limit / 2;
        self.open = self.open.saturating_sub(bytes);
        self.slow = took > timeout / 8;
        if took > timeout / 4 {
            // So much comes back within a quarter of the timeout.
            let share = (timeout / 4).as_secs_f64() / took.as_secs_f64().max(f64::MIN_POSITIVE);
            let aim = self.limit as f64 * share.max(0.5);
            self.limit = (aim as usize).max(LEAST);
        } else if used && !self.slow {
            self.limit = self.limit.saturating_add(bytes);
        }
    }

    /// Notes that a request was not taken after all.
    pub(crate) fn returned(&mut self, bytes: usize) {
        self.open = self.open.saturating_sub(bytes);
    }

    /// Notes that a request got no answer.
    pub(crate) fn lost(&mut self, bytes: usize) {
        self.open = self.open.saturating_sub(bytes);
        self.limit = (self.limit / 2).max(LEAST);
    }
}

/// The windows of all brokers.
#[derive(Debug, Default)]
pub(crate) struct Windows(HashMap<NodeId, Window>);

impl Windows {
    pub(crate) fn of(&mut self, node: NodeId) -> &mut Window {
        self.0.entry(node).or_default()
    }
}

/// What a request took of its broker's window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) bytes: usize,
    pub(crate) since: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What a link of so many bytes in a second holds at most after a while, and how long an answer takes then.
    fn settles(rate: f64) -> (usize, Duration) {
        let mut window = Window::default();
        let mut most = Duration::ZERO;
        for round in 0..500 {
            let bytes = window.room().clamp(1, 8 << 20);
            window.sent(bytes);
            let took = Duration::from_secs_f64(window.open as f64 / rate);
            window.answered(bytes, took, 30 * SECOND);
            if round > 100 {
                most = most.max(took);
            }
        }
        (window.limit, most)
    }

    #[test]
    fn what_is_on_its_way_over_a_slow_link_comes_back_in_time() {
        for rate in [40e3, 200e3, 2e6] {
            let (limit, took) = settles(rate);
            assert!(took < 15 * SECOND, "{rate}: {took:?}");
            assert!(limit as f64 > rate, "{rate}: {limit}");
        }
    }

    #[test]
    fn a_quick_link_is_not_held_back_for_long() {
        let mut window = Window::default();
        for _ in 0..10 {
            let bytes = window.room();
            window.sent(bytes);
            window.answered(bytes, SECOND / 1000, 30 * SECOND);
        }
        assert!(window.room() > 500 << 20);
        assert!(!window.is_slow());
    }

    #[test]
    fn a_limit_that_nothing_comes_near_does_not_grow() {
        let mut window = Window::default();
        for _ in 0..100_000 {
            window.sent(10_000);
            window.answered(10_000, SECOND / 1000, 30 * SECOND);
        }
        assert_eq!(window.room(), FIRST);
    }

    #[test]
    fn one_request_may_always_be_on_its_way() {
        let mut window = Window::default();
        for _ in 0..50 {
            window.lost(0);
        }
        assert!(window.is_open());
        window.sent(8 << 20);
        assert!(!window.is_open() && window.room() == 0);
        window.lost(8 << 20);
        assert!(window.is_open());
    }
}
