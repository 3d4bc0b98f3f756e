//! A member of a classic group. It joins, syncs, watches the membership, gives back partitions that
//! go to other members, and joins again.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use milena_assignor::Assignor;
use milena_core::{
    Error, ErrorKind, Event, Partition as PartitionNumber, Result, TopicName, TopicPartition,
};
use milena_lanes::panic_of;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::clash::explain;
use super::classic_heartbeat;
use super::handover::Handover;
use super::leave::leave;
use crate::core::Core;
use crate::group::member::{ClassicMember, MembershipStamp, NextJoin, Pulse};
use crate::group::standing::Standing;
use crate::group::verdict_watch::VerdictWatch;
use crate::partition::Partition;
use crate::passing::passes;

/// Lives as a member of a classic group until the consumer closes.
pub(super) async fn live(core: &Arc<Core>) -> Result<()> {
    let settings = &core.settings.membership;
    let mut task = ClassicTask {
        core: Arc::clone(core),
        assignors: settings.assignors(),
        cooperative: settings.is_cooperative(),
        member: ClassicMember::default(),
        synced: Synced::default(),
        topics: BTreeSet::new(),
        led: None,
        joined_at: None,
        losses: 0,
        lost: false,
    };
    // Heartbeats run in a task of their own, so that a slow join or handover does not delay them.
    // Dropping the set ends that task.
    let mut beats = JoinSet::new();
    beats.spawn(classic_heartbeat::run(Arc::clone(core)));
    tokio::select! {
        biased;
        lived = task.live() => lived,
        never = panic_of(&mut beats) => match never {},
    }
}

/// The task of a classic group's member. It alone joins, syncs and leaves.
pub(super) struct ClassicTask {
    /// State that all tasks of the consumer share.
    pub(super) core: Arc<Core>,
    /// Assignors that this member offers, best first. Fixed for the life of the task.
    pub(super) assignors: Vec<Arc<dyn Assignor>>,
    /// True if partitions are kept while the group rebalances. Otherwise all are given back before
    /// each join.
    pub(super) cooperative: bool,
    /// Member id and generation, as the coordinator's answers gave them.
    pub(super) member: ClassicMember,
    /// Result of the last sync. Empty before the first one and after a lost membership.
    pub(super) synced: Synced,
    /// Subscribed topics, as the last join sent them. Compared with the metadata to see whether
    /// another join is needed.
    pub(super) topics: BTreeSet<TopicName>,
    /// Partition counts by which this member assigned as the leader. `None` if it was not the
    /// leader of the last join.
    pub(super) led: Option<BTreeMap<TopicName, usize>>,
    /// Time at which the coordinator last accepted this member. `None` before the first join and
    /// after a lost membership.
    pub(super) joined_at: Option<Instant>,
    /// Number of times in a row that a membership was lost within a session timeout of its join. A
    /// refused join, where there was no membership to lose, does not count.
    losses: u32,
    /// True from the loss of a membership until the next join, which waits a backoff that grows
    /// with `losses`. A join for a rebalance never waits, since the whole group would wait for it.
    lost: bool,
}

/// Result of a sync. The next join sends it, so that the leader can leave the partitions where they
/// are.
#[derive(Debug, Default)]
pub(super) struct Synced {
    /// Partitions that were assigned to this member.
    pub(super) partitions: BTreeSet<TopicPartition>,
    /// Generation of that assignment. `None` if there was none.
    pub(super) generation: Option<i32>,
}

/// Reason why a membership ends.
enum MembershipEnd {
    /// The group rebalances, or this member needs it to.
    Rebalance,
    /// The group went on without this member. `forgotten` is true if the coordinator no longer
    /// knows the member id.
    Lost { forgotten: bool },
    /// The consumer closes.
    Close,
}

