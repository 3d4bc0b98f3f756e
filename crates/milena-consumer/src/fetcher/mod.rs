//! The task that fetches: one request in flight per broker, from assignment to partition queue.

mod answer;
mod flight;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use milena_core::{Error, ErrorKind, Event, NodeId, Result};
use milena_protocol::fetch::{FetchPartition, Intact, decode_checked};
use tokio::time::{Instant, sleep_until};

use crate::budget;
use crate::core::{Core, End};
use crate::partition::{Partition, Want};
use crate::session::Session;
use crate::truncation;
use flight::fly;

/// Fetches until it is dropped.
pub(crate) async fn run(core: Arc<Core>) {
    let mut changed = core.cluster.changed();
    let mut fetcher = Fetcher {
        core: Arc::clone(&core),
        nodes: HashMap::new(),
        flying: FuturesUnordered::new(),
    };
    loop {
        let wake_at = fetcher.start(Instant::now());
        tokio::select! {
            Some(landed) = fetcher.flying.next(), if !fetcher.flying.is_empty() => fetcher.land(landed),
            () = core.fetch.notified() => {}
            () = sleep_until(wake_at) => {}
            gone = changed.changed() => if gone.is_err() || core.cluster.is_closed() {
                core.end(End::Failed(Error::new(ErrorKind::Closed, "the cluster handle was closed under the consumer")));
                return;
            }
        }
    }
}

struct Fetcher {
    core: Arc<Core>,
    nodes: HashMap<NodeId, Node>,
    flying: FuturesUnordered<Flight>,
}

type Flight = Pin<Box<dyn Future<Output = Landed> + Send>>;

struct Node {
    session: Session,
    /// The bytes asked for by the request in flight.
    flying: Option<usize>,
    quiet_until: Option<Instant>,
    failures: u32,
    /// How long a fetch may be parked, while a partition of the broker is left out since its reader is behind: the reader may be done
    /// much sooner than others have something new.
    wait: Option<Duration>,
}

/// A partition in a request, with what must still be true when the answer comes.
struct Asked {
    /// The broker that is asked.
    node: NodeId,
    partition: Arc<Partition>,
    entry: FetchPartition,
    turn: u64,
    at_leader: bool,
    /// Whether the broker may name a nearer replica.
    names_rack: bool,
    /// What is asked for where memory is short and nothing of the partition waits: a batch of it.
    one_batch: Option<u32>,
}

struct Landed {
    node: NodeId,
    asked: Vec<Asked>,
    session: Session,
    started: Instant,
    answer: Result<Arrived>,
}

/// The answer to a fetch, as it came.
struct Arrived {
    body: Bytes,
    version: i16,
    /// The batches whose checksums were found right on the way in.
    intact: Intact,
}

