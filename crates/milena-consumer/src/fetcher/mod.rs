//! The task that fetches records for all assigned partitions. Each broker has at most one request
//! in flight.

mod answer;
mod flight;
mod node;
mod waiting;

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use milena_core::{Error, ErrorKind, Event, NodeId, Result};
use milena_lanes::End;
use milena_pool::Metadata;
use milena_protocol::fetch::{FetchPartition, Intact, decode_checked};
use tokio::time::{Instant, sleep_until};

use crate::budget;
use crate::core::{Core, PartitionList};
use crate::partition::{Partition, Want, Wish};
use crate::session::Session;
use crate::truncation;
use flight::fly;
use node::Node;
use waiting::Waiting;

/// Fetches until the future is dropped or the cluster handle is closed.
pub(crate) async fn run(core: Arc<Core>) {
    let mut changed = core.cluster.changed();
    let mut fetcher = Fetcher::new(Arc::clone(&core));
    loop {
        let wake_at = fetcher.start(Instant::now());
        tokio::select! {
            Some(landed) = fetcher.flying.next(), if !fetcher.flying.is_empty() => fetcher.land(landed),
            () = core.fetch.notified() => {}
            () = sleep_until(wake_at) => {}
            gone = changed.changed() => if gone.is_err() || core.cluster.is_closed() {
                core.end(End::Failed(Error::new(ErrorKind::Closed, "the cluster handle was closed while the consumer used it")));
                return;
            }
        }
    }
}

/// The fetch task's state.
struct Fetcher {
    /// State that all tasks of the consumer share.
    core: Arc<Core>,
    /// State of each broker that was ever fetched from.
    nodes: HashMap<NodeId, Node>,
    /// Fetches in flight, at most one for each broker.
    flying: FuturesUnordered<Flight>,
    /// Partitions to fetch, and the broker to fetch each from.
    waiting: Waiting,
    /// Assignment and metadata by which all partitions were last looked at. `None` before the first
    /// look. If one of them changes, all partitions are looked at again.
    known: Option<(PartitionList, Arc<Metadata>)>,
    /// Time at which waiting batches were last copied out of their frames. `None` if they never
    /// were.
    copied: Option<Instant>,
}

/// A fetch in flight.
type Flight = Pin<Box<dyn Future<Output = Landed> + Send>>;

/// A partition in a request, with the values that must still hold when the answer comes.
struct Asked {
    /// Broker that is asked.
    node: NodeId,
    /// The partition to fetch.
    partition: Arc<Partition>,
    /// Its entry in the request.
    entry: FetchPartition,
    /// The partition's turn when it was asked for. A seek or a reset raises it, and the answer is
    /// then dropped.
    turn: u64,
    /// True if the broker is the partition's leader.
    at_leader: bool,
    /// True if the broker may name a nearer replica.
    names_rack: bool,
    /// Bytes to ask for if memory is short, enough for one batch. `None` if records of the
    /// partition still wait to be read, so that it can be left out.
    one_batch: Option<u32>,
}

/// A fetch that has ended, with everything that was lent to it.
struct Landed {
    /// Broker that was asked.
    node: NodeId,
    /// Partitions of the request.
    asked: Vec<Asked>,
    /// The broker's fetch session, which returns to its [`Node`].
    session: Session,
    /// Time at which the fetch began.
    started: Instant,
    /// Number of bytes that were asked for.
    max_bytes: usize,
    /// The answer, or the error of the whole request.
    answer: Result<Arrived>,
}

/// The answer to a fetch, not decoded yet.
struct Arrived {
    /// Bytes of the answer. The fetched batches refer to them.
    body: Bytes,
    /// Version of the answer.
    version: i16,
    /// Batches whose checksums were found right while the answer arrived.
    intact: Intact,
}

/// Values by which a partition is looked at.
struct Look {
    /// The current time.
    now: Instant,
    /// The current metadata.
    metadata: Arc<Metadata>,
    /// Bytes of the buffer memory that one partition may use.
    share: usize,
}

