//! A member of a group that uses the consumer protocol (KIP-848). It takes and gives back
//! partitions until it reads what the coordinator assigned.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, ErrorKind, Event, Partition as PartitionNumber, Result, TopicPartition};
use milena_lanes::panic_of;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use super::beats::{Beats, CoordinatorNews, Owned, Places};
use super::handover::Handover;
use super::leave::leave;
use crate::core::Core;
use crate::group::member::Pulse;
use crate::partition::Partition;

/// Lives as a member until the consumer closes.
pub(super) async fn live(core: &Arc<Core>) -> Result<()> {
    let (told, owned) = (
        watch::Sender::new(CoordinatorNews::default()),
        watch::Sender::new(Owned::default()),
    );
    // KIP-848 lets the client choose its member id. It stays the same for the consumer's whole
    // life, also when a membership is lost and the member joins again.
    let member: Arc<str> = Uuid::new_v4().to_string().into();
    *core.group.known_as.lock() = Some(Arc::clone(&member));
    let mut task = ConsumerTask {
        core: Arc::clone(core),
        told: told.subscribe(),
        owned,
        held: BTreeMap::new(),
        unseen: 0,
    };
    let beats = Beats::new(Arc::clone(core), member, told, task.owned.subscribe());
    // Heartbeats run in a task of their own, so that a slow handover does not delay them. Dropping
    // the set ends that task.
    let mut beating = JoinSet::new();
    beating.spawn(beats.run());
    let lived = async {
        task.live().await?;
        task.give_back(core.assignment.partitions()).await
    };
    tokio::select! {
        biased;
        lived = lived => lived?,
        never = panic_of(&mut beating) => match never {},
    }
    beating.shutdown().await;
    core.membership.send_replace(None);
    leave(&core.coordinator, &core.group, &core.settings).await;
    Ok(())
}

/// The task that reads the partitions that the coordinator assigned. It runs beside [`Beats`],
/// which sends the heartbeats.
struct ConsumerTask {
    /// State that all tasks of the consumer share.
    core: Arc<Core>,
    /// The latest assignment and errors from the coordinator. Written by [`Beats`].
    told: watch::Receiver<CoordinatorNews>,
    /// Partitions that this member owns. Written here, sent to the coordinator by [`Beats`].
    owned: watch::Sender<Owned>,
    /// Partitions that this member reads, by topic id and partition number. The id matters because
    /// a topic that is deleted and created again has a new one.
    held: BTreeMap<(Uuid, i32), TopicPartition>,
    /// Number of times in a row that an assigned topic id was missing from the metadata. 0 once
    /// every topic is known.
    unseen: u32,
}

impl ConsumerTask {
    /// Follows the coordinator's assignment until the consumer closes. Takes a step whenever the
    /// assignment, the subscription or the metadata changes.
    async fn live(&mut self) -> Result<()> {
        let core = Arc::clone(&self.core);
        let mut metadata = core.cluster.changed();
        let mut subscription = core.group.subscription.subscribe();
        subscription.mark_changed();
        loop {
            let told = self.told.borrow_and_update().clone();
            let missing = self.reconcile(told).await?;
            // A topic may be missing because the metadata is late, which passes soon, or because
            // this client may not describe it. The wait doubles with each attempt, up to `SELDOM`.
            let attempt = RESOLVE.saturating_mul(1 << self.unseen.min(16)).min(SELDOM);
            if !missing {
                self.unseen = 0;
            }
            tokio::select! {
                changed = self.told.changed() => if changed.is_err() {
                    // The heartbeat task has panicked. `live` waits for that task as well and
                    // reports the panic.
                    return std::future::pending().await;
                },
                () = core.lifecycle.closing().cancelled() => return Ok(()),
                Ok(()) = subscription.changed() => {
                    let wanted = subscription.borrow_and_update().clone();
                    // The coordinator matches the pattern, but it assigns topics by id. The
                    // metadata must show every topic so that this member finds their names and
                    // leaders.
                    core.group.follow(&core.cluster, &wanted);
                }
                changed = metadata.changed() => if changed.is_err() || core.cluster.is_closed() {
                    return Err(Error::new(ErrorKind::Closed, "the cluster handle was closed while the consumer used it"));
                },
                () = sleep(attempt), if missing => {
                    self.unseen += 1;
                    if self.unseen >= TOLD_AFTER {
                        self.tell_unseen();
                    }
                    core.cluster.request_refresh();
                }
            }
        }
    }

