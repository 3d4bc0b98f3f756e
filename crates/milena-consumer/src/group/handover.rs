//! Takes partitions, gives them back in order, or drops them as lost. Both group protocols use it.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use milena_core::{Reason, RebalancePhase, TopicPartition};
use milena_lanes::{PauseHolder, caught};
use milena_pool::Cluster;
use tokio::time::timeout;

use crate::assignment::Assignment;
use crate::commit::commits::Commits;
use crate::commit::committer::{Committer, Effort};
use crate::core::Core;
use crate::group::member::Pulse;
use crate::group::standing::Standing;
use crate::lifecycle::Lifecycle;
use crate::partition::{FetchFrom, Partition};
use crate::pausing::Pausing;
use crate::reports::Reports;
use crate::settings::Settings;

/// The parts of a consumer that partitions pass through when they come and go.
#[derive(Clone, Copy)]
pub(crate) struct Handover<'a> {
    /// The cluster. It fetches the metadata of the topics that were taken.
    cluster: &'a Cluster,
    /// The assigned partitions.
    assignment: &'a Assignment,
    /// The pauses that hold new partitions until the listener has returned.
    pausing: &'a Pausing,
    /// The membership, whose generation reports name.
    membership: &'a Standing,
    /// The commits, which tell if offsets are committed before partitions are given back.
    commits: &'a Commits,
    /// The committing of these offsets.
    committer: Committer<'a>,
    /// The reports of each step of a rebalance.
    reports: &'a Reports,
    /// The end of the consumer. Reached if the listener panics.
    lifecycle: &'a Lifecycle,
    /// The listener and the drain timeout.
    settings: &'a Settings,
}

impl<'a> Handover<'a> {
    /// Returns the parts of this consumer.
    pub(crate) fn of(core: &'a Core) -> Self {
        Self {
            cluster: &core.cluster,
            assignment: &core.assignment,
            pausing: &core.pausing,
            membership: &core.membership,
            commits: &core.commits,
            committer: Committer::of(core),
            reports: &core.reports,
            lifecycle: &core.lifecycle,
            settings: &core.settings,
        }
    }

    /// Takes these partitions and starts to read them, after the listener returned if there is one.
    pub(crate) async fn take(&self, partitions: BTreeSet<TopicPartition>) {
        let partitions: Vec<_> = partitions.into_iter().collect();
        let topics = partitions.iter().map(|place| place.topic.clone());
        self.cluster.want_topics(topics);
        let group = self.reports.group_name();
        let generation = self.membership.generation();
        tracing::info!(group, generation, ?partitions, "assigned");
        self.reports
            .rebalance(generation, RebalancePhase::Assigned, &partitions);
        let listener = self.settings.membership.listener.clone();
        let listener = listener.filter(|_| !partitions.is_empty());
        let starts = partitions
            .iter()
            .map(|place| (place.clone(), FetchFrom::Committed));
        let hold = listener.is_some().then_some((&HOLD, &HELD));
        self.assignment.assign_held(starts, hold);
        let Some(listener) = listener else { return };
        if !self
            .hear("assigned", async {
                listener.assigned(&partitions).await;
            })
            .await
        {
            // The callback panicked, so the user's code is not ready for records. The consumer ends
            // now, and the partitions stay paused until they are given back.
            return;
        }
        for place in &partitions {
            if let Ok(partition) = self.assignment.partition(place) {
                self.pausing.let_go(&partition, &HOLD);
            }
        }
    }

    /// Gives partitions back to the group. Heartbeats and all other partitions go on meanwhile.
    ///
    /// The steps are:
    /// - stop delivery and wait for the handlers, at most for the drain timeout
    /// - commit if auto commit is on, call the listener, and send the commits that are still queued
    /// - report the event, fence the partitions and release them
    ///
    /// `loss` resolves when the membership is known to be lost. Nothing is committed from then on,
    /// and its value is returned.
    pub(crate) async fn give_back(
        &self,
        partitions: &[Arc<Partition>],
        loss: impl Future<Output = Pulse>,
    ) -> Option<Pulse> {
        if partitions.is_empty() {
            return None;
        }
        let places = places(partitions);
        for partition in partitions {
            partition.stop();
        }
        let returning = async {
            let drained = async {
                for partition in partitions {
                    partition.drained().await;
                }
            };
            if timeout(self.settings.drain_timeout, drained).await.is_err() {
                tracing::warn!(
                    group = self.reports.group_name(),
                    "handlers did not end within the drain timeout: their records are read again"
                );
            }
            if self.commits.is_automatic()
                && let Err(error) = self.committer.commit(partitions, Effort::LAST).await
            {
                tracing::warn!(group = self.reports.group_name(), %error, "offsets were not committed before partitions were given back: records are read again");
            }
            if let Some(listener) = &self.settings.membership.listener {
                self.hear("revoked", async { listener.revoked(&places).await })
                    .await;
            }
            // This member still owns the partitions until they are released, so send the commits
            // that are queued in the background now.
            self.committer.flush().await;
        };
        tokio::select! {
            () = returning => {
                let (group, generation) = (self.reports.group_name(), self.membership.generation());
                tracing::info!(group, generation, partitions = ?places, "given back");
                self.reports.rebalance(generation, RebalancePhase::Revoked, &places);
                self.assignment.release(partitions);
                None
            }
            word = loss => {
                self.lose(partitions).await;
                Some(word)
            }
        }
    }

    /// Releases partitions that other members may own already. Commits nothing.
    pub(crate) async fn lose(&self, partitions: &[Arc<Partition>]) {
        if partitions.is_empty() {
            return;
        }
        self.assignment.release(partitions);
        let places = places(partitions);
        let (group, generation) = (self.reports.group_name(), self.membership.generation());
        tracing::warn!(group, generation, partitions = ?places, "partitions lost: other members may own them, and records that were not committed are read again");
        self.reports
            .rebalance(generation, RebalancePhase::Lost, &places);
        if let Some(listener) = &self.settings.membership.listener {
            self.hear("lost", async { listener.lost(&places).await })
                .await;
        }
    }

    /// Awaits a call of `method`, at most for the drain timeout. Returns `false` if the call
    /// panicked, which ends the consumer.
    async fn hear(&self, method: &str, call: impl Future<Output = ()>) -> bool {
        let limit = self.settings.drain_timeout;
        let what = format!("the rebalance listener's `{method}`");
        match caught(&what, timeout(limit, call)).await {
            Ok(Ok(())) => true,
            Ok(Err(_)) => {
                let group = self.reports.group_name();
                tracing::warn!(
                    group,
                    method,
                    ?limit,
                    "a rebalance listener did not return within the drain timeout: the rebalance goes on without it"
                );
                true
            }
            Err(error) => {
                self.lifecycle.fail(error);
                false
            }
        }
    }

    /// Releases all assigned partitions that other members may own already. Commits nothing.
    pub(crate) async fn lose_all(&self) {
        self.lose(&self.assignment.partitions()).await;
    }
}

fn places(partitions: &[Arc<Partition>]) -> Vec<TopicPartition> {
    partitions.iter().map(|p| p.place().clone()).collect()
}

/// Holder of the pause that holds new partitions until the listener has returned.
const HOLD: PauseHolder = PauseHolder::RebalanceListener;
/// Reason of that pause, as the user sees it.
const HELD: Reason = Reason::Borrowed("the rebalance listener has not returned yet");
