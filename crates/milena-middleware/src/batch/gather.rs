//! Gathering: records that come at the same time find the same batch.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{AbortHandle, Abortable, Aborted, FutureExt, Shared};
use milena_core::{
    BatchAnswers, BatchParty, BatchScope, BatchSeat, ErrorClass, Incoming, Outcome, ProcessError,
    Timestamp, panic_text,
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

/// Where all lanes of a route find the batch that is open now.
pub(super) struct Table {
    batching: Batching,
    run: Run,
    open: Mutex<Option<Arc<Batch>>>,
}

/// A batch, from its first record to its last answer.
pub(super) struct Batch {
    slots: Mutex<Slots>,
    full: Arc<Notify>,
    running: Mutex<Option<Running>>,
    abort: AbortHandle,
}

enum Slots {
    Gathering(Vec<Slot>),
    Running,
    Done(Vec<Option<Answer>>),
}

/// A record that waits for the others; one that has left again is `None`.
struct Slot {
    incoming: Option<Incoming>,
    /// Where it is in the order of its lane.
    rank: usize,
}

/// A record's place in a batch.
pub(super) struct Seat {
    batch: Arc<Batch>,
    /// `None` where it came too late for the others of its lane.
    at: Option<usize>,
}

/// What a batch waits for before it runs.
enum Gather {
    /// Records of any lane.
    Any { full: Arc<Notify>, within: Duration },
    /// The records that one lane handed over together.
    Lane(BatchParty),
    /// Nothing: a record that is tried again.
    Alone,
}

impl Table {
    pub(super) fn new(batching: Batching, run: Run) -> Arc<Self> {
        Arc::new(Self {
            batching,
            run,
            open: Mutex::new(None),
        })
    }

    /// Puts a record into its batch: that of its lane, where that handed over several, else the one that is open for all.
    pub(super) fn join(self: &Arc<Self>, incoming: Incoming) -> (Seat, Running) {
        let seat = incoming.extensions.get::<BatchSeat>().cloned();
        match seat {
            Some(seat) if seat.arrive() => {
                let gather = || Batch::new(self, Order::Kept, Gather::Lane(seat.party().clone()));
                let batch = seat.party().shared(gather);
                let (at, running) = batch.add(incoming, seat.at());
                (Seat { batch, at }, running)
            }
            Some(seat) => {
                let batch = Batch::new(self, Order::Kept, Gather::Alone);
                if !seat.is_next() {
                    // Its own layers bring it again before those in front of it are done: the driver brings it in its turn.
                    return (Seat { batch, at: None }, nothing().shared());
                }
                let (at, running) = batch.add(incoming, 0);
                (Seat { batch, at }, running)
            }
            None => self.join_any(incoming),
        }
    }

    fn join_any(self: &Arc<Self>, incoming: Incoming) -> (Seat, Running) {
        let mut open = self.open.lock();
        let batch = Arc::clone(open.get_or_insert_with(|| {
            let full = Arc::new(Notify::new());
            let within = self.batching.within;
            Batch::new(self, Order::Any, Gather::Any { full, within })
        }));
        // Before the batch may close: then it lets go of what runs.
        let (at, running) = batch.add(incoming, 0);
        if at.is_some_and(|at| at + 1 >= self.batching.most) {
            *open = None;
            batch.full.notify_one();
        }
        drop(open);
        (Seat { batch, at }, running)
    }

    /// From now on records go to another batch.
    fn close(&self, batch: &Arc<Batch>) {
        let mut open = self.open.lock();
        if open.as_ref().is_some_and(|open| Arc::ptr_eq(open, batch)) {
            *open = None;
        }
    }
}

impl Batch {
    fn new(table: &Arc<Table>, order: Order, gather: Gather) -> Arc<Self> {
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
        // Weak: while it gathers, the batch holds what is to run, and the table the batch.
        let (its_table, own) = (Arc::downgrade(table), Arc::downgrade(&batch));
        let run = Arc::clone(&table.run);
        let work = async move {
            let early_from = gather.wait().await;
            let Some(batch) = own.upgrade() else { return };
            if let Some(table) = its_table.upgrade() {
                table.close(&batch);
            }
            // From here on those who wait hold it, and end it when they all are gone.
            drop(batch.running.lock().take());
            let (seats, records) = batch.begin(early_from);
            let count = records.len();
            let around = BatchScope::of(&records);
            let answers = run(records, order);
            let answers = match around {
                Some(around) => around(answers),
                None => answers,
            };
            let answers = AssertUnwindSafe(answers).catch_unwind().await;
            // Of an extractor: the handler's own are answers by now.
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

    /// Where the record is, and what it waits for.
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

    /// Where each record's answer will be, and the records in their order. Those from `early_from` on are left for later.
    fn begin(&self, early_from: Option<usize>) -> (Vec<Option<usize>>, Vec<Incoming>) {
        let slots = std::mem::replace(&mut *self.slots.lock(), Slots::Running);
        let Slots::Gathering(slots) = slots else {
            return (Vec::new(), Vec::new());
        };
        let mut seats = vec![None; slots.len()];
        let mut order: Vec<_> = slots.into_iter().enumerate().collect();
        // Stable: those without a rank stay as they came.
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
    /// Waits until the batch may run; the rank from which on records are too early, if there is one.
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
    /// The answer for the record, once the batch has ended.
    pub(super) fn answer(&self, ended: Result<(), Aborted>) -> Answer {
        let Some(at) = self.at else {
            return Ok(later());
        };
        let answer = match (&mut *self.batch.slots.lock(), ended) {
            (Slots::Done(answers), Ok(())) => answers.get_mut(at).and_then(Option::take),
            _ => None,
        };
        // The batch was ended with the attempt of another record in it.
        answer.unwrap_or_else(|| Ok(later()))
    }

    /// The record leaves: before the batch runs, the others go on without it; else it ends for all.
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

/// The answer of a record that is to come again when those before it are done: no attempt was made.
pub(crate) fn later() -> Outcome {
    Outcome::Hold(Timestamp::from_millis(0))
}

/// A panic, as an error.
pub(super) fn panicked(panic: &(dyn std::any::Any + Send)) -> ProcessError {
    let what = format!("the handler panicked: {}", panic_text(panic));
    ProcessError::new(ErrorClass::Panic, what)
}

/// What runs where there is nothing to run.
fn nothing() -> Abortable<Pin<Box<dyn Future<Output = ()> + Send>>> {
    let (_, registration) = AbortHandle::new_pair();
    Abortable::new(Box::pin(async {}), registration)
}

/// How long a batch waits for a record that some layer keeps, once the others of its lane are there.
const PATIENCE: Duration = Duration::from_millis(100);