impl Fetcher {
    /// Sends a fetch to each broker that has none in flight and something to give; says when to look again at the latest.
    fn start(&mut self, now: Instant) -> Instant {
        let mut wake_at = now + IDLE;
        let partitions = self.core.partitions();
        let limit = self.core.budget.limit();
        if self.core.budget.used() > limit / 2 {
            for partition in &partitions {
                partition.copy_out(&self.core.budget);
            }
        }
        let metadata = self.core.cluster.metadata();
        let share = budget::share(limit, partitions.len());
        let least = self.core.settings.partition_fetch_bytes;
        let mut by_node: HashMap<NodeId, Vec<Asked>> = HashMap::new();
        let mut crowded = HashSet::new();
        let mut leaderless = BTreeSet::new();
        for partition in partitions {
            wake_at = partition
                .quiet_until()
                .filter(|until| *until > now)
                .map_or(wake_at, |until| wake_at.min(until));
            let known = metadata.partition(partition.place());
            let topic = metadata.topic(&partition.place().topic);
            if partition.meet_topic(topic.and_then(|topic| topic.id)) {
                truncation::made_again(&self.core, &partition);
            }
            if partition.meet_leader(known.and_then(|known| known.leader_epoch)) {
                self.core.lookup.notify_one();
            }
            let full = |largest| budget::partition_bytes(largest, share, least) as usize;
            let wish = match partition.want(now, full) {
                Want::Fetch(wish) => wish,
                Want::Full => {
                    crowded.extend(metadata.leader(partition.place()));
                    continue;
                }
                Want::Nothing => continue,
            };
            let Some(leader) = metadata.leader(partition.place()) else {
                leaderless.insert(partition.place().topic.clone());
                continue;
            };
            let nearer = partition.nearer(now).filter(|node| *node != leader);
            let node = match nearer {
                Some(node) if metadata.broker(node).is_some() && !self.is_quiet(node, now) => node,
                Some(_) => {
                    partition.back_to_leader(now);
                    leader
                }
                None => leader,
            };
            let entry = FetchPartition {
                topic: partition.place().topic.clone(),
                topic_id: metadata
                    .topic(&partition.place().topic)
                    .and_then(|topic| topic.id),
                partition: partition.place().partition,
                offset: wish.offset,
                leader_epoch: metadata
                    .partition(partition.place())
                    .and_then(|known| known.leader_epoch),
                last_fetched_epoch: wish.last_epoch,
                max_bytes: budget::partition_bytes(wish.largest_batch, share, least),
            };
            let one_batch = wish.largest_batch.max(budget::LEAST_FETCH);
            let one_batch = u32::try_from(one_batch).unwrap_or(u32::MAX);
            by_node.entry(node).or_default().push(Asked {
                node,
                at_leader: node == leader,
                names_rack: !partition.wants_leader(now),
                partition,
                turn: wish.turn,
                one_batch: wish.is_empty.then_some(one_batch.min(entry.max_bytes)),
                entry,
            });
        }
        if !leaderless.is_empty() {
            // A topic that was of no use for long, since all of it is paused, is in the picture no more.
            self.core.cluster.want_topics(leaderless);
            self.core.cluster.request_refresh();
            wake_at = wake_at.min(now + LEADERLESS);
        }
        for (id, asked) in by_node {
            let node = self.nodes.entry(id).or_insert_with(Node::new);
            if let Some(until) = node.quiet_until.filter(|until| *until > now) {
                wake_at = wake_at.min(until);
                continue;
            }
            if node.flying.is_none() {
                self.send(id, asked, crowded.contains(&id));
            }
        }
        wake_at
    }

    /// Whether a broker is left alone for now.
    fn is_quiet(&self, node: NodeId, now: Instant) -> bool {
        let known = self.nodes.get(&node).and_then(|node| node.quiet_until);
        known.is_some_and(|until| until > now)
    }

    /// Sends a fetch; `crowded` says that a partition is left out of it, since much of it waits to be read.
    fn send(&mut self, id: NodeId, mut asked: Vec<Asked>, mut crowded: bool) {
        let budget = Arc::clone(&self.core.budget);
        let flying: usize = self.nodes.values().filter_map(|node| node.flying).sum();
        let mut free = budget.limit().saturating_sub(budget.used() + flying);
        if free < budget::LEAST_FETCH {
            // The readers of what is held give bytes back and wake this task. Where one of them stands still, the others go on:
            // one batch of a partition is always admitted.
            crowded |= asked.iter().any(|each| each.one_batch.is_none());
            asked.retain(|each| each.one_batch.is_some());
            for each in &mut asked {
                each.entry.max_bytes = each.one_batch.unwrap_or(each.entry.max_bytes);
            }
            free = usize::MAX;
        }
        if asked.is_empty() {
            return;
        }
        let wanted: usize = asked.iter().map(|each| each.entry.max_bytes as usize).sum();
        let max = wanted.min(free).min(self.core.settings.fetch_max_bytes);
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.crowd(crowded);
        node.flying = Some(max);
        let session = std::mem::replace(&mut node.session, Session::new());
        let by_id = asked.iter().all(|each| each.entry.topic_id.is_some());
        let most = self.core.settings.fetch_max_wait;
        let wait = node.wait.map_or(most, |wait| wait.min(most));
        let flight = fly(
            Arc::clone(&self.core),
            id,
            asked,
            session,
            by_id,
            (max, wait),
        );
        self.flying.push(Box::pin(flight));
    }

