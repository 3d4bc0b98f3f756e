//! The faults that apply to one request, for its handler to ask.

use std::sync::Arc;
use std::time::Duration;

use milena_core::ErrorCode;

use super::{Action, Scripted};
use crate::view::View;

/// The faults that apply to one request, in the order they were added. If several answer a
/// question, the first one decides.
#[derive(Debug, Default)]
pub(crate) struct Hits(Vec<Arc<Scripted>>);

impl Hits {
    pub(crate) fn new(hits: Vec<Arc<Scripted>>) -> Self {
        Self(hits)
    }

    /// Returns the names of the faults, for the journal.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|hit| hit.fault.name()).collect()
    }

    pub(crate) fn actions(&self) -> impl Iterator<Item = &Action> {
        self.0.iter().map(|hit| &hit.fault.action)
    }

    /// Returns the error of any fault, even of one for a part of the request.
    pub(crate) fn error(&self) -> Option<ErrorCode> {
        self.actions().find_map(|action| match action {
            Action::Error(code) => Some(*code),
            _ => None,
        })
    }

    /// Returns the error for the whole request. A fault for a topic or a partition does not count.
    pub(crate) fn error_of_request(&self) -> Option<ErrorCode> {
        self.0.iter().find_map(|hit| match hit.fault.action {
            Action::Error(code) if !hit.fault.names_a_part() => Some(code),
            _ => None,
        })
    }

    /// Returns the error for a partition that is not to be served, or for a whole topic with -1.
    pub(crate) fn error_at(&self, topic: &str, partition: i32) -> Option<ErrorCode> {
        self.0.iter().find_map(|hit| match hit.fault.action {
            Action::Error(code) if hit.fault.covers(topic, partition) => Some(code),
            _ => None,
        })
    }

    /// Returns the error for a topic whose partitions have errors of their own. A fault for one of
    /// its partitions does not count.
    pub(crate) fn error_of_topic(&self, topic: &str) -> Option<ErrorCode> {
        self.0.iter().find_map(|hit| match hit.fault.action {
            Action::Error(code)
                if !hit.fault.names_a_partition() && hit.fault.covers(topic, -1) =>
            {
                Some(code)
            }
            _ => None,
        })
    }

    /// Returns the error to answer with after the partition was served.
    pub(crate) fn error_after(&self, topic: &str, partition: i32) -> Option<ErrorCode> {
        self.0.iter().find_map(|hit| match hit.fault.action {
            Action::ApplyThenError(code) if hit.fault.covers(topic, partition) => Some(code),
            _ => None,
        })
    }

    /// Returns true if the partition is left out of the answer.
    pub(crate) fn omits(&self, topic: &str, partition: i32) -> bool {
        self.0.iter().any(|hit| {
            matches!(hit.fault.action, Action::Omit) && hit.fault.covers(topic, partition)
        })
    }

    /// Returns the epoch and end offset at which the log is said to diverge from the client's.
    pub(crate) fn diverging(&self, topic: &str, partition: i32) -> Option<(i32, i64)> {
        self.0.iter().find_map(|hit| match hit.fault.action {
            Action::Diverging(epoch, end) if hit.fault.covers(topic, partition) => {
                Some((epoch, end))
            }
            _ => None,
        })
    }

    /// Returns the throttle time for the answer, in milliseconds.
    pub(crate) fn throttle_ms(&self) -> i32 {
        let throttle = self.actions().find_map(|action| match action {
            Action::Throttle(time) => Some(*time),
            _ => None,
        });
        i32::try_from(throttle.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(i32::MAX)
    }

    /// Returns the old state of the cluster to answer with.
    pub(crate) fn view(&self) -> Option<Arc<View>> {
        self.0.iter().find_map(|hit| hit.view.clone())
    }

    /// Returns true if Metadata must not show the topic.
    pub(crate) fn hides(&self, topic: &str) -> bool {
        self.actions()
            .any(|action| matches!(action, Action::HideTopic(hidden) if hidden == topic))
    }
}
