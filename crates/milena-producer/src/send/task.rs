//! The sender, one task that owns all sequences and in-flight batches, and sends batches by leader.
//!
//! One task serves all brokers, and not one task per connection. Its only work per byte is the
//! checksum (about 50 GB/s), since callers encode and connections write. So a new leader or a new
//! epoch needs no agreement between tasks.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use milena_core::Result;
use milena_protocol::batch::SealedBatch;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use crate::enqueue::partition::OpenBatch;
use crate::enqueue::registry::Registry;
use crate::enqueue::shared::Shared;
use crate::enqueue::topic::Topics;
use crate::network::{BoxFuture, LinkId, Network, Wire};
use crate::send::batch::Place;
use crate::send::closing::Closing;
use crate::send::command::Command;
use crate::send::compressors::Compressors;
use crate::send::link::Link;
use crate::send::notices::Notices;
use crate::send::queue::Queue;
use crate::send::sequence::Identity;
use crate::send::spread::Fans;
use crate::send::window::{Share, Windows};
use crate::settings::Settings;

/// The end of something that the sender waited for.
pub(crate) enum Done {
    /// A Produce request has its answer, or failed.
    Answer(Answer),
    /// A connection was made, or could not be made.
    Dialed(LinkId, Result<Arc<dyn Wire>>),
    /// A producer id came, or the request for one failed.
    Identity(Result<Identity>),
    /// A batch was compressed on another thread. With it comes the buffer that it was built in, if
    /// that is free.
    Sealed {
        queue: u32,
        place: Place,
        result: Result<(SealedBatch, Option<Vec<u8>>)>,
    },
    /// Batches were rebuilt from one that was too large or partly refused.
    Rebuilt {
        queue: u32,
        places: Vec<Place>,
        built: Vec<Result<SealedBatch>>,
    },
    /// The metadata changed, or the cluster was closed.
    Changed,
}

/// The answer to a Produce request, or the reason why there is none.
pub(crate) struct Answer {
    /// The connection that the request was sent on.
    pub(crate) link: LinkId,
    /// The version of Produce that the request was encoded in.
    pub(crate) version: i16,
    /// True if the request held a full batch.
    pub(crate) full: bool,
    /// The part of the broker's window that the request holds.
    pub(crate) share: Share,
    /// The batches, in the order of the request.
    pub(crate) sent: Vec<Sent>,
    /// The body of the answer. Empty with `acks=0`.
    pub(crate) result: Result<Bytes>,
}

/// A batch of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// The index of its partition in `Sender::queues`.
    pub(crate) queue: u32,
    /// Its place in the order of the partition.
    pub(crate) place: Place,
    /// The topic's id as it was sent. The topic may have been deleted and created again since.
    pub(crate) topic_id: Option<Uuid>,
}

/// The state of the producer's identity.
pub(crate) enum Standing {
    /// There is none, and none was asked for.
    None,
    /// A request for one is in flight.
    Asked,
    /// The last request failed. The next one is sent at this time.
    Not(Instant),
    /// The identity that new batches are stamped with.
    Known(Identity),
}

/// The state of the sender's task. Only that task changes it, so nothing here is locked.
pub(crate) struct Sender {
    /// The memory, bell and clock that the sender shares with callers.
    pub(crate) shared: Arc<Shared>,
    /// All partitions of the producer, and its end.
    pub(crate) registry: Arc<Registry>,
    /// The checked settings.
    pub(crate) settings: Arc<Settings>,
    /// The cluster that records are sent to.
    pub(crate) network: Arc<dyn Network>,
    /// The topics that callers have sent to.
    pub(crate) topics: Arc<Topics>,
    /// One entry per partition, at the index of the partition's id. Entries are never removed.
    pub(crate) queues: Vec<Outlet>,
    /// The connections by broker and number. Entries are never removed.
    pub(crate) links: HashMap<LinkId, Link>,
    /// The brokers with more than one connection.
    pub(crate) fans: Fans,
    /// The producer id and epoch that new batches are stamped with.
    pub(crate) identity: Standing,
    /// The failed requests for a producer id since the last success, for the backoff.
    pub(crate) identity_failures: u32,
    /// Everything that the sender waits for. Each future resolves to what `take` does next.
    pub(crate) work: FuturesUnordered<BoxFuture<Done>>,
    /// The threads that compress large batches.
    pub(crate) compressors: Compressors,
    /// The batches that these threads have finished.
    compressed: mpsc::UnboundedReceiver<Done>,
    /// The deadline of each partition's oldest record. A partition has at most one entry, see
    /// `Outlet::timed`.
    pub(crate) timers: BinaryHeap<Reverse<(Instant, u32)>>,
    /// Partitions that have something to send and no leader. Each has `Outlet::listed` set.
    pub(crate) leaderless: Vec<u32>,
    /// The time at which metadata is requested again. `None` while every partition has a leader.
    pub(crate) ask_again: Option<Instant>,
    /// The time at which the shared's tick moves on. `None` while no caller asked for that.
    pub(crate) tick: Option<Instant>,
    /// The log lines about records that are held up or were given up.
    pub(crate) notices: Notices,
    /// The bytes that may be in flight to each broker.
    pub(crate) windows: Windows,
    /// The time at which a caller last found the buffer full. Batches opened before it leave
    /// without lingering. `None` before the first such time.
    pub(crate) hurried: Option<Instant>,
    /// The end of the linger time of each partition whose open batch lingers. A partition has at
    /// most one entry, see `Outlet::lingers`.
    pub(crate) lingering: BinaryHeap<Reverse<(Instant, u32)>>,
    /// The requests of callers.
    commands: mpsc::Receiver<Command>,
    /// The end of the producer, once it was asked for. `None` before.
    pub(crate) closing: Option<Closing>,
    /// A buffer for the ids of announced partitions, kept to spare an allocation per turn.
    scratch: Vec<u32>,
}

