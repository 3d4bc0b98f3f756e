//! The queues of all partitions, and the lists that say when each is looked at again.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use milena_core::NodeId;
use tokio::time::Instant;

use crate::enqueue::partition::Partition;
use crate::network::{LinkId, Network};
use crate::send::queue::Queue;
use crate::send::queue::id::QueueId;
use crate::send::spread::ConnectionSpread;
use crate::send::wake::Wake;

/// One queue per partition, and the lists that it is in. Only this puts a queue on a list or takes
/// it off.
pub(super) struct Outlets {
    /// The cluster, which knows the leader of each partition.
    network: Arc<dyn Network>,
    /// The queues at the index of their id. Entries are never removed.
    all: Vec<Outlet>,
    /// The queues that have, or may have, something to send on each connection, in the order in
    /// which they are served. Each has `Outlet::listed` set.
    turns: HashMap<LinkId, VecDeque<QueueId>>,
    /// The queues that have something to send and no leader. Each has `Outlet::listed` set.
    leaderless: Vec<QueueId>,
    /// True if a queue came to `leaderless` since [`take_lack`](Self::take_lack) was last called.
    lack: bool,
    /// The deadline of each partition's oldest record. A queue has at most one entry, see
    /// `Outlet::timed`.
    deadlines: Times,
    /// The end of the linger time of each partition whose open batch lingers. A queue has at most
    /// one entry, see `Outlet::lingers`.
    lingering: Times,
    /// The brokers with more than one connection.
    spread: ConnectionSpread,
}

/// Times at which queues are due, the earliest first.
type Times = BinaryHeap<Reverse<(Instant, QueueId)>>;

/// A partition's queue, and the lists that it is in.
struct Outlet {
    /// The batches of the partition.
    queue: Queue,
    /// True while the queue is in a connection's turn, or among those without a leader. It is in at
    /// most one of these lists.
    listed: bool,
    /// True while the queue has an entry in `Outlets::deadlines`.
    timed: bool,
    /// True while the queue has an entry in `Outlets::lingering`.
    lingers: bool,
}

impl Outlets {
    pub(super) fn new(network: Arc<dyn Network>) -> Self {
        Self {
            network,
            all: Vec::new(),
            turns: HashMap::new(),
            leaderless: Vec::new(),
            lack: false,
            deadlines: Times::new(),
            lingering: Times::new(),
            spread: ConnectionSpread::default(),
        }
    }

    /// Adds a queue for `partition`. Ids are given out only here. They count as those of the
    /// partitions do, since both are added in the same order.
    pub(super) fn add(&mut self, partition: Arc<Partition>) -> QueueId {
        let id = QueueId::nth(self.all.len());
        self.all.push(Outlet {
            queue: Queue::new(id, partition),
            listed: false,
            timed: false,
            lingers: false,
        });
        id
    }

    /// Returns the id of the queue of the partition with this id. `None` if there is none.
    pub(super) fn of_partition(&self, partition: u32) -> Option<QueueId> {
        let index = partition as usize;
        (index < self.all.len()).then(|| QueueId::nth(index))
    }

