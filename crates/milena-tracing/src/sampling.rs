//! Whether a record is traced: as its context says; where it has none, by chance.

use crate::context::TraceContext;

/// How many of those that begin a trace are recorded: so many of 2^32 numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio(u64);

impl Ratio {
    pub(crate) const ALL: Self = Self(1 << 32);

    pub(crate) fn new(ratio: f64) -> Self {
        // What is no number at all counts as none; more than all is all.
        let of_all = ratio.clamp(0.0, 1.0) * Self::ALL.0 as f64;
        Self(of_all.round() as u64)
    }

    /// What to do below `parent`.
    #[inline]
    pub(crate) fn decide(self, parent: Option<TraceContext>) -> Decision {
        match parent {
            Some(parent) if parent.is_sampled() => Decision::Record(Some(parent)),
            Some(parent) => Decision::PassOn(Some(parent)),
            None if self.is_drawn() => Decision::Record(None),
            None => Decision::PassOn(None),
        }
    }

    #[inline]
    fn is_drawn(self) -> bool {
        self.0 == Self::ALL.0 || u64::from(fastrand::u32(..)) < self.0
    }
}

/// What becomes of a record, as far as traces go.
#[derive(Debug)]
pub(crate) enum Decision {
    /// A span, below that one.
    Record(Option<TraceContext>),
    /// No span: the context as it came; `None` where it begins a trace that nobody records, so that no stage after this one decides
    /// anew.
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
