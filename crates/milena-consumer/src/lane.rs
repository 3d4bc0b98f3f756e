//! Lanes, the units of order. One task reads the batches of a partition, and one lane or several
//! process its records.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};

use milena_core::{ConsumerRecord, Gate, GateState, Gauge, Order, Routes};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::batch::Opened;
use crate::core::{Core, Lanes};
use crate::driven::Driven;
use crate::handoff::Handoff;
use crate::keyed::KeyQueue;
use crate::offsets::Ticket;
use crate::panics::{caught, contained, panic_of};
use crate::partition::{Delivery, Partition};
use crate::pauses::Holder;
use crate::together::Together;
use crate::unpack;
use crate::worker::{Go, Worker};

/// The lanes of a handler. It starts them for each assigned partition, over one table of routes.
pub(crate) struct RouteLanes<R> {
    /// The consumer. Weak, since the core owns these lanes and with them everything that the
    /// handler captured.
    pub(crate) core: Weak<Core>,
    /// The routes of the handler.
    pub(crate) routes: Arc<R>,
    /// The runtime of the run. Lanes are spawned on it, since a thread that assigns partitions may
    /// be outside of any runtime.
    pub(crate) runtime: Handle,
}

/// A delivered record, and the ticket to settle it with.
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
        let task = self.runtime.spawn(async move {
            let _guard = guard;
            let lanes = drive(Arc::clone(&core), routes, Arc::clone(&own));
            // A panic of the handler is an error for its record and does not get here. Any other
            // panic here would leave the partition without a reader.
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
                // A layer does not know for which group it runs, so the group is filled in here.
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
                // Gauges of a layer may be user code and run on the task that reads them. If one
                // panics, the other gauges must be shown nevertheless.
                if let Err(error) = contained("the gauges of a route", || gauges.read(&mut named)) {
                    tracing::error!(group, route = &*info.name, %error, "the gauges of a route are left out");
                }
            }
        }
    }
}

/// Processes a partition's records in the order that the settings ask for, until the partition is
/// revoked.
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

/// Pauses or resumes a partition to match the state of a gate of its route.
pub(crate) fn heed(core: &Core, partition: &Partition, gate: &Gate, state: &GateState) {
    let by = Holder::gate(gate);
    match state {
        GateState::Open => {
            // `let_go` wakes all tasks, so it is called only if there is such a pause.
            if partition.is_paused_by(&by) {
                core.let_go(partition, &by);
            }
        }
        GateState::Closed(reason) => core.hold(partition, &by, reason),
    }
}

/// Routes that serve some partitions only.
pub(crate) trait Serves {
    /// Returns true if the route may get records of the partition.
    fn serves(&self, partition: &Partition) -> bool;
}

impl Serves for milena_core::RouteInfo {
    fn serves(&self, partition: &Partition) -> bool {
        self.takes(&partition.place().topic)
    }
}

/// Returns true if the handler of any route takes several records at a time.
fn takes_several(routes: &impl Routes) -> bool {
    routes.routes().iter().any(|info| info.batch.is_some())
}

/// Processes the records of a partition one after the other.
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

/// Processes the records of a partition in `lanes` lanes, with those of each key in their order.
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

/// Processes the records of a partition in `lanes` lanes, in no order.
async fn unordered<R: Driven>(
    core: Arc<Core>,
    routes: Arc<R>,
    partition: Arc<Partition>,
    lanes: usize,
) {
    // Kept short, so that records that wait for a free lane are not delivered yet.
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

/// Waits until all lanes have ended. If one panicked, its panic continues here.
async fn ended(lanes: &mut JoinSet<()>) {
    while let Some(joined) = lanes.join_next().await {
        if let Err(lane) = joined
            && let Ok(panic) = lane.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Runs one lane of several that share the keys of a partition.
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

/// Runs one lane of several without order.
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

/// Reads batches and passes each record to the lanes through `give`, until the partition is revoked
/// or its lane has stopped.
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

/// Waits for the next batch. Returns `None` if the partition is to be revoked or its lane has
/// stopped.
async fn next_batch(core: &Arc<Core>, partition: &Arc<Partition>) -> Option<Opened> {
    loop {
        if partition.is_stopping() {
            return None;
        }
        match unpack::open(core, partition) {
            Ok(Some(opened)) => return Some(opened),
            Ok(None) => {
                // Every record that this task delivered is settled by now. The partition only waits
                // for new records.
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

/// Handles a record that cannot be read. It ends the batch, and also the lane unless the
/// `on_corrupt` policy skips it.
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

/// Delivers a record of a batch, and returns its ticket and the time. Waits while the window is
/// full. Returns `None` if the rest of the batch is not to be delivered.
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

/// Pauses the partition until fewer records wait behind a slow one. Other partitions continue.
pub(crate) async fn wait_for_room(core: &Core, partition: &Partition, window: usize) {
    let by: Arc<str> = "window".into();
    let reason = format!("{window} records are delivered, and the oldest of them is not done");
    core.pause(partition, &by, &reason.into());
    partition.has_room().await;
    core.resume(partition, &by);
}
