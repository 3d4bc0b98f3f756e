//! How partitions come and go, whatever the protocol: taken, given back in good order, or lost.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use milena_core::{Reason, RebalancePhase, TopicPartition};
use tokio::time::timeout;

use super::listener::hear;
use crate::commit;
use crate::core::Core;
use crate::member::Pulse;
use crate::partition::{Partition, Place};

/// The partitions are this member's from now on.
pub(crate) async fn take(core: &Core, partitions: BTreeSet<TopicPartition>) {
    let partitions: Vec<_> = partitions.into_iter().collect();
    let topics = partitions.iter().map(|place| place.topic.clone());
    core.cluster.want_topics(topics);
    let group = core.settings.group_name();
    let generation = core.generation();
    tracing::info!(group, generation, ?partitions, "assigned");
    core.tell_rebalance(generation, RebalancePhase::Assigned, &partitions);
    let listener = core.settings.membership.listener.clone();
    let listener = listener.filter(|_| !partitions.is_empty());
    let starts = partitions
        .iter()
        .map(|place| (place.clone(), Place::Committed));
    let hold = listener.is_some().then(|| Arc::from(HOLD));
    core.assign_held(starts, hold.as_ref());
    let Some(listener) = listener else { return };
    if !hear(core, "assigned", async {
        listener.assigned(&partitions).await;
    })
    .await
    {
        // It was not ready for their records: the consumer ends, and they stay held until they are given back.
        return;
    }
    for place in &partitions {
        if let Ok(partition) = core.partition(place) {
            core.resume(&partition, HOLD);
        }
    }
}

/// Stop dispatch, drain, commit, tell, fence, release; heartbeats go on meanwhile, and so do all other partitions.
///
/// `loss` resolves when the membership is known to be lost: then nothing is committed, and it is returned.
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
                "handlers did not end in time: their records are read again"
            );
        }
        if core.auto_commit.load(Ordering::Acquire)
            && let Err(error) = commit::commit(core, partitions, commit::Effort::LAST).await
        {
            tracing::warn!(group = core.settings.group_name(), %error, "offsets are not committed: records are read again");
        }
        if let Some(listener) = &core.settings.membership.listener {
            hear(core, "revoked", async { listener.revoked(&places).await }).await;
        }
        // What was to be committed without anybody waiting is this member's to commit for a moment yet.
        commit::flush(core).await;
    };
    tokio::select! {
        () = returning => {
            let (group, generation) = (core.settings.group_name(), core.generation());
            tracing::info!(group, generation, partitions = ?places, "given back");
            core.tell_rebalance(generation, RebalancePhase::Revoked, &places);
            core.release(partitions);
            None
        }
        word = loss => {
            lose(core, partitions).await;
            Some(word)
        }
    }
}

/// The partitions are others' already: nothing is committed.
pub(crate) async fn lose(core: &Core, partitions: &[Arc<Partition>]) {
    if partitions.is_empty() {
        return;
    }
    core.release(partitions);
    let places = places(partitions);
    let (group, generation) = (core.settings.group_name(), core.generation());
    tracing::warn!(group, generation, partitions = ?places, "lost: others may have them, and what is not committed is read again");
    core.tell_rebalance(generation, RebalancePhase::Lost, &places);
    if let Some(listener) = &core.settings.membership.listener {
        hear(core, "lost", async { listener.lost(&places).await }).await;
    }
}

fn places(partitions: &[Arc<Partition>]) -> Vec<TopicPartition> {
    partitions.iter().map(|p| p.place().clone()).collect()
}

/// Holds fresh partitions until the listener has heard of them.
const HOLD: &str = "rebalance-listener";
/// Why they are held.
pub(crate) const HELD: Reason = Reason::Borrowed("the rebalance listener has not returned yet");
