//! Reports of a consumer to its observers and its log. Each event carries the consumer's group.

use std::sync::Arc;

use milena_core::{Error, Event, NodeId, Observers, RebalancePhase, TopicPartition};
use tokio::time::Instant;

use crate::partition::Partition;

/// The observers of a consumer, with the group that its events name. A clone reports to the same
/// observers.
#[derive(Clone)]
pub(crate) struct Reports {
    /// The observers of each event.
    observers: Observers,
    /// The name of the group. `None` without a group, which events show as an empty name.
    group: Option<Arc<str>>,
}

impl Reports {
    /// Returns the reports of a consumer of `group`.
    pub(crate) fn new(observers: Observers, group: Option<Arc<str>>) -> Self {
        Self { observers, group }
    }

    /// Reports the event that `event` makes for the group's name. Without observers, `event` is not
    /// called.
    pub(crate) fn emit<'a>(&'a self, event: impl FnOnce(&'a str) -> Event<'a>) {
        self.observers.emit(|| event(self.group_name()));
    }

    /// Returns the group's name. Empty without a group.
    pub(crate) fn group_name(&self) -> &str {
        self.group.as_deref().unwrap_or_default()
    }

    /// Reports a step of a rebalance.
    pub(crate) fn rebalance(
        &self,
        generation: i32,
        phase: RebalancePhase,
        partitions: &[TopicPartition],
    ) {
        self.emit(|group| Event::Rebalance {
            group,
            generation,
            phase,
            partitions,
        });
    }

    /// Reports a failed fetch. `partition` is `None` if the whole fetch failed.
    pub(crate) fn fetch_failed(
        &self,
        node: NodeId,
        partition: Option<&TopicPartition>,
        error: &Error,
    ) {
        self.emit(|group| Event::FetchFailed {
            group,
            node,
            partition,
            error,
        });
    }

    /// Notes that the positions of these partitions could not be looked up, all for the same
    /// reason. Logs one line for the first failure in a row.
    pub(crate) fn lookups_failed<'p>(
        &self,
        partitions: impl Iterator<Item = &'p Arc<Partition>>,
        error: &Error,
    ) {
        let (now, mut first, mut count) = (Instant::now(), false, 0_usize);
        for partition in partitions {
            first |= partition.troubled_with_broker(now, error);
            count += 1;
            self.emit(|group| Event::LookupFailed {
                group,
                partition: partition.place(),
                error,
            });
        }
        if first {
            tracing::warn!(
                group = self.group_name(), partitions = count, %error,
                "the positions of partitions cannot be looked up; they are looked up again"
            );
        }
    }

    /// Notes that the position of one partition could not be looked up.
    pub(crate) fn lookup_failed(&self, partition: &Partition, error: &Error) {
        let place = partition.place();
        if partition.troubled(Instant::now(), error) {
            tracing::warn!(
                group = self.group_name(), partition = %place, %error,
                "the position of a partition cannot be looked up; it is looked up again"
            );
        }
        self.emit(|group| Event::LookupFailed {
            group,
            partition: place,
            error,
        });
    }
}