    fn land(&mut self, landed: Landed) {
        let Landed {
            node: id,
            asked,
            mut session,
            started,
            answer,
        } = landed;
        let now = Instant::now();
        let read = answer.and_then(|arrived| {
            let body = &arrived.body;
            let answer = decode_checked(body, arrived.version, &arrived.intact)?;
            if let Some(code) = answer.error {
                let again = session.refused(code);
                return Ok(Some((code, again)));
            }
            session.answered(answer.session_id);
            let bytes = self.take(body, &answer, &asked, now);
            self.core.observers().emit(|| Event::Fetched {
                group: self.core.settings.group_name(),
                node: id,
                partitions: answer
                    .partitions
                    .iter()
                    .filter(|p| !p.records.is_empty())
                    .count(),
                bytes,
                elapsed: started.elapsed(),
            });
            Ok(None)
        });
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.flying = None;
        match read {
            Ok(None) => {
                if node.failures > 0 {
                    // An answer leaves out the partitions of which it tells nothing new.
                    asked
                        .iter()
                        .for_each(|each| each.partition.broker_answers());
                }
                node.failures = 0;
                node.quiet_until = None;
            }
            Ok(Some((code, again))) => {
                tracing::debug!(node = %id, %code, "a fetch was refused as a whole");
                self.core.cluster.note_error(code);
                // A session that is gone is opened anew at once, but not again and again.
                if again && node.failures == 0 {
                    node.failures = 1;
                } else {
                    let error = Error::broker(code).api("Fetch");
                    failed(&self.core, id, &asked, &error, now);
                    node.back_off(&self.core, now);
                }
            }
            Err(error) => {
                tracing::debug!(node = %id, %error, "a fetch failed");
                failed(&self.core, id, &asked, &error, now);
                session.restart();
                for each in asked.iter().filter(|each| !each.at_leader) {
                    each.partition.back_to_leader(now);
                }
                self.core.cluster.request_refresh();
                node.back_off(&self.core, now);
            }
        }
        node.session = session;
    }
}

/// A fetch failed as a whole: told once, and noted with each partition.
fn failed(core: &Core, node: NodeId, asked: &[Asked], error: &Error, now: Instant) {
    let mut first = false;
    for each in asked {
        first |= each.partition.troubled_with_broker(now, error);
    }
    if first {
        let partitions = asked.len();
        tracing::warn!(%node, %error, partitions, "a fetch failed; it is tried again");
    }
    core.tell_fetch_failed(node, None, error);
}

impl Node {
    fn new() -> Self {
        Self {
            session: Session::new(),
            flying: None,
            quiet_until: None,
            failures: 0,
            wait: None,
        }
    }

    /// Notes whether a full partition is left out of the next fetch. Each time in a row the wait doubles up to a bound: a reader that
    /// is slow costs few fetches, and one that is fast waits about as long as it took.
    fn crowd(&mut self, crowded: bool) {
        let next = self.wait.map_or(CROWDED.0, |wait| wait * 2);
        self.wait = crowded.then(|| next.min(CROWDED.1));
    }

    fn back_off(&mut self, core: &Core, now: Instant) {
        self.quiet_until = Some(now + core.cluster.backoff().delay(self.failures));
        self.failures = self.failures.saturating_add(1);
    }
}

/// How long a fetch is parked, at first and at most, while a full partition is left out.
const CROWDED: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));
/// How long nothing at all may go by without a look.
const IDLE: Duration = Duration::from_secs(3600);
/// How soon to look again for a leader.
const LEADERLESS: Duration = Duration::from_millis(250);
