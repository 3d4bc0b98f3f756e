//! A member of a classic group: join, sync, watch, give back what others are to have, and join again.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    Error, ErrorKind, Event, Partition as PartitionNumber, Result, TopicName, TopicPartition,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::handover;
use super::leave::leave;
use crate::assignor::Assignor;
use crate::core::Core;
use crate::heartbeat;
use crate::member::{Member, Membership, Next, Pulse};
use crate::partition::Partition;
use crate::passing::passes;
use crate::supervise::panic_of;

/// Lives as a member of a classic group until the consumer closes.
pub(super) async fn live(core: &Arc<Core>) -> Result<()> {
    let settings = &core.settings.membership;
    let mut task = ClassicTask {
        core: Arc::clone(core),
        assignors: settings.assignors(),
        cooperative: settings.is_cooperative(),
        member: Member::default(),
        synced: Synced::default(),
        topics: BTreeSet::new(),
        led: None,
        joined_at: None,
        losses: 0,
    };
    // Beside this task, so that beats wait for nothing; ends with it.
    let mut beats = JoinSet::new();
    beats.spawn(heartbeat::run(Arc::clone(core)));
    tokio::select! {
        biased;
        lived = task.live() => lived,
        never = panic_of(&mut beats) => match never {},
    }
}

pub(super) struct ClassicTask {
    pub(super) core: Arc<Core>,
    pub(super) assignors: Vec<Arc<dyn Assignor>>,
    /// Whether partitions are kept while the group rebalances.
    pub(super) cooperative: bool,
    pub(super) member: Member,
    pub(super) synced: Synced,
    /// What it joined with last.
    pub(super) topics: BTreeSet<TopicName>,
    /// The partition counts by which this member, as the leader, assigned last.
    pub(super) led: Option<BTreeMap<TopicName, usize>>,
    /// When the coordinator took it in last.
    pub(super) joined_at: Option<Instant>,
    /// How often in a row the membership was lost soon after it began: how long the next join waits.
    losses: u32,
}

/// What the last sync gave: goes into the next join, for the leader to keep things where they are.
#[derive(Debug, Default)]
pub(super) struct Synced {
    pub(super) partitions: BTreeSet<TopicPartition>,
    pub(super) generation: Option<i32>,
}

/// Why a membership ends.
enum Turn {
    Rebalance,
    Lost { forgotten: bool },
    Close,
}

impl ClassicTask {
    async fn live(&mut self) -> Result<()> {
        let core = Arc::clone(&self.core);
        loop {
            let joined = tokio::select! {
                joined = self.join() => Some(joined?),
                () = core.closing.cancelled() => None,
            };
            let turn = match joined {
                None => Turn::Close,
                Some(assignment) => match self.settle(assignment).await? {
                    true => continue,
                    false => self.watch().await?,
                },
            };
            match turn {
                Turn::Rebalance if self.cooperative => {
                    // What it reads no more is given back before the others are asked.
                    let topics = core
                        .group
                        .subscription
                        .borrow()
                        .resolve(&core.cluster.metadata());
                    let mut gone = core.partitions();
                    gone.retain(|partition| !topics.contains(&partition.place().topic));
                    self.give_back(&gone).await?;
                }
                Turn::Rebalance => self.give_back(&core.partitions()).await?,
                Turn::Lost { forgotten } => self.lose(forgotten).await,
                Turn::Close => {
                    let given = self.give_back(&core.partitions()).await;
                    core.membership.send_replace(None);
                    self.note_id();
                    leave(&core).await;
                    return given;
                }
            }
            if !self.cooperative {
                core.membership.send_replace(None);
            }
        }
    }