    /// Takes one step towards the coordinator's assignment. Returns true while an assigned topic is
    /// missing from the metadata.
    async fn reconcile(&mut self, told: CoordinatorNews) -> Result<bool> {
        let core = Arc::clone(&self.core);
        if let Some(error) = told.failed {
            return Err(error);
        }
        if told.life != self.owned.borrow().life {
            // The membership was lost, so other members may own everything. Let all partitions
            // go, then report the new life, which allows the next join.
            Handover::of(&core).lose_all().await;
            self.held.clear();
            self.owned.send_replace(Owned {
                life: told.life,
                places: Places::new(),
            });
        }
        let Some(target) = told.target else {
            return Ok(false);
        };
        let is_told = |(id, number): &(Uuid, i32)| {
            target
                .get(id)
                .is_some_and(|partitions| partitions.contains(number))
        };
        let gone: Vec<_> = self
            .held
            .keys()
            .filter(|key| !is_told(key))
            .copied()
            .collect();
        if !gone.is_empty() {
            let places: Vec<_> = gone.iter().filter_map(|key| self.held.get(key)).collect();
            let mut partitions = core.assignment.partitions();
            partitions.retain(|partition| places.contains(&partition.place()));
            self.give_back(partitions).await?;
            for key in gone {
                self.held.remove(&key);
            }
            // Giving back takes time. If the coordinator changed the assignment meanwhile, start
            // again with the new one.
            if self.told.has_changed().unwrap_or(true) {
                return Ok(false);
            }
        }
        let missing = self.take(&target).await;
        self.confirm();
        Ok(missing)
    }

    /// Takes the assigned partitions that this member does not read yet. Returns true if one of
    /// them has a topic that is missing from the metadata.
    async fn take(&mut self, target: &Places) -> bool {
        let metadata = self.core.cluster.metadata();
        let named = self.core.group.subscription.borrow().topics.clone();
        let (mut added, mut missing) = (Vec::new(), false);
        for (id, partitions) in target {
            let topic = metadata.topic_by_id(*id);
            for number in partitions {
                let key = (*id, *number);
                if self.held.contains_key(&key) {
                    continue;
                }
                match (topic, PartitionNumber::from_wire(*number)) {
                    // The coordinator matches the pattern against internal topics too. This client
                    // reads an internal topic only if it is subscribed by name.
                    (Some(topic), _) if topic.internal && !named.contains(&topic.name) => {}
                    (Some(topic), Some(partition)) => {
                        let place = TopicPartition::new(&topic.name, partition);
                        self.held.insert(key, place.clone());
                        added.push(place);
                    }
                    _ => missing = true,
                }
            }
        }
        if !added.is_empty() {
            let mut told = self.told.clone();
            let life = self.owned.borrow().life;
            // A listener may take long. A lost membership must not wait for it, and the next step
            // releases all partitions.
            let handover = Handover::of(&self.core);
            tokio::select! {
                () = handover.take(added.into_iter().collect()) => {}
                _ = told.wait_for(|told| told.life != life || told.failed.is_some()) => {}
            }
        }
        missing
    }

    /// Reports assigned partitions that cannot be read, because the metadata does not show their
    /// topic.
    fn tell_unseen(&self) {
        let metadata = self.core.cluster.metadata();
        let target = self.told.borrow().target.clone().unwrap_or_default();
        for (id, partitions) in target {
            let first = partitions
                .first()
                .copied()
                .and_then(PartitionNumber::from_wire);
            let (None, Some(first)) = (metadata.topic_by_id(id), first) else {
                continue;
            };
            let what = format!(
                "the coordinator assigned partitions of a topic with the id {id}, which the metadata does not show: allow this client \
                 to describe the topic, or take it out of the topic pattern"
            );
            let error = Error::new(ErrorKind::State, what);
            let group = self.core.settings.group_name();
            tracing::warn!(group, %error, "assigned partitions are not read");
            let place = TopicPartition::new(id.to_string(), first);
            self.core.reports.emit(|group| Event::LookupFailed {
                group,
                partition: &place,
                error: &error,
            });
        }
    }

    /// Reports the owned partitions to the heartbeat task. It sends a change at once.
    fn confirm(&self) {
        let mut places = Places::new();
        for (id, number) in self.held.keys() {
            places.entry(*id).or_default().insert(*number);
        }
        self.owned.send_if_modified(|owned| {
            let news = owned.places != places;
            owned.places = places;
            news
        });
    }

    /// Gives partitions back. If the membership is lost meanwhile, they are released without a
    /// commit.
    async fn give_back(&mut self, partitions: Vec<Arc<Partition>>) -> Result<()> {
        let mut told = self.told.clone();
        let life = self.owned.borrow().life;
        let loss = async {
            let over = |told: &CoordinatorNews| told.life != life || told.failed.is_some();
            let failed = told.wait_for(over).await.map(|told| told.failed.clone());
            match failed {
                Ok(Some(error)) => Pulse::Fail(error),
                Ok(None) => Pulse::Lost { forgotten: false },
                Err(_) => std::future::pending().await,
            }
        };
        match Handover::of(&self.core).give_back(&partitions, loss).await {
            Some(Pulse::Fail(error)) => Err(error),
            // Only these partitions were released. The next step sees the new life and releases the
            // rest.
            Some(_) | None => Ok(()),
        }
    }
}

/// Longest wait between two searches for topics that are missing from the metadata.
const SELDOM: Duration = Duration::from_secs(60);
/// Number of failed searches in a row after which missing topics are reported.
const TOLD_AFTER: u32 = 4;
/// First wait before missing topics are searched for again.
const RESOLVE: Duration = Duration::from_millis(250);
