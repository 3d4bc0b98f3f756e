//! Gathering: records that come at the same time find the same batch.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::{AbortHandle, Abortable, Aborted, FutureExt, Shared};
use milena_core::{Incoming, Outcome, ProcessError};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::Batching;

pub(super) type Answer = Result<Outcome, ProcessError>;
pub(super) type Running = Shared<Abortable<Pin<Box<dyn Future<Output = ()> + Send>>>>;
pub(super) type Run = Arc<dyn Fn(Vec<Incoming>) -> Answers + Send + Sync>;
pub(super) type Answers = Pin<Box<dyn Future<Output = Vec<Answer>> + Send>>;

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
    /// A record that has left again is `None`.
    Gathering(Vec<Option<Incoming>>),
    Running,
    Done(Vec<Option<Answer>>),
}

/// A record's place in a batch.
pub(super) struct Seat {
    batch: Arc<Batch>,
    at: usize,
}

impl Table {
    pub(super) fn new(batching: Batching, run: Run) -> Arc<Self> {
        Arc::new(Self {
            batching,
            run,
            open: Mutex::new(None),
        })
    }

    /// Puts a record into the open batch.
    pub(super) fn join(self: &Arc<Self>, incoming: Incoming) -> (Seat, Running) {
        let mut open = self.open.lock();
        let batch = Arc::clone(open.get_or_insert_with(|| Batch::new(self)));
        let at = {
            let mut slots = batch.slots.lock();
            match &mut *slots {
                Slots::Gathering(records) => {
                    records.push(Some(incoming));
                    records.len()
                }
                // A batch that runs is not open.
                Slots::Running | Slots::Done(_) => 0,
            }
        };
        // Before the batch may close: then it lets go of what runs.
        let running = batch.running.lock().clone();
        let running = running.unwrap_or_else(|| nothing().shared());
        if at >= self.batching.most {
            *open = None;
            batch.full.notify_one();
        }
        drop(open);
        let at = at.saturating_sub(1);
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
    fn new(table: &Arc<Table>) -> Arc<Self> {
        let (abort, registration) = AbortHandle::new_pair();
        let full = Arc::new(Notify::new());
        let batch = Arc::new(Self {
            slots: Mutex::new(Slots::Gathering(Vec::new())),
            full: Arc::clone(&full),
            running: Mutex::new(None),
            abort,
        });
        // Weak: while it gathers, the batch holds what is to run, and the table the batch.
        let (its_table, own) = (Arc::downgrade(table), Arc::downgrade(&batch));
        let (within, run) = (table.batching.within, Arc::clone(&table.run));
        let work = async move {
            tokio::select! {
                biased;
                () = full.notified() => {}
                () = sleep(within) => {}
            }
            let Some(batch) = own.upgrade() else { return };
            if let Some(table) = its_table.upgrade() {
                table.close(&batch);
            }
            // From here on those who wait hold it, and end it when they all are gone.
            drop(batch.running.lock().take());
            let records = batch.begin();
            let seats: Vec<_> = records.iter().map(Option::is_some).collect();
            let answers = run(records.into_iter().flatten().collect()).await;
            let mut answers = answers.into_iter();
            let mut next = |taken: &bool| if *taken { answers.next() } else { None };
            let answers = seats.iter().map(&mut next).collect();
            *batch.slots.lock() = Slots::Done(answers);
        };
        let work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(work);
        let running = Abortable::new(work, registration).shared();
        *batch.running.lock() = Some(running);
        batch
    }

    fn begin(&self) -> Vec<Option<Incoming>> {
        match std::mem::replace(&mut *self.slots.lock(), Slots::Running) {
            Slots::Gathering(records) => records,
            Slots::Running | Slots::Done(_) => Vec::new(),
        }
    }
}

impl Seat {
    /// The answer for the record, once the batch has ended.
    pub(super) fn answer(&self, ended: Result<(), Aborted>) -> Answer {
        let answer = match (&mut *self.batch.slots.lock(), ended) {
            (Slots::Done(answers), Ok(())) => answers.get_mut(self.at).and_then(Option::take),
            _ => None,
        };
        answer.unwrap_or_else(|| {
            let what = "the batch was ended with the attempt of another record in it";
            Err(ProcessError::transient(what))
        })
    }

    /// The record leaves: before the batch runs, the others go on without it; else it ends for all.
    pub(super) fn leave(&self) {
        let mut slots = self.batch.slots.lock();
        match &mut *slots {
            Slots::Gathering(records) => {
                if let Some(record) = records.get_mut(self.at) {
                    *record = None;
                }
            }
            Slots::Running => self.batch.abort.abort(),
            Slots::Done(_) => {}
        }
    }
}

/// What runs where there is nothing to run.
fn nothing() -> Abortable<Pin<Box<dyn Future<Output = ()> + Send>>> {
    let (_, registration) = AbortHandle::new_pair();
    Abortable::new(Box::pin(async {}), registration)
}
