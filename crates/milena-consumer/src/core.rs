//! State that the tasks of a consumer share. It holds the assignment, the membership, the signals
//! between the tasks, and the reason for the end.

use std::sync::Arc;

use milena_core::{Error, Event, NodeId, Observers, RebalancePhase, Result, TopicPartition};
use milena_fetch::{Budget, Openers, Unpacker};
use milena_pool::{Cluster, Connection, CoordinatorKey, OwnConnections, Role};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::assignment::Assignment;
use crate::commit::commits::Commits;
use crate::counts::Counts;
use crate::group::signals::Signals;
use crate::group::standing::Standing;
use crate::group::verdict_watch::VerdictWatch;
use crate::lifecycle::Lifecycle;
use crate::partition::Partition;
use crate::pausing::Pausing;
use crate::positions::baseline::Baseline;
use crate::settings::Settings;
use crate::wakes::Wakes;

/// State that all tasks of one consumer share. Lives until the consumer and its tasks are gone.
pub(crate) struct Core {
    /// The cluster that the consumer reads from.
    pub(crate) cluster: Cluster,
    /// Connections that only this consumer uses. A fetch blocks its connection at the broker, so a
    /// shared one would delay the requests of other consumers.
    pub(crate) connections: OwnConnections,
    /// The settings as `build` checked them. They never change.
    pub(crate) settings: Settings,
    /// The bytes that fetched records hold, against `buffer_memory`.
    pub(crate) budget: Arc<Budget>,
    /// The signals by which the tasks wake each other.
    pub(crate) wakes: Arc<Wakes>,
    /// Pauses and resumes partitions, and reports it.
    pub(crate) pausing: Pausing,
    /// The assigned partitions, and the handler that gets their records.
    pub(crate) assignment: Assignment,
    /// The start and the end of the consumer.
    pub(crate) lifecycle: Lifecycle,
    /// Commits, and what was committed.
    pub(crate) commits: Commits,
    /// Opens large compressed batches beside their readers.
    pub(crate) openers: Arc<Openers<Partition>>,
    /// Requests from the program to the group's task, such as a new subscription.
    pub(crate) group: Signals,
    /// The current membership, written by the group's task. `None` outside the group.
    pub(crate) membership: Standing,
    /// The latest verdict of the coordinator on a membership. The group's task acts on it.
    pub(crate) verdict: VerdictWatch,
    /// Counts for the report of a run.
    pub(crate) counts: Counts,
    /// The partitions that existed when the consumer subscribed. Needed for `OffsetReset::Latest`.
    pub(crate) baseline: Mutex<Baseline>,
}

impl Core {
    pub(crate) fn new(cluster: Cluster, settings: Settings) -> Arc<Self> {
        let wakes = Arc::new(Wakes::default());
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let budget = Budget::new(settings.buffer_memory, Arc::clone(&wakes.fetch));
        let (checks, largest) = (settings.check_crcs, settings.max_batch_size);
        let unpacker = Unpacker::new(checks, largest, Arc::clone(&budget));
        let pausing = Pausing::new(
            settings.group.clone(),
            settings.observers.clone(),
            Arc::clone(&wakes),
        );
        Arc::new(Self {
            assignment: Assignment::new(
                settings.group.clone(),
                pausing.clone(),
                Arc::clone(&wakes),
            ),
            pausing,
            budget,
            openers: Openers::new(cores, unpacker, Arc::clone(&wakes.ready)),
            connections: OwnConnections::new(cluster.clone()),
            cluster,
            lifecycle: Lifecycle::new(
                settings.group.clone(),
                settings.observers.clone(),
                Arc::clone(&wakes.ready),
            ),
            wakes,
            group: settings.signals(),
            settings,
            commits: Commits::new(),
            membership: Standing::new(),
            verdict: VerdictWatch::new(),
            counts: Counts::default(),
            baseline: Mutex::default(),
        })
    }

    pub(crate) fn observers(&self) -> &Observers {
        &self.settings.observers
    }

    /// Notes the runtime of the tasks and reports the start to observers.
    pub(crate) fn run_on(&self, runtime: Handle) {
        // Only the first call reports the start.
        if self.lifecycle.run_on(runtime) {
            self.membership.begin();
            self.lifecycle.tell_start();
        }
    }

    /// Reports a step of a rebalance to observers.
    pub(crate) fn tell_rebalance(
        &self,
        generation: i32,
        phase: RebalancePhase,
        partitions: &[TopicPartition],
    ) {
        self.observers().emit(|| Event::Rebalance {
            group: self.settings.group_name(),
            generation,
            phase,
            partitions,
        });
    }

    /// Reports a failed fetch to observers. `partition` is `None` if the whole fetch failed.
    pub(crate) fn tell_fetch_failed(
        &self,
        node: NodeId,
        partition: Option<&TopicPartition>,
        error: &Error,
    ) {
        self.observers().emit(|| Event::FetchFailed {
            group: self.settings.group_name(),
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
            self.observers().emit(|| Event::LookupFailed {
                group: self.settings.group_name(),
                partition: partition.place(),
                error,
            });
        }
        if first {
            tracing::warn!(
                group = self.settings.group_name(), partitions = count, %error,
                "the positions of partitions cannot be looked up; they are looked up again"
            );
        }
    }

    /// Notes that the position of one partition could not be looked up.
    pub(crate) fn lookup_failed(&self, partition: &Partition, error: &Error) {
        let place = partition.place();
        if partition.troubled(Instant::now(), error) {
            tracing::warn!(
                group = self.settings.group_name(), partition = %place, %error,
                "the position of a partition cannot be looked up; it is looked up again"
            );
        }
        self.observers().emit(|| Event::LookupFailed {
            group: self.settings.group_name(),
            partition: place,
            error,
        });
    }

    /// Returns the key by which the cluster finds the group's coordinator.
    pub(crate) fn coordinator_key(&self) -> CoordinatorKey {
        CoordinatorKey::group(self.settings.group_name())
    }

    /// Returns the generation or the member epoch. -1 outside the group.
    pub(crate) fn generation(&self) -> i32 {
        let membership = self.membership.borrow();
        membership.as_ref().map_or(-1, |m| m.generation)
    }

    /// Returns a connection to the group's coordinator. Forgets the coordinator's address if the
    /// broker cannot be reached, so that it is looked up again.
    pub(crate) async fn coordinator(&self, role: Role) -> Result<Connection> {
        let key = self.coordinator_key();
        let node = self.cluster.coordinator(&key).await?;
        match self.connections.connection(node, role).await {
            Ok(connection) => Ok(connection),
            Err(error) => {
                self.cluster.forget_coordinator(&key);
                Err(error)
            }
        }
    }

    /// Forgets the coordinator, so that it is looked up again.
    pub(crate) fn relocate(&self) {
        self.cluster.forget_coordinator(&self.coordinator_key());
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
