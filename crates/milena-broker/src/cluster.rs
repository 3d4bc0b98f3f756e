//! The state that all brokers of a cluster share, such as topics, the controller and coordinators.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};
use std::time::Duration;

use milena_core::{CancelToken, ErrorCode};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;
use uuid::Uuid;

use crate::broker_config::BrokerConfigs;
use crate::faults::Faults;
use crate::group::{Coordinator, World};
use crate::journal::Journal;
use crate::node::Node;
use crate::partition::Partition;
use crate::refused::Refused;
use crate::settings::Settings;
use crate::tasks::Tasks;
use crate::topic::{Topic, TopicConfig, collide, name_defect};
use crate::view::View;

/// The state of the cluster. Every connection and every task shares it.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// The settings from the start.
    pub(crate) settings: Settings,
    /// All brokers, up or down, ordered by id. Never changes.
    pub(crate) nodes: Vec<Arc<Node>>,
    /// The topics.
    topics: RwLock<Topics>,
    /// The id of the controller, -1 without brokers. Written when brokers go down or come up.
    controller: AtomicI32,
    /// The next producer id to give out. Only grows.
    next_producer_id: AtomicI64,
    /// The coordinators that were moved by hand, by group. The others follow from a hash of the
    /// key.
    moved_coordinators: Mutex<HashMap<String, i32>>,
    /// The settings of brokers that were changed at run time.
    pub(crate) broker_configs: BrokerConfigs,
    /// The groups.
    pub(crate) groups: Coordinator,
    /// The faults to apply to requests.
    pub(crate) faults: Faults,
    /// The journal of requests.
    pub(crate) journal: Journal,
    /// All tasks of the cluster, which end with `stop`.
    pub(crate) tasks: Tasks,
    /// Cancelled once, at shutdown or when the owner drops the cluster.
    pub(crate) stop: CancelToken,
}

/// The topics by name and by id. Both maps hold the same topics.
#[derive(Debug, Default)]
struct Topics {
    /// The topics by name.
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    /// The topics by id.
    by_id: HashMap<Uuid, Arc<Topic>>,
    /// The number of topics created so far. It decides which broker leads the next topic's first
    /// partition.
    created: usize,
}

/// A topic to create.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewTopic {
    /// The name.
    pub(crate) name: String,
    /// The number of partitions. -1 takes the cluster's default.
    pub(crate) partitions: i32,
    /// The number of replicas. -1 takes the cluster's default.
    pub(crate) replication: i16,
    /// The replicas of each partition, if the caller assigns them. Empty if the cluster does.
    pub(crate) placed: Vec<Vec<i32>>,
    /// The settings.
    pub(crate) config: TopicConfig,
    /// The time until brokers know the topic.
    pub(crate) visible_after: Duration,
}

impl Cluster {
    /// Makes a cluster without topics.
    pub(crate) fn new(settings: Settings, nodes: Vec<Arc<Node>>, stop: CancelToken) -> Self {
        Self {
            controller: AtomicI32::new(nodes.first().map_or(-1, |node| node.id)),
            journal: Journal::new(settings.journal_capacity),
            groups: Coordinator::new(&settings),
            settings,
            nodes,
            topics: RwLock::default(),
            next_producer_id: AtomicI64::new(1000),
            moved_coordinators: Mutex::default(),
            broker_configs: BrokerConfigs::default(),
            faults: Faults::default(),
            tasks: Tasks::new(stop.clone()),
            stop,
        }
    }

    /// Returns the broker `id`, up or down.
    pub(crate) fn node(&self, id: i32) -> Option<&Arc<Node>> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Returns the brokers that are up.
    pub(crate) fn up(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.iter().filter(|node| node.is_up())
    }

    pub(crate) fn is_up(&self, id: i32) -> bool {
        self.node(id).is_some_and(|node| node.is_up())
    }

    pub(crate) fn controller(&self) -> i32 {
        self.controller.load(Ordering::Acquire)
    }

    pub(crate) fn set_controller(&self, node: i32) {
        self.controller.store(node, Ordering::Release);
    }

    /// Gives out a new producer id.
    pub(crate) fn next_producer_id(&self) -> i64 {
        self.next_producer_id.fetch_add(1, Ordering::AcqRel)
    }

