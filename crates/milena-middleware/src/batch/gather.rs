//! Gathers records that arrive at the same time into one batch.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{AbortHandle, Abortable, Aborted, FutureExt, Shared};
use milena_core::{
    BatchAnswers, BatchLane, BatchParty, BatchScope, BatchSeat, ErrorClass, Incoming, Outcome,
    ProcessError, Timestamp, panic_text,
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::Batching;
use super::run::Order;

pub(super) type Answer = Result<Outcome, ProcessError>;
pub(super) type Running = Shared<Abortable<Pin<Box<dyn Future<Output = ()> + Send>>>>;
pub(super) type Run = Arc<dyn Fn(Vec<Incoming>, Order) -> Answers + Send + Sync>;
pub(super) type Answers = BatchAnswers;

/// The table in which all lanes of a route find the open batch.
pub(super) struct BatchTable {
    /// The limits of a batch.
    batching: Batching,
    /// Runs the handler for the records of a batch.
    run: Run,
    /// The batch that records of any lane join now. `None` until the next record arrives.
    open: Mutex<Option<Arc<Batch>>>,
}

/// A batch, from its first record to its last answer.
pub(super) struct Batch {
    /// The records while the batch gathers, later their answers.
    slots: Mutex<Slots>,
    /// Notified when the batch has all records that it may hold.
    full: Arc<Notify>,
    /// The work of the batch, which its records wait for. Set to `None` when the batch runs, so
    /// that only the waiting records hold the work.
    running: Mutex<Option<Running>>,
    /// Ends the work for all records.
    abort: AbortHandle,
}

enum Slots {
    Gathering(Vec<Slot>),
    Running,
    Done(Vec<Option<Answer>>),
}

/// A record that waits for the others of its batch.
struct Slot {
    /// The record. `None` if it left before the batch ran.
    incoming: Option<Incoming>,
    /// The record's place in the order of its lane. 0 for batches of several lanes.
    rank: usize,
}

/// A record's place in a batch. Used to get the answer, or to leave.
pub(super) struct Seat {
    /// The batch.
    batch: Arc<Batch>,
    /// The index of its slot. `None` if the record came too late for its batch.
    at: Option<usize>,
    /// The record's lane, if that lane hands over one record at a time. `None` otherwise.
    lane: Option<BatchLane>,
}

/// The condition for a batch to run.
enum Gather {
    /// The batch is full, or `within` is over. For records of any lane.
    Any { full: Arc<Notify>, within: Duration },
    /// The records that one lane handed over together have arrived.
    Lane(BatchParty),
    /// No condition. For a record that is tried without others.
    Alone,
}

impl BatchTable {
    pub(super) fn new(batching: Batching, run: Run) -> Arc<Self> {
        Arc::new(Self {
            batching,
            run,
            open: Mutex::new(None),
        })
    }

    /// Puts a record into its batch. If its lane handed over several records together it is the
    /// batch of the lane, otherwise the open batch.
    pub(super) fn join(self: &Arc<Self>, incoming: Incoming) -> (Seat, Running) {
        let seat = incoming.extensions.get::<BatchSeat>().cloned();
        match seat {
            Some(seat) if seat.arrive() => {
                let gather = || Batch::new(self, Order::Kept, Gather::Lane(seat.party().clone()));
                let batch = seat.party().shared(gather);
                let (at, running) = batch.add(incoming, seat.at());
                (Seat::new(batch, at), running)
            }
            Some(seat) => {
                let batch = Batch::new(self, Order::Kept, Gather::Alone);
                if !seat.is_next() {
                    // The layers of this record bring it again before the records in front of it
                    // are done. The driver brings it again in its turn.
                    return (Seat::new(batch, None), nothing().shared());
                }
                let (at, running) = batch.add(incoming, 0);
                (Seat::new(batch, at), running)
            }
            None => {
                let lane = incoming.extensions.get::<BatchLane>().cloned();
                let alone = lane
                    .as_ref()
                    .is_some_and(|lane| lane.begin(incoming.record.offset));
                let (seat, running) = if alone {
                    let batch = Batch::new(self, Order::Any, Gather::Alone);
                    let (at, running) = batch.add(incoming, 0);
                    (Seat::new(batch, at), running)
                } else {
                    self.join_any(incoming)
                };
                (Seat { lane, ..seat }, running)
            }
        }
    }

    fn join_any(self: &Arc<Self>, incoming: Incoming) -> (Seat, Running) {
        let mut open = self.open.lock();
        let batch = Arc::clone(open.get_or_insert_with(|| {
            let full = Arc::new(Notify::new());
            let within = self.batching.within;
            Batch::new(self, Order::Any, Gather::Any { full, within })
        }));
        // The record must be added before the batch can close, because a batch that runs drops its
        // own reference to the work.
        let (at, running) = batch.add(incoming, 0);
        if at.is_some_and(|at| at + 1 >= self.batching.most) {
            *open = None;
            batch.full.notify_one();
        }
        drop(open);
        (Seat::new(batch, at), running)
    }

    /// Closes `batch`, so that later records go to another one.
    fn close(&self, batch: &Arc<Batch>) {
        let mut open = self.open.lock();
        if open.as_ref().is_some_and(|open| Arc::ptr_eq(open, batch)) {
            *open = None;
        }
    }
}

impl Batch {
    fn new(table: &Arc<BatchTable>, order: Order, gather: Gather) -> Arc<Self> {
        let (abort, registration) = AbortHandle::new_pair();
        let full = match &gather {
            Gather::Any { full, .. } => Arc::clone(full),
            Gather::Lane(_) | Gather::Alone => Arc::default(),
        };
        let batch = Arc::new(Self {
            slots: Mutex::new(Slots::Gathering(Vec::new())),
            full,
            running: Mutex::new(None),
            abort,
        });
        // Weak references avoid a cycle. While the batch gathers, it holds this work, and the table
        // holds the batch.
        let (its_table, own) = (Arc::downgrade(table), Arc::downgrade(&batch));
        let run = Arc::clone(&table.run);
        let work = async move {
            let early_from = gather.wait().await;
            let Some(batch) = own.upgrade() else { return };
            if let Some(table) = its_table.upgrade() {
                table.close(&batch);
            }
            // From here on only the waiting records hold the work. When all of them are gone, the
            // work is dropped.
            drop(batch.running.lock().take());
            let (seats, records) = batch.begin(early_from);
            let count = records.len();
            if count > 1 {
                let lanes = records.iter();
                let lanes = lanes.filter_map(|record| record.extensions.get::<BatchLane>());
                lanes.for_each(BatchLane::share);
            }
            let around = BatchScope::of(&records);
            let answers = run(records, order);
            let answers = match around {
                Some(around) => around(answers),
                None => answers,
            };
            let answers = AssertUnwindSafe(answers).catch_unwind().await;
            // The panic came from an extractor. A panic of the handler is already an answer.
            let answers = answers.unwrap_or_else(|panic| {
                let answer = |_| match order {
                    Order::Kept if count > 1 => Ok(later()),
                    Order::Kept | Order::Any => Err(panicked(&*panic)),
                };
                (0..count).map(answer).collect()
            });
            let mut answers: Vec<_> = answers.into_iter().map(Some).collect();
            let answer = |seat: Option<usize>| match seat {
                Some(at) => answers.get_mut(at).and_then(Option::take),
                None => Some(Ok(later())),
            };
            let answers = seats.into_iter().map(answer).collect();
            *batch.slots.lock() = Slots::Done(answers);
        };
        let work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(work);
        let running = Abortable::new(work, registration).shared();
        *batch.running.lock() = Some(running);
        batch
    }

    /// Adds a record. Returns its slot, and the work that it waits for. The slot is `None` if the
    /// batch already runs.
    fn add(&self, incoming: Incoming, rank: usize) -> (Option<usize>, Running) {
        let mut slots = self.slots.lock();
        let running = self.running.lock().clone();
        match (&mut *slots, running) {
            (Slots::Gathering(records), Some(running)) => {
                let incoming = Some(incoming);
                records.push(Slot { incoming, rank });
                (Some(records.len() - 1), running)
            }
            _ => (None, nothing().shared()),
        }
    }

    /// Starts the batch. Returns the index of each slot's answer, and the records in their order.
    ///
    /// Records whose rank is `early_from` or higher have no answer index and come again later.
    fn begin(&self, early_from: Option<usize>) -> (Vec<Option<usize>>, Vec<Incoming>) {
        let slots = std::mem::replace(&mut *self.slots.lock(), Slots::Running);
        let Slots::Gathering(slots) = slots else {
            return (Vec::new(), Vec::new());
        };
        let mut seats = vec![None; slots.len()];
        let mut order: Vec<_> = slots.into_iter().enumerate().collect();
        // The sort is stable, so records without a rank keep their order of arrival.
        order.sort_by_key(|(_, slot)| slot.rank);
        let mut records = Vec::with_capacity(order.len());
        for (at, slot) in order {
            let early = early_from.is_some_and(|from| slot.rank >= from);
            if let (Some(incoming), false, Some(seat)) = (slot.incoming, early, seats.get_mut(at)) {
                *seat = Some(records.len());
                records.push(incoming);
            }
        }
        (seats, records)
    }
}

impl Gather {
    /// Waits until the batch may run. Returns the rank from which on records must come again later,
    /// or `None`.
    async fn wait(self) -> Option<usize> {
        match self {
            Self::Any { full, within } => {
                tokio::select! {
                    biased;
                    () = full.notified() => {}
                    () = sleep(within) => {}
                }
                None
            }
            Self::Lane(party) => {
                let straggler = async {
                    party.closed().await;
                    sleep(PATIENCE).await;
                };
                tokio::select! {
                    biased;
                    () = party.gathered() => None,
                    () = straggler => party.first_coming(),
                }
            }
            Self::Alone => None,
        }
    }
}

impl Seat {
    fn new(batch: Arc<Batch>, at: Option<usize>) -> Self {
        Self {
            batch,
            at,
            lane: None,
        }
    }

    /// Returns the answer for the record, once the batch has ended.
    pub(super) fn answer(&self, ended: Result<(), Aborted>) -> Answer {
        let Some(at) = self.at else {
            return Ok(later());
        };
        let answer = match (&mut *self.batch.slots.lock(), ended) {
            (Slots::Done(answers), Ok(())) => answers.get_mut(at).and_then(Option::take),
            _ => None,
        };
        answer.unwrap_or_else(|| {
            // The batch was ended together with the attempt of another record. This record may be
            // the one at fault, so it is tried alone from now on.
            if let Some(lane) = &self.lane {
                lane.try_alone();
            }
            Ok(later())
        })
    }

    /// Removes the record. Before the batch runs, the others go on without it. A running batch ends
    /// for all its records.
    pub(super) fn leave(&self) {
        let Some(at) = self.at else { return };
        let mut slots = self.batch.slots.lock();
        match &mut *slots {
            Slots::Gathering(records) => {
                if let Some(slot) = records.get_mut(at) {
                    slot.incoming = None;
                }
            }
            Slots::Running => self.batch.abort.abort(),
            Slots::Done(_) => {}
        }
    }
}

/// Returns the answer of a record that must come again after those before it. No attempt is
/// counted.
pub(crate) fn later() -> Outcome {
    Outcome::Hold(Timestamp::from_millis(0))
}

/// Converts a panic to an error.
pub(super) fn panicked(panic: &(dyn std::any::Any + Send)) -> ProcessError {
    let what = format!("the handler panicked: {}", panic_text(panic));
    ProcessError::new(ErrorClass::Panic, what)
}

/// Returns work that ends at once, for a record without a batch.
fn nothing() -> Abortable<Pin<Box<dyn Future<Output = ()> + Send>>> {
    let (_, registration) = AbortHandle::new_pair();
    Abortable::new(Box::pin(async {}), registration)
}

/// The longest wait for a record that an outer layer still keeps, once the others of its lane have
/// arrived.
const PATIENCE: Duration = Duration::from_millis(100);
