//! Lanes: the units of order. Each partition's batches are read by one task and processed by one lane or several.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};

use milena_core::{ConsumerRecord, Gate, GateState, Gauge, Routes};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::batch::Opened;
use crate::core::{Core, Lanes};
use crate::driven::Driven;
use crate::handoff::Handoff;
use crate::keyed::KeyQueue;
use crate::offsets::Ticket;
use crate::partition::{Delivery, Partition};
use crate::pauses::Holder;
use crate::settings::Order;
use crate::supervise::{caught, contained, panic_of};
use crate::together::Together;
use crate::unpack;
use crate::worker::{Go, Worker};

/// Starts the lanes of each assigned partition over one table of routes.
pub(crate) struct RouteLanes<R> {
    /// Held weakly: the core holds these lanes, and with them all that a handler captured.
    pub(crate) core: Weak<Core>,
    pub(crate) routes: Arc<R>,
}

type Work = (ConsumerRecord, Ticket);

impl<R: Driven> Lanes for RouteLanes<R> {
    fn route_name(&self, route: usize) -> Arc<str> {
        let info = self.routes.routes().get(route);
        info.map_or_else(|| "".into(), |info| Arc::clone(&info.name))
    }

    fn start(&self, partition: &Arc<Partition>) {
        let Some(core) = self.core.upgrade() else {
            return;
        };
        for info in self.routes.routes() {
            for gate in &info.gates {
                if info.serves(partition) {
                    heed(&core, partition, gate, &gate.state());
                }
            }
        }
        let guard = partition.enter();
        let routes = Arc::clone(&self.routes);
        let own = Arc::clone(partition);
        let task = tokio::spawn(async move {
            let _guard = guard;
            let lanes = drive(Arc::clone(&core), routes, Arc::clone(&own));
            // The handler's own panics are answers. What else panics here would leave a partition that nobody reads.
            if let Err(error) = caught("a lane", lanes).await {
                own.stop();
                core.lane_stopped(&own, "", &error.at(own.place()));
            }
        });
        partition.own_task(task.abort_handle());
    }

    fn read_gauges(&self, group: &str, sink: &mut dyn FnMut(Gauge<'_>)) {
        for info in self.routes.routes() {
            for gate in &info.gates {
                let closed = match gate.state() {
                    GateState::Open => None,
                    GateState::Closed(reason) => Some(reason),
                };
                sink(Gauge::Gate {
                    group,
                    name: gate.name(),
                    closed: closed.as_deref(),
                });
            }
            for gauges in &info.gauges {
                // A layer does not know for which group it works.
                let mut named = |gauge: Gauge<'_>| {
                    sink(match gauge {
                        Gauge::Gate {
                            group: "",
                            name,
                            closed,
                        } => Gauge::Gate {
                            group,
                            name,
                            closed,
                        },
                        other => other,
                    });
                };
                // On the task of whoever looks, who must see the others all the same.
                if let Err(error) = contained("the gauges of a route", || gauges.read(&mut named)) {
                    tracing::error!(group, route = &*info.name, %error, "gauges are left out");
                }
            }
        }
    }
}

/// Processes a partition's records in the order that is asked for, until it is given back.
async fn drive<R: Driven>(core: Arc<Core>, routes: Arc<R>, partition: Arc<Partition>) {
    match core.settings.order {
        Order::Partition if takes_several(&*routes) => {
            Together::new(core, routes, partition).run().await;
        }
        Order::Partition => in_order(core, routes, partition).await,
        Order::Key(lanes) => by_key(core, routes, partition, lanes).await,
        Order::Unordered(lanes) => unordered(core, routes, partition, lanes).await,
    }
}

/// Pauses or resumes a partition as a gate of its route says.
pub(crate) fn heed(core: &Core, partition: &Partition, gate: &Gate, state: &GateState) {
    let by = Holder::gate(gate);
    match state {
        GateState::Open => {
            if partition.is_paused_by(&by) {
                core.let_go(partition, &by);
            }
        }
        GateState::Closed(reason) => core.hold(partition, &by, reason),
    }
}

/// Whether a route may get records of a partition.
pub(crate) trait Serves {
    fn serves(&self, partition: &Partition) -> bool;
}

impl Serves for milena_core::RouteInfo {
    fn serves(&self, partition: &Partition) -> bool {
        self.takes(&partition.place().topic)
    }
}

/// Whether some route's handler takes several records at a time.
fn takes_several(routes: &impl Routes) -> bool {
    routes.routes().iter().any(|info| info.batch.is_some())
}

async fn in_order<R: Driven>(core: Arc<Core>, routes: Arc<R>, partition: Arc<Partition>) {
    let mut worker = Worker::new(Arc::clone(&core), routes, Arc::clone(&partition));
    'batches: loop {
        worker.rest();
        let Some(opened) = next_batch(&core, &partition).await else {
            return;
        };
        let mut rest = opened.rest();
        while let Some(record) = rest.next(partition.place()) {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    unreadable(&core, &partition, &opened, &error);
                    continue 'batches;
                }
            };
            let now = worker.now();
            let delivered = deliver(&core, &partition, &opened, &record, now).await;
            let Some((ticket, at)) = delivered else {
                continue 'batches;
            };
            if worker.process(record, ticket, Some(at)).await == Go::Away {
                return;
            }
            worker.yield_in_turn().await;
        }
        partition.passed(opened.turn, opened.next_offset(), opened.epoch());
    }
}