    /// Returns a topic that brokers know.
    pub(crate) fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        let found = self.topics.read().by_name.get(name).cloned();
        found.filter(|topic| topic.is_visible())
    }

    /// Returns a topic, even if brokers do not know it yet. The controller already does.
    pub(crate) fn created_topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.read().by_name.get(name).cloned()
    }

    pub(crate) fn topic_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        let found = self.topics.read().by_id.get(&id).cloned();
        found.filter(|topic| topic.is_visible())
    }

    /// Returns all topics that brokers know.
    pub(crate) fn topics(&self) -> Vec<Arc<Topic>> {
        let topics = self.topics.read();
        let visible = topics.by_name.values().filter(|topic| topic.is_visible());
        visible.cloned().collect()
    }

    /// Returns the topics with the ids and partition counts that groups need.
    pub(crate) fn world(&self) -> World {
        let topics = self.topics();
        let each = topics.iter();
        each.map(|topic| (topic.name.to_string(), (topic.id, topic.all().len())))
            .collect()
    }

    /// Returns a snapshot of the brokers, topics and leaders.
    pub(crate) fn view(&self) -> View {
        View::of(self.up(), self.controller(), &self.topics())
    }

    pub(crate) fn partition(&self, topic: &str, index: i32) -> Option<Arc<Partition>> {
        self.topic(topic)?.partition(index)
    }

    /// Creates a topic. `dry` only checks that it could be created.
    pub(crate) fn create_topic(&self, new: NewTopic, dry: bool) -> Result<Arc<Topic>, Refused> {
        if let Some(defect) = name_defect(&new.name) {
            return Err((
                ErrorCode::INVALID_TOPIC_EXCEPTION,
                format!("Topic name is invalid: {defect}"),
            ));
        }
        let mut topics = self.topics.write();
        if topics.by_name.contains_key(new.name.as_str()) {
            let what = format!("Topic '{}' already exists.", new.name);
            return Err((ErrorCode::TOPIC_ALREADY_EXISTS, what));
        }
        if let Some(other) = topics
            .by_name
            .keys()
            .find(|other| collide(other, &new.name))
        {
            let what = format!("Topic '{}' collides with existing topic: {other}", new.name);
            return Err((ErrorCode::INVALID_TOPIC_EXCEPTION, what));
        }
        let replicas = self.place(&new, topics.created)?;
        let name: Arc<str> = Arc::from(new.name);
        let id = Uuid::new_v4();
        let partitions = replicas
            .into_iter()
            .enumerate()
            .map(|(index, replicas)| Arc::new(Partition::new(index as i32, replicas)))
            .collect();
        let topic = Arc::new(Topic {
            name: Arc::clone(&name),
            id,
            partitions: RwLock::new(partitions),
            config: RwLock::new(new.config),
            visible_at: Instant::now() + new.visible_after,
        });
        if !dry {
            topics.created += 1;
            topics.by_name.insert(name, Arc::clone(&topic));
            topics.by_id.insert(id, Arc::clone(&topic));
        }
        Ok(topic)
    }

    /// Returns the replicas of each partition, with the leader first. Leaders are spread over the
    /// brokers that are up.
    fn place(&self, new: &NewTopic, start: usize) -> Result<Vec<Vec<i32>>, Refused> {
        if !new.placed.is_empty() {
            let known =
                |ids: &Vec<i32>| !ids.is_empty() && ids.iter().all(|id| self.node(*id).is_some());
            return if new.placed.iter().all(known) {
                Ok(new.placed.clone())
            } else {
                let what = "an assignment names no broker or an unknown one".to_owned();
                Err((ErrorCode::INVALID_REPLICA_ASSIGNMENT, what))
            };
        }
        let count = match new.partitions {
            -1 => self.settings.default_partitions,
            count => count,
        };
        if count < 1 {
            let what = "Number of partitions must be larger than 0.".to_owned();
            return Err((ErrorCode::INVALID_PARTITIONS, what));
        }
        few_enough(count)?;
        (0..count as usize)
            .map(|index| self.replicas(start + index, new.replication))
            .collect()
    }

    /// Returns `replication` brokers that are up, beginning with the one at `first`.
    fn replicas(&self, first: usize, replication: i16) -> Result<Vec<i32>, Refused> {
        let up: Vec<i32> = self.up().map(|node| node.id).collect();
        let wanted = match replication {
            -1 => usize::try_from(self.settings.default_replication)
                .unwrap_or(1)
                .min(up.len()),
            wanted => usize::try_from(wanted).unwrap_or(0),
        };
        if wanted == 0 || wanted > up.len() {
            let what = format!(
                "Unable to replicate the partition {replication} time(s): only {} broker(s) are registered.",
                up.len()
            );
            return Err((ErrorCode::INVALID_REPLICATION_FACTOR, what));
        }
        Ok(up
            .iter()
            .cycle()
            .skip(first % up.len())
            .take(wanted)
            .copied()
            .collect())
    }

    /// Adds partitions until there are `count`.
    pub(crate) fn add_partitions(
        &self,
        topic: &Topic,
        count: i32,
        dry: bool,
    ) -> Result<(), Refused> {
        let mut partitions = topic.partitions.write();
        let present = partitions.len();
        let wanted = usize::try_from(count).unwrap_or(0);
        if wanted <= present {
            let what = format!(
                "The topic has {present} partition(s) already; {count} is not an increase."
            );
            return Err((ErrorCode::INVALID_PARTITIONS, what));
        }
        few_enough(i32::try_from(wanted - present).unwrap_or(i32::MAX))?;
        if dry {
            return Ok(());
        }
        let replication = partitions
            .first()
            .map_or(1, |first| first.lock().replicas.all().len() as i16);
        for index in present..wanted {
            let replicas = self.replicas(index, replication)?;
            partitions.push(Arc::new(Partition::new(index as i32, replicas)));
        }
        Ok(())
    }

    /// Removes a topic. Waiting fetches for it are answered, and its committed offsets are deleted.
    pub(crate) fn delete_topic(&self, name: &str) -> Option<Arc<Topic>> {
        let mut topics = self.topics.write();
        let topic = topics.by_name.remove(name)?;
        topics.by_id.remove(&topic.id);
        drop(topics);
        for partition in topic.all() {
            partition.lock().deleted = true;
            partition.wake();
        }
        self.groups.forget_topic(name);
        Some(topic)
    }

    /// Returns the broker that coordinates `key`, which is a group or a transactional id. Returns
    /// `None` if no broker is up.
    pub(crate) fn coordinator(&self, key: &str) -> Option<&Arc<Node>> {
        let moved = self.moved_coordinators.lock().get(key).copied();
        if let Some(node) = moved
            .and_then(|id| self.node(id))
            .filter(|node| node.is_up())
        {
            return Some(node);
        }
        let up: Vec<&Arc<Node>> = self.up().collect();
        // FNV-1a over the key gives the same spread on every run.
        let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let home = self
            .nodes
            .get((hash % self.nodes.len().max(1) as u64) as usize)?;
        if home.is_up() {
            return Some(home);
        }
        up.get((hash % up.len().max(1) as u64) as usize).copied()
    }

    /// Returns true if the internal topic of groups exists. In a strict cluster, the first call
    /// creates it.
    pub(crate) fn keeps_groups(&self) -> bool {
        if self.settings.propagation.is_zero() {
            return true;
        }
        let new = NewTopic {
            name: GROUPS.to_owned(),
            partitions: 50,
            replication: -1,
            visible_after: self.settings.propagation,
            ..NewTopic::default()
        };
        // Fails from the second call on, because the topic exists.
        let _ = self.create_topic(new, false);
        self.topic(GROUPS).is_some()
    }

    /// Makes a broker the coordinator of a group.
    pub(crate) fn move_coordinator(&self, key: &str, node: i32) {
        self.moved_coordinators.lock().insert(key.to_owned(), node);
        self.groups.coordinator_moved(key);
    }
}

/// Refuses more partitions than a controller creates for one request.
fn few_enough(partitions: i32) -> Result<(), Refused> {
    if partitions > MAX_NEW_PARTITIONS {
        let what = "Excessively large number of partitions per request.".to_owned();
        return Err((ErrorCode::POLICY_VIOLATION, what));
    }
    Ok(())
}

/// The topic in which real brokers keep groups.
const GROUPS: &str = "__consumer_offsets";

/// The largest number of partitions that one request creates. The controller writes a record for
/// each, and accepts at most 10,000 records at a time.
const MAX_NEW_PARTITIONS: i32 = 10_000;