/// A partition's queue, and the lists that the partition is in.
pub(crate) struct Outlet {
    /// The batches of the partition.
    pub(crate) queue: Queue,
    /// True while the partition is in a link's turn, or among those without a leader. It is in at
    /// most one of these lists.
    pub(crate) listed: bool,
    /// True while the partition has an entry in `Sender::timers`.
    pub(crate) timed: bool,
    /// True while the partition has an entry in `Sender::lingering`.
    pub(crate) lingers: bool,
}

impl Sender {
    pub(crate) fn new(
        shared: Arc<Shared>,
        registry: Arc<Registry>,
        settings: Arc<Settings>,
        network: Arc<dyn Network>,
        topics: Arc<Topics>,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (compressors, compressed) = Compressors::new(cores);
        Self {
            shared,
            registry,
            settings,
            network,
            topics,
            queues: Vec::new(),
            links: HashMap::new(),
            fans: Fans::default(),
            identity: Standing::None,
            identity_failures: 0,
            work: FuturesUnordered::new(),
            compressors,
            compressed,
            timers: BinaryHeap::new(),
            leaderless: Vec::new(),
            ask_again: None,
            tick: None,
            notices: Notices::default(),
            windows: Windows::default(),
            hurried: None,
            lingering: BinaryHeap::new(),
            commands,
            closing: None,
            scratch: Vec::new(),
        }
    }

    /// Runs until the producer is closed, or until no caller is left and every batch has its
    /// outcome.
    pub(crate) async fn run(mut self) {
        self.work.push(self.watch());
        loop {
            self.take_news();
            let now = Instant::now();
            let wake = self.pump(now);
            if self.is_over(now) {
                return;
            }
            let shared = self.shared.clone();
            // A caller that fills batches without awaiting looks at this. If the sender waits for
            // its turn on the caller's thread, the caller moves it to another one.
            shared.bell.rests(true);
            tokio::select! {
                () = shared.bell.rung() => {}
                Some(done) = self.work.next() => self.take(done),
                Some(done) = self.compressed.recv() => self.take(done),
                Some(command) = self.commands.recv() => self.obey(command),
                () = sleep_until(wake) => {}
            }
            shared.bell.rests(false);
            // Everything that is ready is taken before anything is sent, so that one request
            // carries it all.
            while let Some(Some(done)) = self.work.next().now_or_never() {
                self.take(done);
            }
            while let Ok(done) = self.compressed.try_recv() {
                self.take(done);
            }
        }
    }

    /// Returns a future that resolves when the metadata changes.
    fn watch(&self) -> BoxFuture<Done> {
        let changed = self.network.changed();
        Box::pin(async move {
            changed.await;
            Done::Changed
        })
    }

    /// Handles the end of something that the sender waited for.
    fn take(&mut self, done: Done) {
        let now = Instant::now();
        match done {
            Done::Answer(answer) => self.answered(answer, now),
            Done::Dialed(id, result) => self.dialed(id, result, now),
            Done::Identity(result) => self.identified(result, now),
            Done::Sealed {
                queue,
                place,
                result,
            } => self.sealed(queue, place, result),
            Done::Rebuilt {
                queue,
                places,
                built,
            } => self.rebuilt(queue, places, built),
            Done::Changed if self.network.is_closed() => self.end_with_cluster(),
            Done::Changed => {
                self.work.push(self.watch());
                self.topics.refresh(&*self.network, &self.registry);
                self.reroute();
            }
        }
    }

    /// Takes the partitions that callers announced, new ones and those with a new batch.
    pub(crate) fn take_news(&mut self) {
        let mut ids = std::mem::take(&mut self.scratch);
        let news = self
            .registry
            .news(&self.shared.bell, self.queues.len(), &mut ids);
        for partition in news {
            self.queues.push(Outlet {
                queue: Queue::new(partition),
                listed: false,
                timed: false,
                lingers: false,
            });
        }
        for id in ids.drain(..) {
            self.collect(id);
        }
        self.scratch = ids;
    }

