//! How large the batches of a topic may be, learned from what its brokers refuse.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The most bytes of a topic's batches before compression; the batch size until a broker refuses one as too large.
///
/// A broker does not say what it takes (`max.message.bytes`): half of what it refused is tried next. So a topic that takes less than
/// the batch size costs a few refusals at first, and not one for each batch. It never grows again while the producer lives.
#[derive(Debug)]
pub(crate) struct BatchLimit(AtomicUsize);

impl Default for BatchLimit {
    fn default() -> Self {
        Self(AtomicUsize::new(usize::MAX))
    }
}

impl BatchLimit {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Notes that a batch of several records was refused, which had so many bytes before compression; true where that is new.
    pub(crate) fn refused(&self, plain: usize) -> bool {
        let limit = (plain / 2).max(LEAST);
        self.0.fetch_min(limit, Ordering::Relaxed) > limit
    }
}

/// Smaller batches would cost more than refusals.
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
