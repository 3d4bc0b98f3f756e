//! The end of a partition. Dispatch stops, lanes drain, and after the fence nothing counts any
//! more.

use std::sync::atomic::{AtomicBool, Ordering};

use milena_lanes::Dispatch;

/// The lanes of a partition, and the steps to their end.
#[derive(Debug)]
pub(super) struct Lifetime {
    /// The state of its lanes. Receivers read it too, to see if dispatch has stopped.
    dispatch: Dispatch,
    /// True once the partition is no longer owned. Nothing that is done with its records counts
    /// then.
    fenced: AtomicBool,
    /// True once its lanes were started. They start once.
    laned: AtomicBool,
}

impl Lifetime {
    /// Returns the lifetime of a partition without lanes.
    pub(super) fn new() -> Self {
        Self {
            dispatch: Dispatch::new(),
            fenced: AtomicBool::new(false),
            laned: AtomicBool::new(false),
        }
    }

    /// Returns the state of the lanes.
    pub(super) fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// Returns true for the first call, whose caller must start the lanes.
    pub(super) fn take_lanes(&self) -> bool {
        !self.laned.swap(true, Ordering::AcqRel)
    }

    /// Fences the partition. Returns true for the first call.
    pub(super) fn fence(&self) -> bool {
        !self.fenced.swap(true, Ordering::AcqRel)
    }

    /// Returns true once the partition is fenced.
    pub(super) fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_start_once_and_only_the_first_fence_counts() {
        let lifetime = Lifetime::new();
        assert!(lifetime.take_lanes() && !lifetime.take_lanes());
        assert!(!lifetime.is_fenced());
        assert!(lifetime.fence() && !lifetime.fence());
        assert!(lifetime.is_fenced());
    }
}
