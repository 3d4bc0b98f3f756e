//! The sender: one task that owns all sequences and in-flight batches, and drains them by leader.
//!
//! One task for all brokers and not one per connection: its only work per byte is the checksum (about 50 GB/s), since callers
//! encode and connections write; so a leader move or a new epoch needs no agreement between tasks.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use milena_core::Result;
use milena_protocol::batch::SealedBatch;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use crate::batch::Place;
use crate::delivery::Receipt;
use crate::ending::{Closing, Ended};
use crate::fan::Fans;
use crate::link::Link;
use crate::network::{BoxFuture, LinkId, Network, Wire};
use crate::notices::Notices;
use crate::partition::{Desk, OpenBatch};
use crate::queue::Queue;
use crate::sequence::Identity;
use crate::settings::Settings;
use crate::topic::Topics;
use crate::window::{Share, Windows};

/// What callers ask of the sender, beyond taking their batches.
pub(crate) enum Command {
    /// Send all that was enqueued so far; the receipts of what has no fate yet come back.
    Flush(oneshot::Sender<Vec<Arc<Receipt>>>),
    /// End: as soon as everything has its fate, or at the deadline of the first close by giving up the rest.
    Close {
        deadline: Instant,
        reply: oneshot::Sender<Ended>,
    },
}

/// Something that the sender waited for.
pub(crate) enum Done {
    Answer(Answer),
    Dialed(LinkId, Result<Arc<dyn Wire>>),
    Identity(Result<Identity>),
    Sealed {
        queue: u32,
        place: Place,
        result: Result<(SealedBatch, Option<Vec<u8>>)>,
    },
    Rebuilt {
        queue: u32,
        places: Vec<Place>,
        built: Vec<Result<SealedBatch>>,
    },
    Changed,
}

pub(crate) struct Answer {
    pub(crate) link: LinkId,
    pub(crate) version: i16,
    /// Whether a full batch is among them.
    pub(crate) full: bool,
    /// What it takes of the broker's window.
    pub(crate) share: Share,
    /// The batches, in the order of the request.
    pub(crate) sent: Vec<Sent>,
    pub(crate) result: Result<Bytes>,
}

/// A batch of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) queue: u32,
    pub(crate) place: Place,
    /// The topic's id as it was sent: the topic may have been made again since.
    pub(crate) topic_id: Option<Uuid>,
}

/// Where the producer's identity stands.
pub(crate) enum Standing {
    None,
    Asked,
    Not(Instant),
    Known(Identity),
}

pub(crate) struct Sender {
    pub(crate) desk: Arc<Desk>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) topics: Arc<Topics>,
    pub(crate) queues: Vec<Outlet>,
    pub(crate) links: HashMap<LinkId, Link>,
    pub(crate) fans: Fans,
    pub(crate) identity: Standing,
    pub(crate) identity_failures: u32,
    pub(crate) work: FuturesUnordered<BoxFuture<Done>>,
    pub(crate) compressing: Arc<Semaphore>,
    /// When each partition's oldest record is due; one entry per partition.
    pub(crate) timers: BinaryHeap<Reverse<(Instant, u32)>>,
    /// Partitions without a leader.
    pub(crate) leaderless: Vec<u32>,
    pub(crate) ask_again: Option<Instant>,
    /// When the desk's tick moves on next.
    pub(crate) tick: Option<Instant>,
    /// What the log is told.
    pub(crate) notices: Notices,
    /// How much may be on its way to each broker.
    pub(crate) windows: Windows,
    /// When someone last found no room in the buffer: batches that were open then leave as soon as they can.
    pub(crate) hurried: Option<Instant>,
    /// When each partition whose open batch lingers is to be looked at; one entry per partition.
    pub(crate) lingering: BinaryHeap<Reverse<(Instant, u32)>>,
    commands: mpsc::Receiver<Command>,
    pub(crate) closing: Option<Closing>,
    scratch: Vec<u32>,
}

/// A partition's queue and where it stands among the links.
pub(crate) struct Outlet {
    pub(crate) queue: Queue,
    /// Whether it is in a link's turn, or among those without a leader.
    pub(crate) listed: bool,
    /// Whether it has an entry among the timers.
    pub(crate) timed: bool,
    /// Whether it has an entry among the lingering.
    pub(crate) lingers: bool,
}

impl Sender {
    pub(crate) fn new(
        desk: Arc<Desk>,
        settings: Arc<Settings>,
        network: Arc<dyn Network>,
        topics: Arc<Topics>,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            desk,
            settings,
            network,
            topics,
            queues: Vec::new(),
            links: HashMap::new(),
            fans: Fans::default(),
            identity: Standing::None,
            identity_failures: 0,
            work: FuturesUnordered::new(),
            compressing: Arc::new(Semaphore::new(cores)),
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

    /// Runs until closed, or until no caller is left and everything has its fate.
    pub(crate) async fn run(mut self) {
        self.work.push(self.watch());
        loop {
            self.take_news();
            let now = Instant::now();
            let wake = self.pump(now);
            if self.is_over(now) {
                return;
            }
            let desk = self.desk.clone();
            desk.ready.rests(true);
            tokio::select! {
                () = desk.ready.rung() => {}
                Some(done) = self.work.next() => self.take(done),
                Some(command) = self.commands.recv() => self.obey(command),
                () = sleep_until(wake) => {}
            }
            desk.ready.rests(false);
            // What is there already is taken before anything is sent, so that one request carries it all.
            while let Some(Some(done)) = self.work.next().now_or_never() {
                self.take(done);
            }
        }
    }

    fn watch(&self) -> BoxFuture<Done> {
        let changed = self.network.changed();
        Box::pin(async move {
            changed.await;
            Done::Changed
        })
    }

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
                self.topics.refresh(&*self.network, &self.desk.ready);
                self.reroute();
            }
        }
    }

    /// Looks at the partitions that callers announced.
    pub(crate) fn take_news(&mut self) {
        let mut ids = std::mem::take(&mut self.scratch);
        for partition in self.desk.ready.news(self.queues.len(), &mut ids) {
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

    /// Takes the full batches of a partition, and notes whether one is open.
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

    /// Gives a partition its turn on its leader's link, and its timer.
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

    /// Looks anew who leads the partitions, since the metadata changed.
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
        // They keep their order, or those at the end would never have their turn while metadata comes often.
        for id in ids {
            self.list(id);
        }
        for id in 0..self.queues.len() {
            self.list(u32::try_from(id).unwrap_or(u32::MAX));
        }
    }

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

    fn obey(&mut self, command: Command) {
        self.take_news();
        match command {
            Command::Flush(reply) => {
                self.take_all_open();
                let unsettled = self.queues.iter().flat_map(|outlet| {
                    let batches = outlet.queue.unsettled();
                    batches.map(|batch| batch.receipt.clone())
                });
                // A caller that gave up needs no answer.
                let _ = reply.send(unsettled.collect());
            }
            Command::Close { deadline, reply } => {
                self.take_all_open();
                let closing = self.closing.get_or_insert_with(|| Closing::by(deadline));
                closing.wait(deadline, reply);
            }
        }
    }

    /// Takes the open batches of all partitions. Each that was opened before the sender last took the news is known to it, so that only
    /// partitions that have one are locked.
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

    pub(crate) fn take_open(&mut self, id: u32) -> Option<OpenBatch> {
        let queue = &mut self.queues.get_mut(id as usize)?.queue;
        queue.open_since = None;
        queue.partition.take_open()
    }
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