async fn by_key<R: Driven>(
    core: Arc<Core>,
    routes: Arc<R>,
    partition: Arc<Partition>,
    lanes: usize,
) {
    let queue = Arc::new(KeyQueue::new(lanes));
    let mut tasks = JoinSet::new();
    for _ in 0..lanes {
        let worker = Worker::new(
            Arc::clone(&core),
            Arc::clone(&routes),
            Arc::clone(&partition),
        );
        tasks.spawn(keyed(worker, Arc::clone(&queue), Arc::clone(&partition)));
    }
    let feeding = feed(&core, &partition, |work| {
        let mut hasher = DefaultHasher::new();
        work.0.key.hash(&mut hasher);
        queue.give(hasher.finish(), work)
    });
    tokio::select! {
        () = feeding => {}
        never = panic_of(&mut tasks) => match never {},
    }
    queue.close();
    ended(&mut tasks).await;
}

async fn unordered<R: Driven>(
    core: Arc<Core>,
    routes: Arc<R>,
    partition: Arc<Partition>,
    lanes: usize,
) {
    // Short, so that what waits for a free lane is not yet delivered.
    let queue = Arc::new(Handoff::new(lanes));
    let mut tasks = JoinSet::new();
    for _ in 0..lanes {
        let worker = Worker::new(
            Arc::clone(&core),
            Arc::clone(&routes),
            Arc::clone(&partition),
        );
        tasks.spawn(lane(worker, Arc::clone(&queue), Arc::clone(&partition)));
    }
    tokio::select! {
        () = feed(&core, &partition, |work| queue.give(work)) => {}
        never = panic_of(&mut tasks) => match never {},
    }
    queue.close();
    ended(&mut tasks).await;
}

/// Waits for the end of all lanes; goes on with the panic of one.
async fn ended(lanes: &mut JoinSet<()>) {
    while let Some(joined) = lanes.join_next().await {
        if let Err(lane) = joined
            && let Ok(panic) = lane.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// One of the lanes of a partition, between which its keys go round.
async fn keyed<R: Driven>(
    mut worker: Worker<R>,
    queue: Arc<KeyQueue<Work>>,
    partition: Arc<Partition>,
) {
    while let Some((key, (record, ticket))) = queue.take().await {
        if partition.is_stopping() || worker.process(record, ticket, None).await == Go::Away {
            return;
        }
        queue.done(key);
        worker.yield_in_turn().await;
    }
}

/// One of several lanes of a partition.
async fn lane<R: Driven>(
    mut worker: Worker<R>,
    queue: Arc<Handoff<Work>>,
    partition: Arc<Partition>,
) {
    while let Some((record, ticket)) = queue.take().await {
        if partition.is_stopping() || worker.process(record, ticket, None).await == Go::Away {
            return;
        }
        worker.yield_in_turn().await;
    }
}

/// Reads batches and gives each record to the lanes.
async fn feed<G: Future<Output = ()>>(
    core: &Arc<Core>,
    partition: &Arc<Partition>,
    give: impl Fn(Work) -> G,
) {
    'batches: while let Some(opened) = next_batch(core, partition).await {
        let mut rest = opened.rest();
        while let Some(record) = rest.next(partition.place()) {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    unreadable(core, partition, &opened, &error);
                    continue 'batches;
                }
            };
            let delivered = deliver(core, partition, &opened, &record, Instant::now()).await;
            let Some((ticket, _)) = delivered else {
                continue 'batches;
            };
            tokio::select! {
                biased;
                () = give((record, ticket)) => {}
                () = partition.stopped() => return,
            }
        }
        partition.passed(opened.turn, opened.next_offset(), opened.epoch());
    }
}

/// The next batch; `None` when the partition is to be given back or its lane has stopped.
async fn next_batch(core: &Arc<Core>, partition: &Arc<Partition>) -> Option<Opened> {
    loop {
        if partition.is_stopping() {
            return None;
        }
        match unpack::open(core, partition) {
            Ok(Some(opened)) => return Some(opened),
            Ok(None) => {
                // All that was delivered in this lane is settled by now.
                partition.has_moved();
                partition.readable().await;
            }
            Err(error) => {
                partition.stop();
                core.lane_stopped(partition, "", &error);
                return None;
            }
        }
    }
}

/// What cannot be read ends the batch, and the lane unless it may be passed over.
#[cold]
pub(crate) fn unreadable(
    core: &Core,
    partition: &Partition,
    opened: &Opened,
    error: &milena_core::Error,
) {
    let end = unpack::end_of(core, opened.next_offset());
    if let Err(error) = unpack::unreadable(core, partition, opened.turn, end, error) {
        partition.stop();
        core.lane_stopped(partition, "", &error);
    }
}

/// Delivers a record of a batch, and tells when; `None` ends the batch.
async fn deliver(
    core: &Core,
    partition: &Partition,
    opened: &Opened,
    record: &ConsumerRecord,
    mut now: Instant,
) -> Option<(Ticket, Instant)> {
    let window = core.settings.max_out_of_order;
    loop {
        let (offset, epoch) = (record.offset, opened.epoch());
        match partition.deliver(opened.turn, offset, epoch, record.timestamp, now, window) {
            Delivery::Ticket(ticket) => return Some((ticket, now)),
            Delivery::Over => return None,
            Delivery::Full => {
                wait_for_room(core, partition, window).await;
                now = Instant::now();
            }
        }
    }
}

/// Holds the partition, and no other, until the records behind a slow one are few again.
pub(crate) async fn wait_for_room(core: &Core, partition: &Partition, window: usize) {
    let by: Arc<str> = "window".into();
    let reason = format!("{window} records are delivered from one on that is not done");
    core.pause(partition, &by, &reason.into());
    partition.has_room().await;
    core.resume(partition, &by);
}
