//! Lanes that hand over one record at a time to a handler of several records.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Offset;

/// The state of a lane's present record, shared by the lane, its layers and a handler of several
/// records. For lanes that hand over one record at a time. The handler gathers these records with
/// the records of other lanes.
///
/// A driver adds it as an extension to each record. All records that a lane sends one after another
/// to one route carry the same `BatchLane`. A failure of an attempt at several records, for example
/// a timeout, does not show which record was at fault. So it counts for none of them, and each is
/// tried again alone.
#[derive(Clone, Default)]
pub struct BatchLane(
    /// Locked only for the length of a read or one change, never across an await.
    Arc<Mutex<LaneState>>,
);

#[derive(Default)]
struct LaneState {
    /// The offset of the present attempt's record. `None` before the first attempt.
    offset: Option<Offset>,
    /// True if that attempt is made together with records of other lanes.
    shared: bool,
    /// The offset of the record that is tried only without others. `None` if there was none yet.
    alone: Option<Offset>,
}

impl BatchLane {
    /// Creates the state of a lane without a record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins an attempt at the record at `offset`. Returns true if the attempt must be made
    /// without records of other lanes.
    #[must_use]
    pub fn begin(&self, offset: Offset) -> bool {
        let mut state = self.lock();
        state.offset = Some(offset);
        state.shared = false;
        state.alone == Some(offset)
    }

    /// Marks the present attempt as one that is made together with records of other lanes.
    pub fn share(&self) {
        self.lock().shared = true;
    }

    /// Returns true if the present attempt is made together with records of other lanes. A failure
    /// of that attempt may then be the fault of another record.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.lock().shared
    }

    /// Makes [`begin`](Self::begin) ask for attempts without others, as long as this record is
    /// retried.
    pub fn try_alone(&self) {
        let mut state = self.lock();
        state.alone = state.offset;
    }

    fn lock(&self) -> MutexGuard<'_, LaneState> {
        // No code that holds the lock panics in the middle of a change, so a poisoned state is
        // complete.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for BatchLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("BatchLane")
            .field("offset", &state.offset)
            .field("shared", &state.shared)
            .field("alone", &state.alone)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_failed_with_others_is_tried_alone_until_another_one_comes() {
        let lane = BatchLane::new();
        let (first, second) = (Offset::from(7_u32), Offset::from(8_u32));
        assert!(!lane.begin(first) && !lane.is_shared());
        lane.share();
        assert!(lane.is_shared());
        lane.try_alone();
        for _ in 0..2 {
            assert!(lane.begin(first) && !lane.is_shared());
        }
        assert!(!lane.begin(second));
    }
}
