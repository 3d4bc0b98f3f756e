//! Pauses and resumes partitions, and reports it to observers.

use std::sync::Arc;

use milena_core::{Event, Reason};
use milena_lanes::PauseHolder;

use crate::partition::Partition;
use crate::reports::Reports;
use crate::wakes::Wakes;

/// Pauses and resumes the partitions of one consumer.
#[derive(Clone)]
pub(crate) struct Pausing {
    /// The reports of each pause and resumption.
    reports: Reports,
    /// Woken when a holder lets go.
    wakes: Arc<Wakes>,
}

impl Pausing {
    /// Returns the pausing of a consumer.
    pub(crate) fn new(reports: Reports, wakes: Arc<Wakes>) -> Self {
        Self { reports, wakes }
    }

    /// Adds `by` to the holders that keep the partition paused. Reports it if `by` did not hold it
    /// before.
    pub(crate) fn hold(&self, partition: &Partition, by: &PauseHolder, reason: &Reason) {
        if partition.pause(by, reason.clone()) {
            self.reports.emit(|group| Event::Paused {
                group,
                partition: partition.place(),
                by: by.name(),
                reason,
            });
        }
    }

    /// Removes `by` from the holders of the pause. Reports it if the partition resumes.
    pub(crate) fn let_go(&self, partition: &Partition, by: &PauseHolder) {
        if partition.resume(by) {
            let place = partition.place();
            self.reports.emit(|group| Event::Resumed {
                group,
                partition: place,
            });
        }
        self.wakes.wake();
    }
}