    /// Returns the number of queues.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "ids come from `add` and queues are never removed"
    )]
    fn outlet(&mut self, id: QueueId) -> &mut Outlet {
        &mut self.all[id.index()]
    }

    /// Returns a queue, to be changed.
    pub(super) fn get(&mut self, id: QueueId) -> &mut Queue {
        &mut self.outlet(id).queue
    }

    /// Returns a queue, to be read.
    #[expect(
        clippy::indexing_slicing,
        reason = "ids come from `add` and queues are never removed"
    )]
    pub(super) fn peek(&self, id: QueueId) -> &Queue {
        &self.all[id.index()].queue
    }

    /// Returns the ids of all queues.
    pub(super) fn ids(&self) -> impl Iterator<Item = QueueId> + use<> {
        (0..self.all.len()).map(QueueId::nth)
    }

    /// Returns all queues, to be read.
    pub(super) fn queues(&self) -> impl Iterator<Item = &Queue> + Clone {
        self.all.iter().map(|outlet| &outlet.queue)
    }

    /// Returns all queues, to be changed.
    pub(super) fn queues_mut(&mut self) -> impl Iterator<Item = &mut Queue> {
        self.all.iter_mut().map(|outlet| &mut outlet.queue)
    }

    /// Puts a queue into the turn of its leader's connection, and sets its deadline. Does nothing
    /// for the turn if the queue has nothing to send or is listed already.
    pub(super) fn list(&mut self, id: QueueId) {
        self.time(id);
        let Self {
            network,
            all,
            turns,
            leaderless,
            lack,
            spread,
            ..
        } = self;
        let Some(outlet) = all.get_mut(id.index()) else {
            return;
        };
        let queue = &mut outlet.queue;
        if outlet.listed || !queue.wants_turn() {
            return;
        }
        queue.led_by(network.leader(&queue.partition.place));
        if let Some(link) = queue.link()
            && link.number > 0
            && spread.is_over(link.node, Instant::now())
        {
            queue.go_by(0);
        }
        outlet.listed = true;
        match queue.link() {
            Some(on) => turns.entry(on).or_default().push_back(id),
            None => {
                queue.lacks_leader();
                leaderless.push(id);
                *lack = true;
            }
        }
    }

    /// Lists all queues that have something to send.
    pub(super) fn list_all(&mut self) {
        for id in self.ids() {
            self.list(id);
        }
    }

    /// Notes that a queue is in no turn any more.
    pub(super) fn unlist(&mut self, id: QueueId) {
        self.outlet(id).listed = false;
    }

    /// Looks up the leaders of all partitions again, since the metadata changed.
    pub(super) fn reroute(&mut self) {
        let mut ids = std::mem::take(&mut self.leaderless);
        for turn in self.turns.values_mut() {
            ids.extend(turn.drain(..));
        }
        for outlet in &mut self.all {
            let queue = &mut outlet.queue;
            let leader = self.network.leader(&queue.partition.place);
            if leader.is_some() && queue.led_by(leader) {
                queue.hurry();
            }
        }
        for id in &ids {
            self.unlist(*id);
        }
        // The partitions keep their order. Otherwise those at the end would never be served while
        // metadata changes often.
        for id in ids {
            self.list(id);
        }
        self.list_all();
    }

    /// Returns the connections with a queue whose turn it is.
    pub(super) fn busy(&self) -> Vec<LinkId> {
        let busy = self.turns.iter().filter(|(_, turn)| !turn.is_empty());
        busy.map(|(on, _)| *on).collect()
    }

    /// Takes the queues whose turn it is on a connection. They stay listed.
    pub(super) fn take_turn(&mut self, on: LinkId) -> VecDeque<QueueId> {
        self.turns
            .get_mut(&on)
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Gives back the queues that [`take_turn`](Self::take_turn) returned and that still have
    /// something to send. They come after those that were listed meanwhile.
    pub(super) fn give_turn(&mut self, on: LinkId, mut turn: VecDeque<QueueId>) {
        self.turns.entry(on).or_default().append(&mut turn);
    }

    /// Calls `act` for each queue whose turn it is on a connection.
    pub(super) fn for_turn(&mut self, on: LinkId, mut act: impl FnMut(&mut Queue)) {
        let ids = self.turns.get(&on).into_iter().flatten();
        for id in ids {
            if let Some(outlet) = self.all.get_mut(id.index()) {
                act(&mut outlet.queue);
            }
        }
    }

    /// Moves all queues of a connection to connection 0 of its broker.
    pub(super) fn gather_back(&mut self, from: LinkId) {
        let moved = self.take_turn(from);
        for queue in self.queues_mut() {
            if queue.link() == Some(from) {
                queue.go_by(0);
            }
        }
        for id in moved {
            self.unlist(id);
            self.list(id);
        }
    }

    /// Moves `count` of the queues with batches on connection `from` to connection `number` of its
    /// broker.
    pub(super) fn move_loaded(&mut self, from: LinkId, number: u8, count: usize) {
        let loaded = self
            .queues_mut()
            .filter(|queue| queue.link() == Some(from) && queue.is_loaded());
        loaded.take(count).for_each(|queue| queue.go_by(number));
    }

    /// Returns the queues with batches that wait or are in flight on a connection.
    pub(super) fn loaded_on(&self, on: LinkId) -> impl Iterator<Item = &Queue> {
        self.queues()
            .filter(move |queue| queue.link() == Some(on) && queue.is_loaded())
    }

    /// Returns the number of queues with batches on each of the first `most` connections to a
    /// broker.
    pub(super) fn loads(&self, node: NodeId, most: usize) -> Vec<usize> {
        let mut loads = vec![0; most];
        for queue in self.queues().filter(|queue| queue.is_loaded()) {
            if let Some(link) = queue.link().filter(|link| link.node == node)
                && let Some(load) = loads.get_mut(usize::from(link.number))
            {
                *load += 1;
            }
        }
        loads
    }

    /// Returns the brokers with more than one connection.
    pub(super) fn spread(&mut self) -> &mut ConnectionSpread {
        &mut self.spread
    }

    /// Returns true if a queue with something to send has no leader.
    pub(super) fn has_leaderless(&self) -> bool {
        !self.leaderless.is_empty()
    }

    /// Returns true if a queue without a leader was listed since the last call of this.
    pub(super) fn take_lack(&mut self) -> bool {
        std::mem::take(&mut self.lack)
    }

    /// Takes all queues that have something to send and no leader.
    pub(super) fn take_leaderless(&mut self) -> Vec<QueueId> {
        std::mem::take(&mut self.leaderless)
    }

    /// Gives back a queue of [`take_leaderless`](Self::take_leaderless). It is listed no longer if
    /// it has nothing to send.
    pub(super) fn give_leaderless(&mut self, id: QueueId) {
        let outlet = self.outlet(id);
        outlet.listed = outlet.queue.wants_turn();
        if outlet.listed {
            self.leaderless.push(id);
        }
    }

    /// Sets the deadline of a queue, unless it has one or is idle.
    pub(super) fn time(&mut self, id: QueueId) {
        let outlet = self.outlet(id);
        if outlet.timed {
            return;
        }
        if let Some(due) = outlet.queue.deadline(&outlet.queue.rules()) {
            outlet.timed = true;
            self.deadlines.push(Reverse((due, id)));
        }
    }

    /// Takes a queue whose oldest record is due at `now`. `None` notes in `wake` when the next one
    /// is due.
    pub(super) fn take_due(&mut self, now: Instant, wake: &mut Wake) -> Option<QueueId> {
        let id = earliest(&mut self.deadlines, Some(now), wake)?;
        self.outlet(id).timed = false;
        Some(id)
    }

    /// Lists a queue again at `time`, when its open batch has lingered.
    pub(super) fn linger(&mut self, id: QueueId, time: Instant) {
        let outlet = self.outlet(id);
        if !outlet.lingers {
            outlet.lingers = true;
            self.lingering.push(Reverse((time, id)));
        }
    }

    /// Takes a queue whose open batch has lingered until `until`, and any that lingers if that is
    /// `None`. If there is none, notes in `wake` when the next one has lingered.
    pub(super) fn take_lingered(
        &mut self,
        until: Option<Instant>,
        wake: &mut Wake,
    ) -> Option<QueueId> {
        let id = earliest(&mut self.lingering, until, wake)?;
        self.outlet(id).lingers = false;
        Some(id)
    }

    /// Returns the queues in the turn of a connection, and those whose open batch lingers.
    #[cfg(test)]
    pub(super) fn waits(&self, on: LinkId) -> (usize, usize) {
        let turn = self.turns.get(&on).map_or(0, VecDeque::len);
        (turn, self.lingering.len())
    }
}

/// Takes the earliest entry if it is not after `until`. Otherwise notes its time in `wake`.
fn earliest(times: &mut Times, until: Option<Instant>, wake: &mut Wake) -> Option<QueueId> {
    let Reverse((due, id)) = *times.peek()?;
    if until.is_some_and(|until| due > until) {
        wake.at(due);
        return None;
    }
    times.pop();
    Some(id)
}
