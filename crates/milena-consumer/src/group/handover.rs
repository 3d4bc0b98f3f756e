//! Takes partitions, gives them back in order, or drops them as lost. Both group protocols use it.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use milena_core::{Reason, RebalancePhase, TopicPartition};
use milena_lanes::{PauseHolder, caught};
use tokio::time::timeout;

use crate::commit;
use crate::core::Core;
use crate::group::member::Pulse;
use crate::partition::{FetchFrom, Partition};

/// Takes these partitions and starts to read them, after the listener returned if there is one.
pub(crate) async fn take(core: &Core, partitions: BTreeSet<TopicPartition>) {
    let partitions: Vec<_> = partitions.into_iter().collect();
    let topics = partitions.iter().map(|place| place.topic.clone());
    core.cluster.want_topics(topics);
    let group = core.settings.group_name();
    let generation = core.membership.generation();
    tracing::info!(group, generation, ?partitions, "assigned");
    core.reports
        .rebalance(generation, RebalancePhase::Assigned, &partitions);
    let listener = core.settings.membership.listener.clone();
    let listener = listener.filter(|_| !partitions.is_empty());
    let starts = partitions
        .iter()
        .map(|place| (place.clone(), FetchFrom::Committed));
    let hold = listener.is_some().then_some((&HOLD, &HELD));
    core.assignment.assign_held(starts, hold);
    let Some(listener) = listener else { return };
    if !hear(core, "assigned", async {
        listener.assigned(&partitions).await;
    })
    .await
    {
        // The callback panicked, so the user's code is not ready for records. The consumer ends
        // now, and the partitions stay paused until they are given back.
        return;
    }
    for place in &partitions {
        if let Ok(partition) = core.assignment.partition(place) {
            core.pausing.let_go(&partition, &HOLD);
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
/// `loss` resolves when the membership is known to be lost. Nothing is committed from then on, and
/// its value is returned.
pub(crate) async fn give_back(
    core: &Core,
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
        if timeout(core.settings.drain_timeout, drained).await.is_err() {
            tracing::warn!(
                group = core.settings.group_name(),
                "handlers did not end within the drain timeout: their records are read again"
            );
        }
        if core.commits.is_automatic()
            && let Err(error) = commit::commit(core, partitions, commit::Effort::LAST).await
        {
            tracing::warn!(group = core.settings.group_name(), %error, "offsets were not committed before partitions were given back: records are read again");
        }
        if let Some(listener) = &core.settings.membership.listener {
            hear(core, "revoked", async { listener.revoked(&places).await }).await;
        }
        // This member still owns the partitions until they are released, so send the commits that
        // are queued in the background now.
        commit::flush(core).await;
    };
    tokio::select! {
        () = returning => {
            let (group, generation) = (core.settings.group_name(), core.membership.generation());
            tracing::info!(group, generation, partitions = ?places, "given back");
            core.reports.rebalance(generation, RebalancePhase::Revoked, &places);
            core.assignment.release(partitions);
            None
        }
        word = loss => {
            lose(core, partitions).await;
            Some(word)
        }
    }
}

/// Releases partitions that other members may own already. Commits nothing.
pub(crate) async fn lose(core: &Core, partitions: &[Arc<Partition>]) {
    if partitions.is_empty() {
        return;
    }
    core.assignment.release(partitions);
    let places = places(partitions);
    let (group, generation) = (core.settings.group_name(), core.membership.generation());
    tracing::warn!(group, generation, partitions = ?places, "partitions lost: other members may own them, and records that were not committed are read again");
    core.reports
        .rebalance(generation, RebalancePhase::Lost, &places);
    if let Some(listener) = &core.settings.membership.listener {
        hear(core, "lost", async { listener.lost(&places).await }).await;
    }
}

/// Awaits a call of `method`, at most for the drain timeout. Returns `false` if the call panicked,
/// which ends the consumer.
async fn hear(core: &Core, method: &str, call: impl Future<Output = ()>) -> bool {
    let limit = core.settings.drain_timeout;
    let what = format!("the rebalance listener's `{method}`");
    match caught(&what, timeout(limit, call)).await {
        Ok(Ok(())) => true,
        Ok(Err(_)) => {
            let group = core.settings.group_name();
            tracing::warn!(
                group,
                method,
                ?limit,
                "a rebalance listener did not return within the drain timeout: the rebalance goes on without it"
            );
            true
        }
        Err(error) => {
            core.lifecycle.fail(error);
            false
        }
    }
}

fn places(partitions: &[Arc<Partition>]) -> Vec<TopicPartition> {
    partitions.iter().map(|p| p.place().clone()).collect()
}

/// Holder of the pause that holds new partitions until the listener has returned.
const HOLD: PauseHolder = PauseHolder::RebalanceListener;
/// Reason of that pause, as the user sees it.
const HELD: Reason = Reason::Borrowed("the rebalance listener has not returned yet");
