//! Pauses and resumes partitions, and reports it to observers.

use std::sync::Arc;

use milena_core::{Event, Observers, Reason};
use milena_lanes::PauseHolder;

use crate::partition::Partition;
use crate::wakes::Wakes;

/// Pauses and resumes the partitions of one consumer.
#[derive(Clone)]
pub(crate) struct Pausing {
    /// The name of the group, for observers. `None` without a group.
    group: Option<Arc<str>>,
    /// Hear of each pause and resumption.
    observers: Observers,
    /// Woken when a holder lets go.
    wakes: Arc<Wakes>,
}

impl Pausing {
    /// Returns the pausing of a consumer.
    pub(crate) fn new(group: Option<Arc<str>>, observers: Observers, wakes: Arc<Wakes>) -> Self {
        Self {
            group,
            observers,
            wakes,
        }
    }

    /// Adds `by` to the holders that keep the partition paused. Reports it if `by` did not hold it
    /// before.
    pub(crate) fn hold(&self, partition: &Partition, by: &PauseHolder, reason: &Reason) {
        if partition.pause(by, reason.clone()) {
            self.observers.emit(|| Event::Paused {
                group: self.group.as_deref().unwrap_or_default(),
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
            self.observers.emit(|| Event::Resumed {
                group: self.group.as_deref().unwrap_or_default(),
                partition: place,
            });
        }
        self.wakes.wake();
    }
}
