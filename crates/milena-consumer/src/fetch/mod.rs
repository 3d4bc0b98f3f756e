//! The task that fetches records for all assigned partitions. Each broker has at most one request
//! in flight.

mod answer;
mod asked;
mod fetch_set;
mod flight;
mod node;
pub(crate) mod session;
pub(crate) mod unpack;
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
use milena_fetch::{LEAST_FETCH, partition_bytes, share};
use milena_lanes::End;
use milena_pool::Metadata;
use milena_protocol::fetch::{FetchPartition, Intact, decode_checked};
use tokio::time::{Instant, sleep_until};

use crate::assignment::PartitionList;
use crate::core::Core;
use crate::partition::{Partition, Want, Wish};
use answer::Frame;
use asked::Asked;
use flight::{Departing, fly};
use node::Node;
use session::Session;
use waiting::Waiting;

/// Fetches until the future is dropped or the cluster handle is closed.
pub(crate) async fn run(core: Arc<Core>) {
    let mut changed = core.cluster.changed();
    let mut fetcher = Fetcher::new(Arc::clone(&core));
    loop {
        let wake_at = fetcher.start(Instant::now());
        tokio::select! {
            Some(landed) = fetcher.flying.next(), if !fetcher.flying.is_empty() => fetcher.land(landed),
            () = core.wakes.fetch.notified() => {}
            () = sleep_until(wake_at) => {}
            gone = changed.changed() => if gone.is_err() || core.cluster.is_closed() {
                core.lifecycle.end(End::Failed(Error::new(ErrorKind::Closed, "the cluster handle was closed while the consumer used it")));
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

/// A fetch that has ended, with everything that was lent to it.
struct Landed {
    /// Broker that was asked.
    node: NodeId,
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

    /// Sends a fetch to each broker that has none in flight and that there are partitions to ask
    /// for. Returns the latest time of the next call.
    ///
    /// Looks only at partitions that were touched or whose time has come. If the assignment or the
    /// metadata changed, looks at all partitions.
    fn start(&mut self, now: Instant) -> Instant {
        let partitions = self.core.assignment.listed_now();
        let metadata = self.core.cluster.metadata();
        self.copy_out(&partitions, now);
        let look = Look {
            now,
            share: share(self.core.budget.limit(), partitions.len()),
            metadata: Arc::clone(&metadata),
        };
        self.look_around(partitions, &look);
        let mut wake_at = self.waiting.next().unwrap_or(now + IDLE).min(now + IDLE);
        let mut free_ones = Vec::new();
        for (id, node) in &self.nodes {
            if node.flying.is_some() || !node.has_work() {
                continue;
            }
            match node.quiet_until.filter(|until| *until > now) {
                Some(until) => wake_at = wake_at.min(until),
                None => free_ones.push((*id, node.has_news)),
            }
        }
        for (id, has_news) in free_ones {
            // If nothing changed since the last request and memory is short, the same partitions
            // would be left out again.
            if has_news || self.free() >= LEAST_FETCH {
                self.ask(id, &look);
            }
        }
        wake_at
    }

    /// Looks at the partitions that were touched or whose time has come. If the assignment or the
    /// metadata changed, looks at all `partitions`.
    fn look_around(&mut self, partitions: PartitionList, look: &Look) {
        let touched = self.core.wakes.touched.drain(Partition::fetch_mark);
        let due = self.waiting.due(look.now);
        let same = self.known.as_ref().is_some_and(|(listed, known)| {
            Arc::ptr_eq(listed, &partitions) && Arc::ptr_eq(known, &look.metadata)
        });
        let mut leaderless = BTreeSet::new();
        let mut look_at = |partition: &Arc<Partition>| {
            if self.look_at(partition, look) {
                leaderless.insert(partition.place().topic.clone());
            }
        };
        if same {
            touched.iter().chain(&due).for_each(&mut look_at);
        } else {
            partitions.iter().for_each(&mut look_at);
            let known = self.known.as_ref();
            if known.is_none_or(|(listed, _)| !Arc::ptr_eq(listed, &partitions)) {
                self.waiting
                    .keep_only(&partitions.iter().map(waiting::key).collect());
                self.nodes
                    .values_mut()
                    .for_each(|node| node.reassigned = true);
            }
            self.known = Some((partitions, Arc::clone(&look.metadata)));
        }
        if !leaderless.is_empty() {
            // The cluster drops topics that were not used for long from its metadata, for example
            // while all partitions of a topic are paused. Ask for them again.
            self.core.cluster.want_topics(leaderless);
            self.core.cluster.request_refresh();
        }
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
        if !partition.is_fenced() {
            let place = partition.place();
            let topic = look.metadata.topic(&place.topic);
            let known = topic.and_then(|topic| topic.partition(place.partition));
            if partition.meet_topic(topic.and_then(|topic| topic.id)) {
                self.core.truncations.made_again(partition);
            }
            if partition.meet_leader(known.and_then(|known| known.leader_epoch)) {
                self.core.wakes.lookup.notify_one();
            }
        }
        let want = self.want(partition, look.now, look.share);
        if !matches!(want, Want::Fetch(_)) {
            self.put_off(partition, want, look);
            return false;
        }
        let target = self.target(partition, look);
        self.send_to(partition, target.map(|(node, _)| node), look);
        target.is_none()
    }

    /// Has a partition fetched from `node`. Without a broker, it is looked at again later.
    fn send_to(&mut self, partition: &Arc<Partition>, node: Option<NodeId>, look: &Look) {
        let before = match node {
            Some(node) => self.waiting.fetch_from(partition, node),
            None => {
                self.waiting.look_at(partition, look.now + LEADERLESS);
                self.waiting.park(partition, None)
            }
        };
        let before = before.filter(|before| Some(*before) != node);
        for id in node.into_iter().chain(before) {
            let node = self.nodes.entry(id).or_insert_with(Node::new);
            node.change(partition);
        }
    }

    /// Notes that a partition is asked of broker `id`. It may have been parked, or sent to another
    /// broker, since it was last looked at.
    fn keep_at(&mut self, partition: &Arc<Partition>, id: NodeId) {
        let before = self.waiting.fetch_from(partition, id);
        let before = before.filter(|before| *before != id);
        if let Some(node) = before.and_then(|before| self.nodes.get_mut(&before)) {
            node.change(partition);
        }
    }

    /// Returns the offset and size to fetch of a partition, or the reason not to fetch it.
    fn want(&self, partition: &Partition, now: Instant, share: usize) -> Want {
        if partition.is_fenced() {
            return Want::Nothing;
        }
        let least = self.core.settings.partition_fetch_bytes;
        let full = |largest| partition_bytes(largest, share, least) as usize;
        partition.want(now, full)
    }

    /// Leaves a partition out for now. It is looked at again when it is touched, or when its
    /// backoff is over.
    fn put_off(&mut self, partition: &Arc<Partition>, want: Want, look: &Look) {
        let full = match want {
            Want::Full => look.metadata.leader(partition.place()),
            Want::Fetch(_) | Want::Nothing => None,
        };
        let before = self.waiting.park(partition, full);
        if let Some(node) = before.and_then(|before| self.nodes.get_mut(&before)) {
            node.change(partition);
        }
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

    /// Asks a broker for its partitions. Those that changed are looked at again first.
    fn ask(&mut self, id: NodeId, look: &Look) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        if node.reassigned
            && let Some((partitions, _)) = &self.known
        {
            node.keep_only(partitions);
        }
        for partition in node.take_changed() {
            let asked = match self.want(&partition, look.now, look.share) {
                Want::Fetch(wish) => {
                    let target = self.target(&partition, look);
                    let here = target.filter(|(node, _)| *node == id);
                    if here.is_none() {
                        self.send_to(&partition, target.map(|(node, _)| node), look);
                    }
                    here.map(|(_, leader)| self.asked(&partition, wish, (id, leader), look))
                }
                other => {
                    self.put_off(&partition, other, look);
                    None
                }
            };
            if asked.is_some() {
                self.keep_at(&partition, id);
            }
            if let Some(node) = self.nodes.get_mut(&id) {
                match asked {
                    Some(asked) => node.put(asked),
                    None => node.remove(&partition),
                }
            }
        }
        self.send(id);
    }

    /// Builds a partition's entry for a request to `node`.
    fn asked(
        &self,
        partition: &Arc<Partition>,
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
            max_bytes: partition_bytes(wish.largest_batch, look.share, least),
        };
        let one_batch = wish.largest_batch.max(LEAST_FETCH);
        let one_batch = u32::try_from(one_batch).unwrap_or(u32::MAX);
        Asked {
            node,
            at_leader: node == leader,
            names_rack: !partition.wants_leader(look.now),
            is_alone: partition.is_asked_alone(),
            partition: Arc::clone(partition),
            one_batch: wish.is_empty.then_some(one_batch.min(entry.max_bytes)),
            wish,
            entry,
        }
    }

    /// Sends a fetch for the partitions that are to be asked for now.
    fn send(&mut self, id: NodeId) {
        let free = self.free();
        let crowded = self.waiting.is_crowded(id);
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        // Readers of the held records give bytes back and wake this task. One of them may stand
        // still, and the other partitions must go on. So one batch of a partition that holds none
        // is always admitted.
        let short = free < LEAST_FETCH;
        node.choose(short);
        if node.session.len() == 0 {
            return;
        }
        let most = match short {
            true => node.fetch_set.one_batch_each(),
            false => free,
        };
        let wanted = node.session.max_bytes().min(most);
        let max_bytes = wanted.min(self.core.settings.fetch_max_bytes);
        node.crowd(crowded || short && !node.fetch_set.unread().is_empty());
        node.flying = Some(max_bytes);
        let most = self.core.settings.fetch_max_wait;
        let departing = Departing {
            node: id,
            session: std::mem::replace(&mut node.session, Session::new()),
            last: node.last.clone(),
            names_rack: node.fetch_set.names_rack(),
            max_bytes,
            max_wait: node.wait.map_or(most, |wait| wait.min(most)),
        };
        let flight = fly(Arc::clone(&self.core), departing);
        self.flying.push(Box::pin(flight));
    }

    /// Applies the answer of a fetch and returns the session to its broker.
    fn land(&mut self, landed: Landed) {
        let Landed {
            node: id,
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
            let Some(node) = self.nodes.get(&id) else {
                return Ok(Ok(None));
            };
            let taken = self.take(Frame::new(body, max_bytes), &answer, &node.fetch_set, now);
            self.core.reports.emit(|group| Event::Fetched {
                group,
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
        let core = Arc::clone(&self.core);
        let backoff = core.cluster.backoff();
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.flying = None;
        node.has_news = true;
        let served = matches!(read, Ok(Ok(_)));
        match read {
            Ok(Ok(last)) => node.served(last),
            Ok(Err((code, again))) => {
                let error = Error::broker(code).api("Fetch");
                core.cluster.note_error(code);
                // A lost session is opened again at once, but not time after time.
                if again && node.failures == 0 {
                    node.failures = 1;
                } else {
                    node.failed(id, &error, now, backoff);
                    core.reports.fetch_failed(id, None, &error);
                }
            }
            Err(error) => {
                session.restart();
                // The replica may be unreachable for long, and the leader can serve its partitions.
                for each in node.fetch_set.iter().filter(|each| !each.at_leader) {
                    each.partition.back_to_leader(now);
                }
                core.cluster.request_refresh();
                node.failed(id, &error, now, backoff);
                core.reports.fetch_failed(id, None, &error);
                if let Some(suspect) = node.suspect(&error, now, backoff) {
                    suspect.tell(&core.reports, &core.wakes);
                }
            }
        }
        node.session = session;
        let sweeps = node.is_to_sweep(now);
        if served && sweeps {
            node.end_asked(now);
        }
        if !served || sweeps {
            self.sweep(id, now);
        }
    }

    /// Has those partitions of a broker looked at again that no longer want what is asked for. So a
    /// change that nothing told this task is seen within a second.
    fn sweep(&mut self, id: NodeId, now: Instant) {
        let share = share(
            self.core.budget.limit(),
            self.core.assignment.listed_now().len(),
        );
        let Some(node) = self.nodes.get(&id) else {
            return;
        };
        let is_same = |asked: &Asked| {
            let partition = &asked.partition;
            self.want(partition, now, share) == Want::Fetch(asked.wish)
                && asked.names_rack != partition.wants_leader(now)
                && match partition.nearer(now) {
                    Some(nearer) => nearer == id,
                    None => asked.at_leader,
                }
        };
        let changed = node.fetch_set.iter().filter(|asked| !is_same(asked));
        let changed: Vec<_> = changed.map(|asked| Arc::clone(&asked.partition)).collect();
        if let Some(node) = self.nodes.get_mut(&id) {
            changed.iter().for_each(|partition| node.change(partition));
        }
    }
}

/// Longest time between two looks if no timer is set.
const IDLE: Duration = Duration::from_secs(3600);
/// Wait before a partition without a leader is looked at again.
const LEADERLESS: Duration = Duration::from_millis(250);
/// Shortest time between two copies of waiting batches.
const COPIED: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