    /// Takes the full batches of a partition, and notes since when one is open.
    fn collect(&mut self, id: u32) {
        let Some(outlet) = self.queues.get_mut(id as usize) else {
            return;
        };
        if outlet.queue.is_idle() {
            outlet.queue.starts();
        }
        let mut full = Vec::new();
        outlet.queue.open_since = outlet.queue.partition.collect(&mut full);
        for batch in full {
            self.close_batch(id, batch);
        }
        self.list(id);
    }

    /// Puts a partition into the turn of its leader's link, and sets its timer. Does nothing for
    /// the turn if the partition has nothing to send or is listed already.
    pub(crate) fn list(&mut self, id: u32) {
        let Some(outlet) = self.queues.get_mut(id as usize) else {
            return;
        };
        let queue = &mut outlet.queue;
        if !outlet.timed
            && let Some(due) = queue.deadline(&queue.partition.flow.rules)
        {
            outlet.timed = true;
            self.timers.push(Reverse((due, id)));
        }
        if outlet.listed || !(queue.has_waiting() || queue.open_since.is_some()) {
            return;
        }
        queue.led_by(self.network.leader(&queue.partition.place));
        self.fans.calm(queue);
        outlet.listed = true;
        match queue.link() {
            Some(on) => self
                .links
                .entry(on)
                .or_insert_with(|| Link::new(on))
                .turn
                .push_back(id),
            None => {
                queue.lacks_leader();
                self.leaderless.push(id);
                self.notices.trouble(Instant::now());
            }
        }
    }

    /// Looks up the leaders of all partitions again, since the metadata changed.
    fn reroute(&mut self) {
        let mut ids = std::mem::take(&mut self.leaderless);
        for link in self.links.values_mut() {
            ids.extend(link.turn.drain(..));
        }
        for outlet in &mut self.queues {
            let queue = &mut outlet.queue;
            let leader = self.network.leader(&queue.partition.place);
            if leader.is_some() && queue.led_by(leader) {
                queue.hurry();
            }
        }
        for id in &ids {
            if let Some(outlet) = self.queues.get_mut(*id as usize) {
                outlet.listed = false;
            }
        }
        // The partitions keep their order. Otherwise those at the end would never be served while
        // metadata changes often.
        for id in ids {
            self.list(id);
        }
        for id in 0..self.queues.len() {
            self.list(u32::try_from(id).unwrap_or(u32::MAX));
        }
    }

    /// Takes a producer id, or the reason why there is none.
    fn identified(&mut self, result: Result<Identity>, now: Instant) {
        match result {
            Ok(identity) => {
                self.identity = Standing::Known(identity);
                self.identity_failures = 0;
                for id in 0..self.queues.len() {
                    self.list(u32::try_from(id).unwrap_or(u32::MAX));
                }
            }
            Err(_) if self.network.is_closed() => self.end_with_cluster(),
            Err(error) if error.is_fatal() => {
                self.identity = Standing::None;
                self.end(&error);
            }
            Err(error) => {
                for outlet in &mut self.queues {
                    outlet.queue.blame(&error);
                }
                self.notices.trouble(now);
                let wait = self.settings.rules.backoff.delay(self.identity_failures);
                self.identity_failures = self.identity_failures.saturating_add(1);
                self.identity = Standing::Not(now + wait);
            }
        }
    }

    /// Carries out a request of a caller.
    fn obey(&mut self, command: Command) {
        self.take_news();
        match command {
            Command::Flush(reply) => {
                self.take_all_open();
                let unsettled = self.queues.iter().flat_map(|outlet| {
                    let batches = outlet.queue.unsettled();
                    batches.map(|batch| batch.receipt.clone())
                });
                // The caller may have dropped its future.
                let _ = reply.send(unsettled.collect());
            }
            Command::Close { deadline, reply } => {
                self.take_all_open();
                let closing = self.closing.get_or_insert_with(|| Closing::by(deadline));
                closing.wait(deadline, reply);
            }
        }
    }

    /// Takes the open batches of all partitions. The sender knows of each one that was opened
    /// before it last took the news, so only partitions with an open batch are locked.
    pub(crate) fn take_all_open(&mut self) {
        for id in 0..self.queues.len() {
            let outlet = self.queues.get(id);
            if outlet.is_none_or(|outlet| outlet.queue.open_since.is_none()) {
                continue;
            }
            let id = u32::try_from(id).unwrap_or(u32::MAX);
            self.collect(id);
            if let Some(batch) = self.take_open(id) {
                self.close_batch(id, batch);
                self.list(id);
            }
        }
    }

    /// Takes a partition's open batch, or the oldest full one if the callers have filled one
    /// meanwhile.
    pub(crate) fn take_open(&mut self, id: u32) -> Option<OpenBatch> {
        let queue = &mut self.queues.get_mut(id as usize)?.queue;
        queue.open_since = None;
        queue.partition.take_open()
    }
}

/// Waits until `time`, or for ever if there is none.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
