//! The decision whether a record is traced. Its context decides, or else chance.

use crate::context::TraceContext;

/// The share of beginning traces that are recorded, as a number out of 2^32.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio(u64);

impl Ratio {
    /// Every trace is recorded.
    pub(crate) const ALL: Self = Self(1 << 32);

    pub(crate) fn new(ratio: f64) -> Self {
        // NaN becomes 0 in the cast below. A ratio out of range is taken as its nearest bound.
        let of_all = ratio.clamp(0.0, 1.0) * Self::ALL.0 as f64;
        Self(of_all.round() as u64)
    }

    /// Decides for a record with the context `parent`.
    #[inline]
    pub(crate) fn decide(self, parent: Option<TraceContext>) -> Decision {
        match parent {
            Some(parent) if parent.is_sampled() => Decision::Record(Some(parent)),
            Some(parent) => Decision::PassOn(Some(parent)),
            None if self.is_drawn() => Decision::Record(None),
            None => Decision::PassOn(None),
        }
    }

    /// Returns true for the given share of calls, by chance.
    #[inline]
    fn is_drawn(self) -> bool {
        self.0 == Self::ALL.0 || u64::from(fastrand::u32(..)) < self.0
    }
}

/// The decision on one record.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Record it in a span below this context. `None` begins a trace.
    Record(Option<TraceContext>),
    /// Make no span, and pass this context on. `None` begins a trace that is not recorded, so that
    /// later stages do not decide again.
    PassOn(Option<TraceContext>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_so_many_are_drawn_as_the_ratio_says() {
        let drawn = |ratio: f64| {
            let ratio = Ratio::new(ratio);
            (0..100_000).filter(|_| ratio.is_drawn()).count()
        };
        assert_eq!((drawn(0.0), drawn(-1.0), drawn(f64::NAN)), (0, 0, 0));
        assert_eq!((drawn(1.0), drawn(7.0)), (100_000, 100_000));
        // Nine standard deviations around the mean.
        assert!((717..1_283).contains(&drawn(0.01)));
        assert!((48_577..51_423).contains(&drawn(0.5)));
    }
}
