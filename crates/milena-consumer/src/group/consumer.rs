//! A member of a group of the consumer protocol: brings what it reads in line with what the coordinator says, partition by partition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, ErrorKind, Event, Partition as PartitionNumber, Result, TopicPartition};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use super::beats::{Beats, Owned, Places, Told};
use super::handover;
use super::leave::leave;
use crate::core::Core;
use crate::member::Pulse;
use crate::partition::Partition;
use crate::supervise::panic_of;

/// Lives as a member until the consumer closes.
pub(super) async fn live(core: &Arc<Core>) -> Result<()> {
    let (told, owned) = (
        watch::Sender::new(Told::default()),
        watch::Sender::new(Owned::default()),
    );
    // Kept for as long as the consumer lives, whatever becomes of its memberships.
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
    // Beside this task, so that beats wait for nothing; ends with it.
    let mut beating = JoinSet::new();
    beating.spawn(beats.run());
    let lived = async {
        task.live().await?;
        task.give_back(core.partitions()).await
    };
    tokio::select! {
        biased;
        lived = lived => lived?,
        never = panic_of(&mut beating) => match never {},
    }
    beating.shutdown().await;
    core.membership.send_replace(None);
    leave(core).await;
    Ok(())
}

struct ConsumerTask {
    core: Arc<Core>,
    told: watch::Receiver<Told>,
    owned: watch::Sender<Owned>,
    /// What it reads, by what the coordinator calls it: a topic that is made again has another id.
    held: BTreeMap<(Uuid, i32), TopicPartition>,
    /// How often in a row topics that the coordinator named were not found here.
    unseen: u32,
}

impl ConsumerTask {
    async fn live(&mut self) -> Result<()> {
        let core = Arc::clone(&self.core);
        let mut metadata = core.cluster.changed();
        let mut subscription = core.group.subscription.subscribe();
        subscription.mark_changed();
        loop {
            let told = self.told.borrow_and_update().clone();
            let missing = self.reconcile(told).await?;
            // At first it is metadata that comes late. A topic that stays hidden is asked for ever more seldom.
            let attempt = RESOLVE.saturating_mul(1 << self.unseen.min(16)).min(SELDOM);
            if !missing {
                self.unseen = 0;
            }
            tokio::select! {
                changed = self.told.changed() => if changed.is_err() {
                    // The task that beats has panicked: whoever waits for that task tells how.
                    return std::future::pending().await;
                },
                () = core.closing.cancelled() => return Ok(()),
                Ok(()) = subscription.changed() => {
                    let wanted = subscription.borrow_and_update().clone();
                    // By a pattern the coordinator matches; names and leaders of what it finds are looked up here.
                    core.group.follow(&core.cluster, &wanted);
                }
                changed = metadata.changed() => if changed.is_err() || core.cluster.is_closed() {
                    return Err(Error::new(ErrorKind::Closed, "the cluster handle was closed under the consumer"));
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

    /// One step towards what the coordinator said; `true` while topics of it are not known here yet.
    async fn reconcile(&mut self, told: Told) -> Result<bool> {
        let core = Arc::clone(&self.core);
        if let Some(error) = told.failed {
            return Err(error);
        }
        if told.life != self.owned.borrow().life {
            handover::lose(&core, &core.partitions()).await;
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
            let mut partitions = core.partitions();
            partitions.retain(|partition| places.contains(&partition.place()));
            self.give_back(partitions).await?;
            for key in gone {
                self.held.remove(&key);
            }
            // While that took its time the coordinator may have spoken again.
            if self.told.has_changed().unwrap_or(true) {
                return Ok(false);
            }
        }
        let missing = self.take(&target).await;
        self.confirm();
        Ok(missing)
    }

    /// Takes what is new and known here; `true` when some of it is not.
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
                    // The coordinator's pattern takes them in; what Kafka keeps for itself is read by name only.
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
            // A listener may take its time: that all is lost meanwhile must not wait for it. The next step lets everything go.
            tokio::select! {
                () = handover::take(&self.core, added.into_iter().collect()) => {}
                _ = told.wait_for(|told| told.life != life || told.failed.is_some()) => {}
            }
        }
        missing
    }

    /// Tells of partitions that are assigned and cannot be read, since nothing here knows their topic.
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
            self.core.observers().emit(|| Event::LookupFailed {
                group,
                partition: &place,
                error: &error,
            });
        }
    }

    /// Tells the heartbeats what is owned; a change is sent at once.
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

    /// Gives partitions back, unless all is lost meanwhile.
    async fn give_back(&mut self, partitions: Vec<Arc<Partition>>) -> Result<()> {
        let mut told = self.told.clone();
        let life = self.owned.borrow().life;
        let loss = async {
            let over = |told: &Told| told.life != life || told.failed.is_some();
            let failed = told.wait_for(over).await.map(|told| told.failed.clone());
            match failed {
                Ok(Some(error)) => Pulse::Fail(error),
                Ok(None) => Pulse::Lost { forgotten: false },
                Err(_) => std::future::pending().await,
            }
        };
        match handover::give_back(&self.core, &partitions, loss).await {
            Some(Pulse::Fail(error)) => Err(error),
            // The next step lets everything else go, too.
            Some(_) | None => Ok(()),
        }
    }
}

/// The longest wait before they are looked for again.
const SELDOM: Duration = Duration::from_secs(60);
/// After so many looks in vain it is told.
const TOLD_AFTER: u32 = 4;
/// How soon to look again for topics that the coordinator named and nobody knows here.
const RESOLVE: Duration = Duration::from_millis(250);