    /// Joins until there is an assignment. What is kept meanwhile is lost as soon as the coordinator has forgotten this member.
    async fn join(&mut self) -> Result<BTreeSet<TopicPartition>> {
        let core = Arc::clone(&self.core);
        let mut attempt = 0;
        if self.losses > 0 {
            // A coordinator that takes this member in and throws it out at once must not be asked without a pause.
            sleep(core.cluster.backoff().delay(self.losses - 1)).await;
        }
        loop {
            let next = tokio::select! {
                joined = self.join_once() => match joined {
                    Ok(Ok(assignment)) => return Ok(assignment),
                    Ok(Err(next)) => next,
                    Err(error) if passes(&error) => {
                        let group = core.settings.group_name();
                        match attempt {
                            TOLD_AFTER => tracing::warn!(group, %error, "the group cannot be joined for now; it is tried again"),
                            _ => tracing::debug!(group, %error, "joining is tried again"),
                        }
                        Next::Relocate
                    }
                    Err(error) => return Err(error),
                },
                never = lose_when_gone(&core) => match never {},
            };
            if !self.member.is_in() {
                self.lose(false).await;
            }
            match next {
                Next::Again => continue,
                Next::Later => {}
                Next::Relocate => core.relocate(),
                Next::Fail(error) => return Err(self.explain(error).await),
            }
            sleep(core.cluster.backoff().delay(attempt)).await;
            attempt += 1;
        }
    }

    /// Gives back what the assignment takes away, and takes what it adds. `true` when the group is to rebalance at once, for others to
    /// get what was given back.
    async fn settle(&mut self, assignment: BTreeSet<TopicPartition>) -> Result<bool> {
        let core = Arc::clone(&self.core);
        self.synced = Synced {
            partitions: assignment.clone(),
            generation: self.member.membership().map(|m| m.generation),
        };
        let (kept, revoked): (Vec<_>, Vec<_>) = core
            .partitions()
            .into_iter()
            .partition(|partition| assignment.contains(partition.place()));
        let again = !revoked.is_empty();
        self.give_back(&revoked).await?;
        if !self.member.is_in() {
            return Ok(true);
        }
        let kept: BTreeSet<_> = kept.iter().map(|partition| partition.place()).collect();
        let added = assignment.iter().filter(|place| !kept.contains(place));
        let membership = self.member.membership();
        // A listener may take its time: that all is lost meanwhile must not wait for it.
        let lost = tokio::select! {
            () = handover::take(&core, added.cloned().collect()) => None,
            word = loss(&core, membership.as_ref()) => Some(word),
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

    /// Watches the membership until it ends.
    async fn watch(&mut self) -> Result<Turn> {
        let core = Arc::clone(&self.core);
        let Some(membership) = self.member.membership() else {
            return Ok(Turn::Rebalance);
        };
        let mut metadata = core.cluster.changed();
        let mut subscription = core.group.subscription.subscribe();
        let mut asked = core.group.rebalance.subscribe();
        // What changed since the join is looked at once.
        metadata.mark_changed();
        // When to look again whether a topic is gone.
        let mut doubted: Option<Instant> = None;
        loop {
            tokio::select! {
                word = verdict(&core, &membership) => return match word {
                    Pulse::Fail(error) => Err(error),
                    Pulse::Lost { forgotten } => Ok(Turn::Lost { forgotten }),
                    Pulse::Superseded => Ok(Turn::Lost { forgotten: false }),
                    _ => Ok(Turn::Rebalance),
                },
                () = core.closing.cancelled() => return Ok(Turn::Close),
                Ok(()) = asked.changed() => return Ok(Turn::Rebalance),
                Ok(()) = subscription.changed() => {
                    let wanted = subscription.borrow_and_update().clone();
                    core.group.follow(&core.cluster, &wanted);
                    metadata.mark_changed();
                }
                changed = metadata.changed() => {
                    if changed.is_err() || core.cluster.is_closed() {
                        return Err(Error::new(ErrorKind::Closed, "the cluster handle was closed under the consumer"));
                    }
                    match self.news() {
                        News::None => doubted = None,
                        News::More => return Ok(Turn::Rebalance),
                        News::Less if doubted.is_none() => {
                            // A broker that has just started may not know all topics yet: another answer decides.
                            doubted = Some(Instant::now() + DOUBT);
                            core.cluster.request_refresh();
                        }
                        News::Less => {}
                    }
                }
                () = sleep_until(doubted.unwrap_or_else(Instant::now)), if doubted.is_some() => {
                    doubted = None;
                    if let News::Less | News::More = self.news() {
                        return Ok(Turn::Rebalance);
                    }
                }
            }
        }
    }

    /// What changed of the topics since this member joined and, where it leads, assigned.
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
                self.core.observers().emit(|| Event::PartitionsAdded {
                    group: self.core.settings.group_name(),
                    topic,
                    first,
                    count,
                });
            }
        }
        News::of(more, less)
    }

    /// Notes how the coordinator knows this member, for whoever leaves the group.
    pub(super) fn note_id(&self) {
        let id = Some(self.member.id()).filter(|id| !id.is_empty());
        *self.core.group.known_as.lock() = id.map(Arc::from);
    }

    /// Gives partitions back; what is left is lost where the membership ends over it.
    async fn give_back(&mut self, partitions: &[Arc<Partition>]) -> Result<()> {
        let core = Arc::clone(&self.core);
        let membership = self.member.membership();
        let loss = loss(&core, membership.as_ref());
        match handover::give_back(&core, partitions, loss).await {
            None => Ok(()),
            Some(Pulse::Fail(error)) => Err(error),
            Some(word) => {
                self.lose(matches!(word, Pulse::Lost { forgotten: true }))
                    .await;
                Ok(())
            }
        }
    }

    /// Everything is others' already.
    async fn lose(&mut self, forgotten: bool) {
        let lasted = self.joined_at.take().map(|since| since.elapsed());
        let soon = lasted.is_none_or(|lasted| lasted < self.core.settings.session_timeout);
        self.losses = if soon { self.losses + 1 } else { 1 };
        handover::lose(&self.core, &self.core.partitions()).await;
        self.core.membership.send_replace(None);
        // A member that joins again may be in the very generation that it was in: what was said of the lost membership is not about it.
        self.core.verdict.send_replace(None);
        self.synced = Synced::default();
        self.member.forget(forgotten);
        self.note_id();
    }
}

