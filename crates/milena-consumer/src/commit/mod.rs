//! Commits: what was processed is told to the coordinator each interval, on revocation and on close.

mod answer;
mod turn;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use milena_core::{ErrorCode, Result, TopicPartition};
use tokio::time::{Instant, sleep, sleep_until};

use crate::core::Core;
use crate::partition::{Committable, Partition};
use crate::passing::passes;
use turn::Turn;

/// Commits each interval, and what is asked for meanwhile, until the consumer closes.
pub(crate) async fn run(core: Arc<Core>) {
    let mut due = Instant::now() + core.settings.commit_interval;
    let mut told = None;
    loop {
        tokio::select! {
            () = sleep_until(due) => {}
            () = core.later.wanted.notified() => {
                flush(&core).await;
                continue;
            }
            () = core.closing.cancelled() => return,
        }
        if core.auto_commit.load(Ordering::Acquire) {
            let ended = commit(&core, &core.partitions(), Effort::INTERVAL).await;
            tell(&core, ended, &mut told);
        }
        due = Instant::now() + core.settings.commit_interval;
    }
}

/// Says once, until commits work again or fail for another reason, why they fail by themselves.
fn tell(core: &Core, ended: Result<()>, told: &mut Option<String>) {
    let group = core.settings.group_name();
    let error = match ended {
        Ok(()) => {
            if told.take().is_some() {
                tracing::info!(group, "offsets are committed again");
            }
            return;
        }
        Err(error) => error,
    };
    let text = error.to_string();
    if told.as_ref() == Some(&text) {
        tracing::debug!(group, %error, "offsets are still not committed");
        return;
    }
    if passes(&error) {
        tracing::warn!(group, %error, "offsets are not committed for now");
    } else {
        tracing::error!(group, %error, "offsets cannot be committed");
    }
    *told = Some(text);
}

/// Commits what was left to the commit task.
pub(crate) async fn flush(core: &Core) {
    if let Some(mut round) = core.later.take() {
        let offsets = std::mem::take(&mut round.offsets);
        let offsets = || offsets.into_values().collect();
        let ended = commit_these(core, offsets, Effort::LAST).await;
        if let Err(error) = &ended {
            tracing::warn!(group = core.settings.group_name(), %error, "offsets were not committed");
        }
        round.ended(ended);
    }
}

/// How hard a commit tries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    limit: Duration,
    /// How often what a broker refuses of a partition for now is tried again.
    again: u32,
}

impl Effort {
    /// The next interval's commit carries newer offsets anyway.
    const INTERVAL: Self = Self {
        limit: LIMIT,
        again: 0,
    };
    /// There is no later commit: the partition goes to another member.
    pub(crate) const LAST: Self = Self {
        limit: LIMIT,
        again: 3,
    };

    /// Of a user, who waits for it.
    pub(crate) fn of_user(core: &Core) -> Self {
        Self {
            limit: core.cluster.api_timeout(),
            again: u32::MAX,
        }
    }
}

/// An offset, and the partition that it is of.
pub(crate) type Entry = (Arc<Partition>, Committable);

/// Commits what may be committed of `partitions`; tries again what may pass, as `effort` says.
///
/// # Errors
/// [`ErrorKind::State`] without a membership, or when the group went on without this member; else why it failed last.
pub(crate) async fn commit(
    core: &Core,
    partitions: &[Arc<Partition>],
    effort: Effort,
) -> Result<()> {
    for partition in partitions.iter().filter(|p| p.has_given_up_commits()) {
        if !is_gone(core, partition.place()) {
            partition.take_up_commits();
        }
    }
    let offsets = || {
        let each = partitions.iter();
        each.filter_map(|partition| Some((Arc::clone(partition), partition.to_commit()?)))
            .collect()
    };
    commit_these(core, offsets, effort).await
}

/// Commits these offsets, which are taken when it is this commit's turn: one that a later word has overtaken by then is left out.
///
/// What can be committed is, whatever becomes of the rest.
///
/// # Errors
/// As [`commit`].
pub(crate) async fn commit_these(
    core: &Core,
    offsets: impl FnOnce() -> Vec<Entry>,
    effort: Effort,
) -> Result<()> {
    let deadline = Instant::now() + effort.limit;
    let mut turn = Turn::take(core, deadline).await?;
    let mut left = offsets();
    let mut attempt = 0;
    let mut worst = None;
    loop {
        left.retain(|(partition, offset)| partition.is_due(offset));
        let told = turn.commit(core, left, deadline).await;
        worst = told.error.or(worst);
        if !told.left.is_empty() {
            return worst.map_or(Ok(()), Err);
        }
        left = told.refused_for_now;
        // Nobody else's commit waits for what a broker refuses of these partitions.
        drop(turn);
        for (partition, offset) in &left {
            core.cluster.request_refresh();
            if is_gone(core, &offset.place) && partition.give_up_commits() {
                tracing::warn!(
                    partition = %offset.place,
                    offset = %offset.offset,
                    "the topic is gone: the offset is not committed any more"
                );
            }
        }
        left.retain(|(partition, _)| !partition.has_given_up_commits());
        let wait = core.cluster.backoff().delay(attempt);
        if left.is_empty() || attempt >= effort.again || Instant::now() + wait >= deadline {
            return worst.map_or(Ok(()), Err);
        }
        attempt += 1;
        sleep(wait).await;
        turn = Turn::take(core, deadline).await?;
        worst = None;
    }
}

/// Whether the topic or the partition is gone, as far as metadata tell.
fn is_gone(core: &Core, place: &TopicPartition) -> bool {
    let metadata = core.cluster.metadata();
    match metadata.topic(&place.topic) {
        Some(topic) => {
            topic.error == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
                || topic.error.is_none() && topic.partition(place.partition).is_none()
        }
        None => true,
    }
}

/// How long one commit may take with its retries; the next one carries newer offsets anyway.
const LIMIT: Duration = Duration::from_secs(15);