impl Fetcher {
    fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            nodes: HashMap::new(),
            flying: FuturesUnordered::new(),
            waiting: Waiting::default(),
            known: None,
            copied: None,
        }
    }

    /// Sends a fetch to each broker that has none in flight and that partitions wait for. Returns
    /// the latest time of the next call.
    ///
    /// Looks only at partitions that were touched or whose time has come. If the assignment or the
    /// metadata changed, looks at all partitions.
    fn start(&mut self, now: Instant) -> Instant {
        let partitions = self.core.listed_now();
        let metadata = self.core.cluster.metadata();
        self.copy_out(&partitions, now);
        let look = Look {
            now,
            share: budget::share(self.core.budget.limit(), partitions.len()),
            metadata: Arc::clone(&metadata),
        };
        let same = self.known.as_ref().is_some_and(|(listed, known)| {
            Arc::ptr_eq(listed, &partitions) && Arc::ptr_eq(known, &metadata)
        });
        let mut touched = self.core.touched.drain(Partition::fetch_mark);
        let mut leaderless = BTreeSet::new();
        if same {
            touched.extend(self.waiting.due(now));
            for partition in &touched {
                if self.look_at(partition, &look) {
                    leaderless.insert(partition.place().topic.clone());
                }
            }
        } else {
            self.waiting.keep_only(&partitions);
            drop(self.waiting.due(now));
            for partition in partitions.iter() {
                if self.look_at(partition, &look) {
                    leaderless.insert(partition.place().topic.clone());
                }
            }
            self.known = Some((partitions, metadata));
        }
        if !leaderless.is_empty() {
            // The cluster drops topics that were not used for long from its metadata, for example
            // while all partitions of a topic are paused. Ask for them again.
            self.core.cluster.want_topics(leaderless);
            self.core.cluster.request_refresh();
        }
        let mut wake_at = self.waiting.next().unwrap_or(now + IDLE).min(now + IDLE);
        for (id, fresh) in self.waiting.nodes() {
            let node = self.nodes.entry(id).or_insert_with(Node::new);
            if node.flying.is_some() {
                continue;
            }
            if let Some(until) = node.quiet_until.filter(|until| *until > now) {
                wake_at = wake_at.min(until);
                continue;
            }
            // If nothing changed since the last request and memory is short, the same partitions
            // would be left out again.
            if fresh || self.free() >= budget::LEAST_FETCH {
                self.ask(id, &look);
            }
        }
        wake_at
    }

    /// Returns the number of bytes that may still be asked for.
    fn free(&self) -> usize {
        let flying: usize = self.nodes.values().filter_map(|node| node.flying).sum();
        let budget = &self.core.budget;
        budget.limit().saturating_sub(budget.used() + flying)
    }

    /// Copies waiting batches out of frames that nothing else holds if memory is short, so that the
    /// frames are freed. Skips most calls, because it walks all queues.
    fn copy_out(&mut self, partitions: &[Arc<Partition>], now: Instant) {
        let budget = &self.core.budget;
        let lately = self.copied.is_some_and(|at| now < at + COPIED);
        if lately || budget.used() <= budget.limit() / 2 {
            return;
        }
        self.copied = Some(now);
        for partition in partitions {
            partition.copy_out(budget);
        }
    }

    /// Finds the broker to fetch a partition from, if it is to be fetched. Returns true if the
    /// partition has no leader.
    fn look_at(&mut self, partition: &Arc<Partition>, look: &Look) -> bool {
        if partition.is_fenced() {
            self.waiting.park(partition, None);
            return false;
        }
        let place = partition.place();
        let topic = look.metadata.topic(&place.topic);
        let known = topic.and_then(|topic| topic.partition(place.partition));
        if partition.meet_topic(topic.and_then(|topic| topic.id)) {
            truncation::made_again(&self.core, partition);
        }
        if partition.meet_leader(known.and_then(|known| known.leader_epoch)) {
            self.core.lookup.notify_one();
        }
        match self.want(partition, look) {
            Want::Fetch(_) => match self.target(partition, look) {
                Some((node, _)) => {
                    self.waiting.wait(partition, node);
                    false
                }
                None => {
                    self.waiting.look_at(partition, look.now + LEADERLESS);
                    true
                }
            },
            other => {
                self.put_off(partition, other, look);
                false
            }
        }
    }

    /// Returns the offset and size to fetch of a partition, or the reason not to fetch it.
    fn want(&self, partition: &Partition, look: &Look) -> Want {
        let least = self.core.settings.partition_fetch_bytes;
        let full = |largest| budget::partition_bytes(largest, look.share, least) as usize;
        partition.want(look.now, full)
    }

    /// Leaves a partition out for now. It is looked at again when it is touched, or when its
    /// backoff is over.
    fn put_off(&mut self, partition: &Arc<Partition>, want: Want, look: &Look) {
        let full = match want {
            Want::Full => look.metadata.leader(partition.place()),
            Want::Fetch(_) | Want::Nothing => None,
        };
        self.waiting.park(partition, full);
        if let Some(until) = partition.quiet_until().filter(|until| *until > look.now) {
            self.waiting.look_at(partition, until);
        }
    }

    /// Returns the broker to fetch a partition from, and its leader. `None` if it has no leader.
    fn target(&self, partition: &Partition, look: &Look) -> Option<(NodeId, NodeId)> {
        let leader = look.metadata.leader(partition.place())?;
        let nearer = partition.nearer(look.now).filter(|node| *node != leader);
        let node = match nearer {
            Some(node)
                if look.metadata.broker(node).is_some() && !self.is_quiet(node, look.now) =>
            {
                node
            }
            // The nearer replica is unknown or backs off. The leader has all records.
            Some(_) => {
                partition.back_to_leader(look.now);
                leader
            }
            None => leader,
        };
        Some((node, leader))
    }

    /// Returns true if a broker is not asked for now because its fetches failed.
    fn is_quiet(&self, node: NodeId, now: Instant) -> bool {
        let known = self.nodes.get(&node).and_then(|node| node.quiet_until);
        known.is_some_and(|until| until > now)
    }

    /// Asks a broker for the partitions that wait for it. Each is looked at again first, because it
    /// may have changed meanwhile.
    fn ask(&mut self, id: NodeId, look: &Look) {
        let mut asked = Vec::new();
        for partition in self.waiting.take(id) {
            let wish = match self.want(&partition, look) {
                Want::Fetch(wish) if !partition.is_fenced() => wish,
                other => {
                    self.put_off(&partition, other, look);
                    continue;
                }
            };
            match self.target(&partition, look) {
                Some((node, leader)) if node == id => {
                    asked.push(self.asked(partition, wish, (node, leader), look));
                }
                Some((other, _)) => self.waiting.wait(&partition, other),
                None => self.waiting.look_at(&partition, look.now + LEADERLESS),
            }
        }
        let crowded = self.waiting.is_crowded(id);
        let left = self.send(id, asked, crowded);
        self.waiting.put_back(id, left);
    }

    /// Builds a partition's entry for a request to `node`.
    fn asked(
        &self,
        partition: Arc<Partition>,
        wish: Wish,
        (node, leader): (NodeId, NodeId),
        look: &Look,
    ) -> Asked {
        let place = partition.place();
        let topic = look.metadata.topic(&place.topic);
        let known = topic.and_then(|topic| topic.partition(place.partition));
        let least = self.core.settings.partition_fetch_bytes;
        let entry = FetchPartition {
            topic: place.topic.clone(),
            topic_id: topic.and_then(|topic| topic.id),
            partition: place.partition,
            offset: wish.offset,
            leader_epoch: known.and_then(|known| known.leader_epoch),
            last_fetched_epoch: wish.last_epoch,
            max_bytes: budget::partition_bytes(wish.largest_batch, look.share, least),
        };
        let one_batch = wish.largest_batch.max(budget::LEAST_FETCH);
        let one_batch = u32::try_from(one_batch).unwrap_or(u32::MAX);
        Asked {
            node,
            at_leader: node == leader,
            names_rack: !partition.wants_leader(look.now),
            partition,
            turn: wish.turn,
            one_batch: wish.is_empty.then_some(one_batch.min(entry.max_bytes)),
            entry,
        }
    }

    /// Sends a fetch. Returns the partitions that are left out of it, to be asked for later.
    /// `crowded` is true if a partition is left out because many of its records wait to be read.
    fn send(
        &mut self,
        id: NodeId,
        mut asked: Vec<Asked>,
        mut crowded: bool,
    ) -> Vec<Arc<Partition>> {
        let mut left = Vec::new();
        let mut free = self.free();
        if free < budget::LEAST_FETCH {
            // Readers of the held records give bytes back and wake this task. One of them may stand
            // still, and the other partitions must go on. So one batch of a partition that holds
            // none is always admitted.
            crowded |= asked.iter().any(|each| each.one_batch.is_none());
            left.extend(leave_out(&mut asked, |each| each.one_batch.is_some()));
            for each in &mut asked {
                each.entry.max_bytes = each.one_batch.unwrap_or(each.entry.max_bytes);
            }
            free = usize::MAX;
        }
        let Some(node) = self.nodes.get_mut(&id) else {
            return left;
        };
        left.extend(node.apart(&mut asked));
        if asked.is_empty() {
            return left;
        }
        node.order(&mut asked);
        let wanted: usize = asked.iter().map(|each| each.entry.max_bytes as usize).sum();
        let max = wanted.min(free).min(self.core.settings.fetch_max_bytes);
        node.crowd(crowded);
        node.flying = Some(max);
        let session = std::mem::replace(&mut node.session, Session::new());
        let most = self.core.settings.fetch_max_wait;
        let wait = node.wait.map_or(most, |wait| wait.min(most));
        for each in &asked {
            self.waiting.fly(&each.partition, id);
        }
        let flight = fly(Arc::clone(&self.core), id, asked, session, (max, wait));
        self.flying.push(Box::pin(flight));
        left
    }

    /// Applies the answer of a fetch and returns the session to its broker.
    fn land(&mut self, landed: Landed) {
        let Landed {
            node: id,
            asked,
            mut session,
            started,
            max_bytes,
            answer,
        } = landed;
        let now = Instant::now();
        let read = answer.and_then(|arrived| {
            let body = &arrived.body;
            let answer = decode_checked(body, arrived.version, &arrived.intact)?;
            if let Some(code) = answer.error {
                let again = session.refused(code);
                return Ok(Err((code, again)));
            }
            session.answered(answer.session_id);
            let taken = self.take(body, &answer, &asked, max_bytes, now);
            self.core.observers().emit(|| Event::Fetched {
                group: self.core.settings.group_name(),
                node: id,
                partitions: answer
                    .partitions
                    .iter()
                    .filter(|p| !p.records.is_empty())
                    .count(),
                bytes: taken.bytes,
                elapsed: started.elapsed(),
            });
            Ok(Ok(taken.last))
        });
        for each in &asked {
            self.waiting.land(&each.partition, id);
            if matches!(read, Ok(Ok(_))) && !each.partition.is_refused() {
                each.partition.end_asked(now);
            }
            each.partition.touch();
        }
        let core = Arc::clone(&self.core);
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.flying = None;
        match read {
            Ok(Ok(last)) => node.served(&asked, last),
            Ok(Err((code, again))) => {
                let error = Error::broker(code).api("Fetch");
                core.cluster.note_error(code);
                // A lost session is opened again at once, but not time after time.
                if again && node.failures == 0 {
                    node.failures = 1;
                } else {
                    node.failed(&core, id, &asked, &error, now);
                }
            }
            Err(error) => {
                session.restart();
                // The replica may be unreachable for long, and the leader can serve its partitions.
                for each in asked.iter().filter(|each| !each.at_leader) {
                    each.partition.back_to_leader(now);
                }
                core.cluster.request_refresh();
                node.failed(&core, id, &asked, &error, now);
                node.suspect(&core, &asked, &error, now);
            }
        }
        node.session = session;
    }
}

/// Removes the entries that `stay` rejects, and returns their partitions.
fn leave_out(asked: &mut Vec<Asked>, stay: impl Fn(&Asked) -> bool) -> Vec<Arc<Partition>> {
    let (kept, out): (Vec<_>, Vec<_>) = std::mem::take(asked).into_iter().partition(stay);
    *asked = kept;
    out.into_iter().map(|each| each.partition).collect()
}

/// Longest time between two looks if no timer is set.
const IDLE: Duration = Duration::from_secs(3600);
/// Wait before a partition without a leader is looked at again.
const LEADERLESS: Duration = Duration::from_millis(250);
/// Shortest time between two copies of waiting batches.
const COPIED: Duration = Duration::from_millis(100);