/// What changed of the topics that a group reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    None,
    /// There are topics or partitions more.
    More,
    /// There are fewer, and none more.
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

/// Waits for a word about this membership.
async fn verdict(core: &Core, membership: &Membership) -> Pulse {
    let mut told = core.verdict.subscribe();
    let mine =
        |told: &Option<(Membership, Pulse)>| matches!(told, Some((of, _)) if of == membership);
    if let Ok(Some((_, word))) = told.wait_for(mine).await.as_deref() {
        return word.clone();
    }
    // Only when the consumer itself is gone.
    std::future::pending().await
}

/// Waits until the membership is known to be lost, beyond a rebalance.
async fn loss(core: &Core, membership: Option<&Membership>) -> Pulse {
    let mut told = core.verdict.subscribe();
    let gone = |told: &Option<(Membership, Pulse)>| match told {
        Some((of, Pulse::Superseded | Pulse::Lost { .. } | Pulse::Fail(_))) => {
            Some(of) == membership
        }
        _ => false,
    };
    if let Ok(Some((_, word))) = told.wait_for(gone).await.as_deref() {
        return word.clone();
    }
    // Only when the consumer itself is gone.
    std::future::pending().await
}

/// While a join is under way: that the generation has passed is no news then, that the member is forgotten is.
async fn lose_when_gone(core: &Core) -> Infallible {
    let mut told = core.verdict.subscribe();
    let gone = |told: &Option<(Membership, Pulse)>| match told {
        Some((of, Pulse::Lost { .. } | Pulse::Fail(_))) => {
            core.membership.borrow().as_ref() == Some(of)
        }
        _ => false,
    };
    let heard = told.wait_for(gone).await.is_ok();
    if heard {
        handover::lose(core, &core.partitions()).await;
        core.membership.send_replace(None);
    }
    // The join itself tells how it goes on.
    std::future::pending().await
}

/// How soon to look again whether a topic is gone.
const DOUBT: Duration = Duration::from_secs(1);
/// After so many tries in vain the log says at `warn` that the group cannot be joined.
const TOLD_AFTER: u32 = 3;