impl ClassicTask {
    /// Joins, takes the assignment and watches the membership, again and again, until the consumer
    /// closes.
    async fn live(&mut self) -> Result<()> {
        let core = Arc::clone(&self.core);
        loop {
            let joined = tokio::select! {
                joined = self.join() => Some(joined?),
                () = core.lifecycle.closing().cancelled() => None,
            };
            let turn = match joined {
                None => MembershipEnd::Close,
                Some(assignment) => match self.settle(assignment).await? {
                    true => continue,
                    false => self.watch().await?,
                },
            };
            match turn {
                MembershipEnd::Rebalance if self.cooperative => {
                    // Partitions of topics that are no longer subscribed are given back before the
                    // join. The join would otherwise list them as owned, and the leader would wait
                    // for them.
                    let topics = core
                        .group
                        .subscription
                        .borrow()
                        .resolve(&core.cluster.metadata());
                    let mut gone = core.assignment.partitions();
                    gone.retain(|partition| !topics.contains(&partition.place().topic));
                    self.give_back(&gone).await?;
                }
                MembershipEnd::Rebalance => self.give_back(&core.assignment.partitions()).await?,
                MembershipEnd::Lost { forgotten } => self.lose(forgotten).await,
                MembershipEnd::Close => {
                    let given = self.give_back(&core.assignment.partitions()).await;
                    core.membership.send_replace(None);
                    self.note_id();
                    leave(&core.coordinator, &core.group, &core.settings).await;
                    return given;
                }
            }
            // An eager member owns nothing until its next sync. Without a membership, its
            // heartbeats and commits wait for that.
            if !self.cooperative {
                core.membership.send_replace(None);
            }
        }
    }

    /// Joins until there is an assignment. Partitions kept meanwhile are lost as soon as the
    /// coordinator forgets this member.
    async fn join(&mut self) -> Result<BTreeSet<TopicPartition>> {
        let core = Arc::clone(&self.core);
        let mut attempt = 0;
        if std::mem::take(&mut self.lost) {
            // A coordinator may accept this member and drop it at once, again and again. The pause
            // grows with each such loss.
            sleep(core.cluster.backoff().delay(self.losses.saturating_sub(1))).await;
        }
        loop {
            let next = tokio::select! {
                joined = self.join_once() => match joined {
                    Ok(Ok(assignment)) => {
                        self.lost = false;
                        return Ok(assignment);
                    }
                    Ok(Err(next)) => next,
                    Err(error) if passes(&error) => {
                        let group = core.settings.group_name();
                        match attempt {
                            TOLD_AFTER => tracing::warn!(group, %error, "the group cannot be joined for now; it is tried again"),
                            _ => tracing::debug!(group, %error, "joining is tried again"),
                        }
                        NextJoin::Relocate
                    }
                    Err(error) => return Err(error),
                },
                never = lose_when_gone(Handover::of(&core), &core.membership, &core.verdict) => match never {},
            };
            // The refusal ended the membership, or there was none. Other members may own the
            // partitions that this one kept.
            if !self.member.is_in() {
                self.lose(false).await;
            }
            match next {
                NextJoin::Again => continue,
                NextJoin::Later => {}
                NextJoin::Relocate => core.coordinator.forget(),
                NextJoin::Fail(error) => {
                    return Err(explain(&core.coordinator, &self.assignors, error).await);
                }
            }
            sleep(core.cluster.backoff().delay(attempt)).await;
            attempt += 1;
        }
    }

