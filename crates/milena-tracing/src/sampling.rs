//! Whether a record is traced: as its context says; where it has none, by chance.

use crate::context::TraceContext;

/// How many of those that begin a trace are recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio(f64);

impl Ratio {
    pub(crate) const ALL: Self = Self(1.0);

    pub(crate) fn new(ratio: f64) -> Self {
        // What is no number at all counts as none.
        Self(if ratio.is_nan() {
            0.0
        } else {
            ratio.clamp(0.0, 1.0)
        })
    }

    /// What to do below `parent`.
    pub(crate) fn decide(self, parent: Option<TraceContext>) -> Decision {
        match parent {
            Some(parent) if parent.is_sampled() => Decision::Record(Some(parent)),
            Some(parent) => Decision::PassOn(parent),
            None if self.0 >= 1.0 || fastrand::f64() < self.0 => Decision::Record(None),
            None => Decision::PassOn(TraceContext::unsampled()),
        }
    }
}

/// What becomes of a record, as far as traces go.
#[derive(Debug)]
pub(crate) enum Decision {
    /// A span, below that one.
    Record(Option<TraceContext>),
    /// No span.
    PassOn(TraceContext),
}
