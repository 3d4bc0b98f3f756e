//! Commits the offsets of processed records, at each commit interval, when partitions are revoked,
//! and at close.

mod answer;
pub(crate) mod commits;
pub(crate) mod committed;
pub(crate) mod later;
pub(crate) mod offset_and_metadata;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use milena_core::{ErrorCode, Result, TopicPartition};
use tokio::time::{Instant, sleep, sleep_until};

use crate::core::Core;
use crate::partition::{Committable, Committing, Partition};
use crate::passing::passes;
use turn::Turn;

/// Commits at each interval if auto commit is on, and whenever queued offsets ask for it. Returns
/// when the consumer closes.
pub(crate) async fn run(core: Arc<Core>) {
    let mut due = Instant::now() + core.settings.commit_interval;
    let mut told = None;
    loop {
        tokio::select! {
            () = sleep_until(due) => {}
            () = core.commits.later().wanted.notified() => {
                flush(&core).await;
                continue;
            }
            () = core.lifecycle.closing().cancelled() => return,
        }
        if core.commits.is_automatic() {
            let ended = commit(&core, &core.assignment.partitions(), Effort::INTERVAL).await;
            tell(&core, ended, &mut told);
        }
        due = Instant::now() + core.settings.commit_interval;
    }
}

/// Logs why automatic commits fail, once for each reason. Logs again when they succeed.
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

/// Commits the offsets that were queued for the commit task, and reports the result to the callers
/// that queued them.
pub(crate) async fn flush(core: &Core) {
    if let Some(mut round) = core.commits.later().take() {
        let offsets = std::mem::take(&mut round.offsets);
        let offsets = || offsets.into_values().collect();
        let ended = commit_these(core, offsets, Effort::LAST).await;
        if let Err(error) = &ended {
            tracing::warn!(group = core.settings.group_name(), %error, "offsets were not committed");
        }
        round.ended(ended);
    }
}

/// Limits on the time and the number of tries of a commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Longest time of the commit, retries included.
    limit: Duration,
    /// Number of retries for partitions that the broker refuses for now.
    again: u32,
}

impl Effort {
    /// An automatic commit does not retry, because the next interval commits newer offsets.
    const INTERVAL: Self = Self {
        limit: LIMIT,
        again: 0,
    };
    /// A commit that no later one repeats, such as the last one before a partition goes to another
    /// member. It retries.
    pub(crate) const LAST: Self = Self {
        limit: LIMIT,
        again: 3,
    };

    /// A commit that the user waits for. It retries until the timeout of the client's API calls.
    pub(crate) fn of_user(core: &Core) -> Self {
        Self {
            limit: core.cluster.api_timeout(),
            again: u32::MAX,
        }
    }
}

/// An offset to commit, and its partition.
pub(crate) type Entry = (Arc<Partition>, Committable);

/// Commits what may be committed of `partitions`. Retries refusals that may pass, as `effort`
/// allows.
///
/// # Errors
/// [`ErrorKind::State`] without a membership, or if the group went on without this member.
/// Otherwise the error of the last try.
pub(crate) async fn commit(
    core: &Core,
    partitions: &[Arc<Partition>],
    effort: Effort,
) -> Result<()> {
    // A topic that was deleted and created again has offsets to commit once more.
    for partition in partitions
        .iter()
        .filter(|p| Committing::of(p).has_given_up())
    {
        if !is_gone(core, partition.place()) {
            Committing::of(partition).take_up();
        }
    }
    let offsets = || {
        let each = partitions.iter();
        each.filter_map(|partition| {
            Some((Arc::clone(partition), Committing::of(partition).next()?))
        })
        .collect()
    };
    commit_these(core, offsets, effort).await
}

/// Commits these offsets. They are taken when this commit's turn begins, and an offset that a later
/// one or a seek has replaced by then is left out.
///
/// Every offset that can be committed is, even if others fail.
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
        left.retain(|(partition, offset)| Committing::of(partition).is_due(offset));
        let told = turn.commit(core, left, deadline).await;
        worst = told.error.or(worst);
        if !told.left.is_empty() {
            return worst.map_or(Ok(()), Err);
        }
        left = told.refused_for_now;
        // Release the turn during the wait, so that other commits do not wait for these partitions.
        drop(turn);
        for (partition, offset) in &left {
            core.cluster.request_refresh();
            if is_gone(core, &offset.place) && Committing::of(partition).give_up() {
                tracing::warn!(
                    partition = %offset.place,
                    offset = %offset.offset,
                    "the topic no longer exists: its offset is not committed any more"
                );
            }
        }
        left.retain(|(partition, _)| !Committing::of(partition).has_given_up());
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

/// Returns true if the metadata shows that the topic or the partition no longer exists.
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

/// Longest time of one automatic commit with its retries. The next one carries newer offsets.
const LIMIT: Duration = Duration::from_secs(15);