    /// Gives back the partitions that the assignment takes away, and takes those that it adds.
    ///
    /// Returns true if this member must join again at once. Either it gave partitions back, which
    /// only another rebalance can assign to other members, or its membership was lost.
    async fn settle(&mut self, assignment: BTreeSet<TopicPartition>) -> Result<bool> {
        let core = Arc::clone(&self.core);
        self.synced = Synced {
            partitions: assignment.clone(),
            generation: self.member.membership().map(|m| m.generation),
        };
        let (kept, revoked): (Vec<_>, Vec<_>) = core
            .assignment
            .partitions()
            .into_iter()
            .partition(|partition| assignment.contains(partition.place()));
        let again = !revoked.is_empty();
        self.give_back(&revoked).await?;
        // The membership was lost while partitions were given back, so the assignment is no longer
        // valid.
        if !self.member.is_in() {
            return Ok(true);
        }
        let kept: BTreeSet<_> = kept.iter().map(|partition| partition.place()).collect();
        let added = assignment.iter().filter(|place| !kept.contains(place));
        let membership = self.member.membership();
        // A listener may take long. A lost membership must not wait for it.
        let handover = Handover::of(&core);
        let lost = tokio::select! {
            () = handover.take(added.cloned().collect()) => None,
            word = loss(&core.verdict, membership.as_ref()) => Some(word),
        };
        match lost {
            None => Ok(again),
            Some(Pulse::Fail(error)) => Err(error),
            Some(word) => {
                self.lose(matches!(word, Pulse::Lost { forgotten: true }))
                    .await;
                Ok(true)
            }
        }
    }

    /// Watches the membership until it ends, and returns the reason.
    async fn watch(&mut self) -> Result<MembershipEnd> {
        let core = Arc::clone(&self.core);
        let Some(membership) = self.member.membership() else {
            return Ok(MembershipEnd::Rebalance);
        };
        let mut metadata = core.cluster.changed();
        let mut subscription = core.group.subscription.subscribe();
        let mut asked = core.group.rebalance.subscribe();
        // Look at once for topics that changed since the join.
        metadata.mark_changed();
        // Time of the second look at topics or partitions that seem to be gone. `None` while none
        // are.
        let mut doubted: Option<Instant> = None;
        loop {
            tokio::select! {
                word = core.verdict.next(|of, _| *of == membership) => return match word {
                    Pulse::Fail(error) => Err(error),
                    Pulse::Lost { forgotten } => Ok(MembershipEnd::Lost { forgotten }),
                    // Between rebalances, another generation means that the group went on without
                    // this member.
                    Pulse::Superseded => Ok(MembershipEnd::Lost { forgotten: false }),
                    _ => Ok(MembershipEnd::Rebalance),
                },
                () = core.lifecycle.closing().cancelled() => return Ok(MembershipEnd::Close),
                Ok(()) = asked.changed() => return Ok(MembershipEnd::Rebalance),
                Ok(()) = subscription.changed() => {
                    let wanted = subscription.borrow_and_update().clone();
                    core.group.follow(&core.cluster, &wanted);
                    metadata.mark_changed();
                }
                changed = metadata.changed() => {
                    if changed.is_err() || core.cluster.is_closed() {
                        return Err(Error::new(ErrorKind::Closed, "the cluster handle was closed while the consumer used it"));
                    }
                    match self.news() {
                        News::None => doubted = None,
                        News::More => return Ok(MembershipEnd::Rebalance),
                        News::Less if doubted.is_none() => {
                            // A broker that has just started may not know all topics yet. Rebalance
                            // only if a second look finds the topics gone, too.
                            doubted = Some(Instant::now() + DOUBT);
                            core.cluster.request_refresh();
                        }
                        News::Less => {}
                    }
                }
                () = sleep_until(doubted.unwrap_or_else(Instant::now)), if doubted.is_some() => {
                    doubted = None;
                    if let News::Less | News::More = self.news() {
                        return Ok(MembershipEnd::Rebalance);
                    }
                }
            }
        }
    }

