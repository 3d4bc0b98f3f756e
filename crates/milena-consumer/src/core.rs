//! State that the tasks of a consumer share. It holds the assignment, the membership, the signals
//! between the tasks, and the reason for the end.

use std::sync::Arc;

use milena_fetch::{Budget, Openers, Unpacker};
use milena_pool::{Cluster, OwnConnections};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::assignment::Assignment;
use crate::commit::commits::Commits;
use crate::coordinator::Coordinator;
use crate::counts::Counts;
use crate::fetch::unpack::Unpacking;
use crate::group::signals::Signals;
use crate::group::standing::Standing;
use crate::group::verdict_watch::VerdictWatch;
use crate::lifecycle::Lifecycle;
use crate::pausing::Pausing;
use crate::positions::baseline::Baseline;
use crate::positions::query::LogQueries;
use crate::positions::truncation::Truncations;
use crate::reports::Reports;
use crate::settings::Settings;
use crate::wakes::Wakes;

/// State that all tasks of one consumer share. Lives until the consumer and its tasks are gone.
pub(crate) struct Core {
    /// The cluster that the consumer reads from.
    pub(crate) cluster: Cluster,
    /// Connections that only this consumer uses. A fetch blocks its connection at the broker, so a
    /// shared one would delay the requests of other consumers.
    pub(crate) connections: Arc<OwnConnections>,
    /// The coordinator of the group. A consumer without a group never asks it.
    pub(crate) coordinator: Coordinator,
    /// The questions to the leaders of partitions about their logs.
    pub(crate) logs: LogQueries,
    /// The handling of logs that lost records which were read.
    pub(crate) truncations: Truncations,
    /// The reports of events to the observers.
    pub(crate) reports: Reports,
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
    /// The opening of batches, also of those that cannot be read.
    pub(crate) unpacking: Unpacking,
    /// Requests from the program to the group's task, such as a new subscription.
    pub(crate) group: Signals,
    /// The current membership, written by the group's task. `None` outside the group.
    pub(crate) membership: Standing,
    /// The latest verdict of the coordinator on a membership. The group's task acts on it.
    pub(crate) verdict: VerdictWatch,
    /// Counts for the report of a run.
    pub(crate) counts: Arc<Counts>,
    /// The partitions that existed when the consumer subscribed. Needed for `OffsetReset::Latest`.
    pub(crate) baseline: Mutex<Baseline>,
}

impl Core {
    /// Returns the state of a consumer that has not started.
    pub(crate) fn new(cluster: Cluster, settings: Settings) -> Arc<Self> {
        let wakes = Arc::new(Wakes::default());
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let budget = Budget::new(settings.buffer_memory, Arc::clone(&wakes.fetch));
        let (checks, largest) = (settings.check_crcs, settings.max_batch_size);
        let unpacker = Unpacker::new(checks, largest, Arc::clone(&budget));
        let group = || settings.group.clone();
        let connections = Arc::new(OwnConnections::new(cluster.clone()));
        let counts = Arc::<Counts>::default();
        let reports = Reports::new(settings.observers.clone(), group());
        let pausing = Pausing::new(reports.clone(), Arc::clone(&wakes));
        Arc::new(Self {
            assignment: Assignment::new(group(), pausing.clone(), Arc::clone(&wakes)),
            pausing,
            budget,
            unpacking: Unpacking::new(
                Openers::new(cores, unpacker, Arc::clone(&wakes.ready)),
                settings.on_corrupt,
                cluster.backoff(),
                Arc::clone(&counts),
                reports.clone(),
            ),
            coordinator: Coordinator::new(cluster.clone(), Arc::clone(&connections), group()),
            connections,
            logs: LogQueries::new(cluster.clone(), settings.isolation),
            truncations: Truncations::new(
                settings.offset_reset,
                cluster.backoff(),
                Arc::clone(&wakes),
                reports.clone(),
            ),
            cluster,
            reports,
            lifecycle: Lifecycle::new(
                group(),
                settings.observers.clone(),
                Arc::clone(&wakes.ready),
            ),
            wakes,
            group: settings.signals(),
            settings,
            commits: Commits::new(),
            membership: Standing::new(),
            verdict: VerdictWatch::new(),
            counts,
            baseline: Mutex::default(),
        })
    }

    /// Notes the runtime of the tasks and reports the start to observers.
    pub(crate) fn run_on(&self, runtime: Handle) {
        // Only the first call reports the start.
        if self.lifecycle.run_on(runtime) {
            self.membership.begin();
            self.lifecycle.tell_start();
        }
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
