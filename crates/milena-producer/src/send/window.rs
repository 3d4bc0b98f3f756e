//! The limit of bytes that may be in flight to a broker.

use std::collections::HashMap;
use std::time::Duration;

use milena_core::NodeId;
use tokio::time::Instant;

/// The bytes in flight to one broker, over all connections to it.
///
/// The deadline of a request runs from the time at which it is handed to the connection. On a slow
/// link the requests before it in the client's own queue would use that time up, and everything
/// would be sent again for ever. So the limit is what can be answered in time. It doubles each
/// round while answers come soon, and falls once they come late.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// The most bytes without an answer. One request may always be in flight.
    limit: usize,
    /// The bytes without an answer.
    open: usize,
    /// True if the last answer took long, so that requests wait for the link and not for the
    /// broker.
    slow: bool,
}

/// The limit at first, in bytes. A link of 40 KB/s transfers more within the default request
/// timeout.
const FIRST: usize = 1 << 20;

/// The lowest limit, in bytes.
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
    /// Returns the bytes that may be handed over now. A first request may be larger.
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.open)
    }

    /// Returns true if a request may be handed over at all.
    pub(crate) fn is_open(&self) -> bool {
        self.open == 0 || self.open < self.limit
    }

    /// Returns true if requests wait for the link, and not for the broker's work.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow
    }

    /// Notes that a request of this many bytes was handed over.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.open += bytes;
    }

    /// Notes that an answer came. `took` is the time since its request was handed over, and
    /// `timeout` is the time that it might have taken.
    pub(crate) fn answered(&mut self, bytes: usize, took: Duration, timeout: Duration) {
        // The limit rises only if it was used. If far fewer bytes are in flight, a quick answer
        // says nothing about the link.
        let used = self.open >= self.limit / 2;
        self.open = self.open.saturating_sub(bytes);
        self.slow = took > timeout / 8;
        if took > timeout / 4 {
            // The part of the limit that is answered within a quarter of the timeout.
            let share = (timeout / 4).as_secs_f64() / took.as_secs_f64().max(f64::MIN_POSITIVE);
            let aim = self.limit as f64 * share.max(0.5);
            self.limit = (aim as usize).max(LEAST);
        } else if used && !self.slow {
            self.limit = self.limit.saturating_add(bytes);
        }
    }

    /// Notes that a connection did not accept a request after all.
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
    /// Returns the window of a broker.
    pub(crate) fn of(&mut self, node: NodeId) -> &mut Window {
        self.0.entry(node).or_default()
    }
}

/// The part of a broker's window that a request holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// The bytes of the request.
    pub(crate) bytes: usize,
    /// The time at which it was handed over.
    pub(crate) since: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sends over a link of `rate` bytes per second. Returns the limit after a while, and the
    /// longest time that an answer took after the first 100.
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
