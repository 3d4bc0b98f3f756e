//! The largest batch that a topic's brokers accept, learned from the batches that they refuse.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The most bytes of a topic's batches before compression. It has no effect until a broker refuses
/// a batch as too large.
///
/// A broker does not say what it accepts (`max.message.bytes`), so half of the refused size is
/// tried next. A topic that accepts less than the batch size then costs a few refusals at first,
/// and not one per batch. The limit never rises again while the producer lives.
#[derive(Debug)]
pub(crate) struct BatchLimit(AtomicUsize);

impl Default for BatchLimit {
    fn default() -> Self {
        Self(AtomicUsize::new(usize::MAX))
    }
}

impl BatchLimit {
    /// Returns the limit in bytes, or `usize::MAX` if there is none.
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Notes that a batch of several records was refused. `plain` is its bytes before compression.
    /// Returns true if the limit fell.
    pub(crate) fn refused(&self, plain: usize) -> bool {
        let limit = (plain / 2).max(LEAST);
        self.0.fetch_min(limit, Ordering::Relaxed) > limit
    }
}

/// The lowest limit in bytes. Smaller batches would cost more than refusals.
const LEAST: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_was_refused_is_tried_next() {
        let limit = BatchLimit::default();
        assert_eq!(limit.get(), usize::MAX);
        assert!(limit.refused(500_000));
        assert!(!limit.refused(500_000), "several were on their way");
        assert!(limit.refused(250_000));
        assert_eq!(limit.get(), 125_000);
        assert!(limit.refused(0));
        assert_eq!(limit.get(), LEAST);
    }
}