    /// Compares the topics with those that this member joined with and, if it leads, with those
    /// that it assigned.
    fn news(&self) -> News {
        let metadata = self.core.cluster.metadata();
        let topics = self.core.group.subscription.borrow().resolve(&metadata);
        let mut less = self.topics.iter().any(|topic| !topics.contains(topic));
        let mut more = topics.iter().any(|topic| !self.topics.contains(topic));
        let Some(led) = &self.led else {
            return News::of(more, less);
        };
        let topics: BTreeSet<_> = self.topics.iter().chain(led.keys()).cloned().collect();
        let now = self.group_topics(&topics);
        for topic in &topics {
            let (before, count) = (led.get(topic).copied().unwrap_or(0), now.count(topic));
            less |= count < before;
            if count > before {
                more = true;
                let first = PartitionNumber::new(u32::try_from(before).unwrap_or(u32::MAX));
                self.core.reports.emit(|group| Event::PartitionsAdded {
                    group,
                    topic,
                    first,
                    count,
                });
            }
        }
        News::of(more, less)
    }

    /// Stores the member id for [`leave`], which may run after this task has panicked.
    pub(super) fn note_id(&self) {
        let id = Some(self.member.id()).filter(|id| !id.is_empty());
        *self.core.group.known_as.lock() = id.map(Arc::from);
    }

    /// Gives partitions back. If the membership is lost meanwhile, all partitions are released
    /// without a commit.
    async fn give_back(&mut self, partitions: &[Arc<Partition>]) -> Result<()> {
        let core = Arc::clone(&self.core);
        let membership = self.member.membership();
        let loss = loss(&core.verdict, membership.as_ref());
        match Handover::of(&core).give_back(partitions, loss).await {
            None => Ok(()),
            Some(Pulse::Fail(error)) => Err(error),
            Some(word) => {
                self.lose(matches!(word, Pulse::Lost { forgotten: true }))
                    .await;
                Ok(())
            }
        }
    }

    /// Releases all partitions, because other members may own them, and ends the membership.
    async fn lose(&mut self, forgotten: bool) {
        if let Some(joined) = self.joined_at.take() {
            let soon = joined.elapsed() < self.core.settings.session_timeout;
            self.losses = if soon {
                self.losses.saturating_add(1)
            } else {
                1
            };
            self.lost = true;
        }
        Handover::of(&self.core).lose_all().await;
        self.core.membership.send_replace(None);
        // Discard the verdict on the lost membership. The next membership may have the same
        // generation, and the verdict would then be taken for its own.
        self.core.verdict.discard();
        self.synced = Synced::default();
        self.member.forget(forgotten);
        self.note_id();
    }
}

/// Changes of the topics that a group reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// Nothing changed.
    None,
    /// There are more topics or partitions. Some others may be gone.
    More,
    /// There are fewer topics or partitions, and no new ones.
    Less,
}

impl News {
    fn of(more: bool, less: bool) -> Self {
        match (more, less) {
            (true, _) => Self::More,
            (false, true) => Self::Less,
            (false, false) => Self::None,
        }
    }
}

/// Waits until this membership is known to be lost. A rebalance does not count.
async fn loss(verdict: &VerdictWatch, membership: Option<&MembershipStamp>) -> Pulse {
    let lost = |of: &MembershipStamp, pulse: &Pulse| {
        let gone = matches!(
            pulse,
            Pulse::Superseded | Pulse::Lost { .. } | Pulse::Fail(_)
        );
        gone && Some(of) == membership
    };
    verdict.next(lost).await
}

/// Releases all partitions if the coordinator forgets this member during a join. Never returns,
/// because the join itself decides how to go on.
///
/// An old generation is ignored here, as every rebalance makes the generation of the kept
/// partitions old.
async fn lose_when_gone(
    handover: Handover<'_>,
    membership: &Standing,
    verdict: &VerdictWatch,
) -> Infallible {
    verdict
        .next(|of, pulse| pulse.is_end() && membership.borrow().as_ref() == Some(of))
        .await;
    handover.lose_all().await;
    membership.send_replace(None);
    // The join is still waiting for its answer, which says what to do next.
    std::future::pending().await
}

/// Wait before the second look at topics that seem to be gone.
const DOUBT: Duration = Duration::from_secs(1);
/// Number of failed attempts after which the log says at `warn` that the group cannot be joined.
const TOLD_AFTER: u32 = 3;
