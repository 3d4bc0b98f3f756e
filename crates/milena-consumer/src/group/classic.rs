//! A member of a classic group: join, sync, watch, give back what others are to have, and join again.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use milena_core::{
    Error, ErrorKind, Event, Partition as PartitionNumber, Result, TopicName, TopicPartition,
};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::handover;
use crate::assignor::Assignor;
use crate::core::Core;
use crate::heartbeat;
use crate::member::{Member, Membership, Next, Pulse};
use crate::partition::Partition;

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
    };
    // Beside this task, so that beats wait for nothing; ends with it.
    let mut beats = JoinSet::new();
    beats.spawn(heartbeat::run(Arc::clone(core)));
    task.live().await
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
                    self.leave().await;
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
        loop {
            let next = tokio::select! {
                joined = self.join_once() => match joined {
                    Ok(Ok(assignment)) => return Ok(assignment),
                    Ok(Err(next)) => next,
                    Err(error) if error.is_retriable() || error.kind() == ErrorKind::State => {
                        tracing::debug!(group = core.settings.group_name(), %error, "joining is tried again");
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
                    let topics = core.group.subscription.borrow().resolve(&core.cluster.metadata());
                    if topics != self.topics || self.partitions_grew() {
                        return Ok(Turn::Rebalance);
                    }
                }
            }
        }
    }

    /// Whether what this leader assigned by is out of date.
    fn partitions_grew(&self) -> bool {
        let Some(led) = &self.led else { return false };
        let topics: BTreeSet<_> = self.topics.iter().chain(led.keys()).cloned().collect();
        let mut grew = false;
        for (topic, count) in self.group_topics(&topics).counts() {
            let before = led.get(topic).copied().unwrap_or(0);
            if count > before {
                grew = true;
                let first = PartitionNumber::new(u32::try_from(before).unwrap_or(u32::MAX));
                self.core.observers().emit(|| Event::PartitionsAdded {
                    group: self.core.settings.group_name(),
                    topic,
                    first,
                    count,
                });
            }
        }
        grew
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
        handover::lose(&self.core, &self.core.partitions()).await;
        self.core.membership.send_replace(None);
        self.synced = Synced::default();
        self.member.forget(forgotten);
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
