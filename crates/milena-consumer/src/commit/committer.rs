//! Commits of offsets, with their retries. The commit task, the group's task and the program use
//! them.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{ErrorCode, Result, TopicPartition};
use milena_pool::Cluster;
use tokio::time::{Instant, sleep};

use super::answer::{Answers, Entry};
use super::commits::Commits;
use super::sending::Sending;
use super::turn::Turn;
use crate::core::Core;
use crate::group::standing::Standing;
use crate::partition::{Committing, Partition};

/// The parts of a consumer that commit offsets.
#[derive(Clone, Copy)]
pub(crate) struct Committer<'a> {
    /// The cluster. Its metadata shows partitions that are gone.
    cluster: &'a Cluster,
    /// The commits that wait, and the right to commit.
    commits: &'a Commits,
    /// The membership under which a commit is sent.
    membership: &'a Standing,
    /// The sending of the requests.
    sending: Sending<'a>,
    /// The name of the group, for the log.
    group: &'a str,
}

impl<'a> Committer<'a> {
    /// Returns the parts of this consumer.
    pub(crate) fn of(core: &'a Core) -> Self {
        let (commits, coordinator) = (&core.commits, &core.coordinator);
        let answers = Answers::new(commits, coordinator, &core.verdict, &core.lifecycle);
        let (reports, settings) = (&core.reports, &core.settings);
        Self {
            cluster: &core.cluster,
            commits,
            membership: &core.membership,
            sending: Sending::new(coordinator, answers, reports, &core.counts, settings),
            group: core.settings.group_name(),
        }
    }

    /// Commits what may be committed of `partitions`. Retries refusals that may pass, as `effort`
    /// allows.
    ///
    /// # Errors
    /// [`ErrorKind::State`] without a membership, or if the group went on without this member.
    /// Otherwise the error of the last try.
    pub(crate) async fn commit(&self, partitions: &[Arc<Partition>], effort: Effort) -> Result<()> {
        // A topic that was deleted and created again has offsets to commit once more.
        for partition in partitions
            .iter()
            .filter(|p| Committing::of(p).has_given_up())
        {
            if !is_gone(self.cluster, partition.place()) {
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
        self.commit_these(offsets, effort).await
    }

    /// Commits these offsets. They are taken when this commit's turn begins, and an offset that a
    /// later one or a seek has replaced by then is left out.
    ///
    /// Every offset that can be committed is, even if others fail.
    ///
    /// # Errors
    /// As [`commit`].
    pub(crate) async fn commit_these(
        &self,
        offsets: impl FnOnce() -> Vec<Entry>,
        effort: Effort,
    ) -> Result<()> {
        let deadline = Instant::now() + effort.limit;
        let mut turn = self.turn(deadline).await?;
        let mut left = offsets();
        let mut attempt = 0;
        let mut worst = None;
        loop {
            left.retain(|(partition, offset)| Committing::of(partition).is_due(offset));
            let told = turn.commit(left, deadline).await;
            worst = told.error.or(worst);
            if !told.left.is_empty() {
                return worst.map_or(Ok(()), Err);
            }
            left = told.refused_for_now;
            // Release the turn during the wait, so that other commits do not wait for these
            // partitions.
            drop(turn);
            for (partition, offset) in &left {
                self.cluster.request_refresh();
                if is_gone(self.cluster, &offset.place) && Committing::of(partition).give_up() {
                    tracing::warn!(
                        partition = %offset.place,
                        offset = %offset.offset,
                        "the topic no longer exists: its offset is not committed any more"
                    );
                }
            }
            left.retain(|(partition, _)| !Committing::of(partition).has_given_up());
            let wait = self.cluster.backoff().delay(attempt);
            if left.is_empty() || attempt >= effort.again || Instant::now() + wait >= deadline {
                return worst.map_or(Ok(()), Err);
            }
            attempt += 1;
            sleep(wait).await;
            turn = self.turn(deadline).await?;
            worst = None;
        }
    }

    /// Commits the offsets that were queued for the commit task, and reports the result to the
    /// callers that queued them.
    pub(crate) async fn flush(&self) {
        if let Some(mut round) = self.commits.later().take() {
            let offsets = std::mem::take(&mut round.offsets);
            let offsets = || offsets.into_values().collect();
            let ended = self.commit_these(offsets, Effort::LAST).await;
            if let Err(error) = &ended {
                tracing::warn!(group = self.group, %error, "offsets were not committed");
            }
            round.ended(ended);
        }
    }

    /// Waits until no other commit is under way.
    async fn turn(&self, deadline: Instant) -> Result<Turn<'a>> {
        Turn::take(self.commits, self.membership, self.sending, deadline).await
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
    pub(super) const INTERVAL: Self = Self {
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
    pub(crate) fn of_user(cluster: &Cluster) -> Self {
        Self {
            limit: cluster.api_timeout(),
            again: u32::MAX,
        }
    }
}

/// Returns true if the metadata shows that the topic or the partition no longer exists.
fn is_gone(cluster: &Cluster, place: &TopicPartition) -> bool {
    let metadata = cluster.metadata();
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
