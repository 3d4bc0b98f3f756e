//! One partition of a log in memory.

use std::collections::VecDeque;

use milena_core::{ConsumerRecord, Offset, Reason, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

use crate::feed::{Dispatch, OffsetTracker, Pause, PauseHolder, Pauses, Ticket};
use crate::source::Next;

/// One partition of a log in memory.
#[derive(Debug)]
pub(super) struct MemoryPartition {
    /// Topic and number.
    place: TopicPartition,
    /// Everything that changes together. Held for short times, never across an await.
    log: Mutex<MemoryLog>,
    /// Wakes the lane that reads when there may be something to read.
    readable: Notify,
    /// Wakes a lane that waits until the window has room.
    room: Notify,
    /// The state of the lanes.
    dispatch: Dispatch,
}

/// The records of a partition, and what became of those that were delivered.
#[derive(Debug)]
struct MemoryLog {
    /// Records that were not delivered yet, oldest first, each with the permit of its sender.
    queue: VecDeque<(ConsumerRecord, Option<OwnedSemaphorePermit>)>,
    /// The offset of the next record.
    end: u32,
    /// Delivered records, and the offset that may be committed.
    tracker: OffsetTracker,
    /// The holders that keep the partition paused. Nothing is delivered while there is one.
    pauses: Pauses,
    /// True while a lane waits until the window has room. A settled record then wakes it.
    waits_for_room: bool,
    /// True once the lanes were cut off. Nothing is settled from then on.
    is_over: bool,
}

impl MemoryPartition {
    pub(super) fn new(place: TopicPartition) -> Self {
        Self {
            place,
            log: Mutex::new(MemoryLog {
                queue: VecDeque::new(),
                end: 0,
                tracker: OffsetTracker::new(Offset::ZERO),
                pauses: Pauses::default(),
                waits_for_room: false,
                is_over: false,
            }),
            readable: Notify::new(),
            room: Notify::new(),
            dispatch: Dispatch::new(),
        }
    }

    pub(super) fn place(&self) -> &TopicPartition {
        &self.place
    }

    pub(super) fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// Appends a record and gives it its offset. `permit` is dropped when the record is delivered.
    pub(super) fn append(&self, mut record: ConsumerRecord, permit: Option<OwnedSemaphorePermit>) {
        let mut log = self.log.lock();
        record.offset = log.end.into();
        log.end = log.end.saturating_add(1);
        log.queue.push_back((record, permit));
        drop(log);
        self.wake();
    }

    /// Delivers the next record, if fewer than `window` are delivered and not done. `more` returns
    /// true while further records may be appended, and `now` returns the time.
    pub(super) fn deliver(
        &self,
        window: usize,
        more: impl FnOnce() -> bool,
        now: impl FnOnce() -> Instant,
    ) -> Next {
        let mut log = self.log.lock();
        if self.dispatch.is_stopping() {
            return Next::Over;
        }
        if log.pauses.is_paused() {
            return Next::Empty;
        }
        if log.tracker.window() >= window {
            return Next::Full(window);
        }
        match log.queue.pop_front() {
            Some((record, _)) => {
                let ticket = log.tracker.deliver(record.offset);
                drop(log);
                Next::Record(record, ticket, now())
            }
            // Asked under the lock. The last sender could otherwise append a record meanwhile.
            None if more() => Next::Empty,
            None => Next::Over,
        }
    }

    /// Waits until there may be a record, a pause has ended, or dispatch stops.
    pub(super) async fn readable(&self) {
        tokio::select! {
            () = self.readable.notified() => {}
            () = self.dispatch.stopped() => {}
        }
    }

    /// Wakes the lane that reads.
    pub(super) fn wake(&self) {
        self.readable.notify_one();
    }

    /// Waits until fewer than `window` delivered records are remembered, or dispatch stops.
    pub(super) async fn has_room(&self, window: usize) {
        while self.is_full(window) && !self.dispatch.is_stopping() {
            tokio::select! {
                () = self.room.notified() => {}
                () = self.dispatch.stopped() => {}
            }
        }
    }

    /// Returns true if the window is full. The next settled record then wakes the lane that waits.
    fn is_full(&self, window: usize) -> bool {
        let mut log = self.log.lock();
        log.waits_for_room = log.tracker.window() >= window;
        log.waits_for_room
    }

    /// Returns true if the record of this ticket may still go to a handler.
    pub(super) fn counts(&self) -> bool {
        !self.log.lock().is_over
    }

    /// Settles a record. Returns false if that comes too late to count.
    pub(super) fn settle(&self, ticket: Ticket) -> bool {
        let mut log = self.log.lock();
        if log.is_over || !log.tracker.settle(ticket) {
            return false;
        }
        let wake = std::mem::take(&mut log.waits_for_room);
        drop(log);
        if wake {
            self.room.notify_one();
        }
        true
    }

    /// Cuts the lanes off. Nothing counts from then on.
    pub(super) fn cut_off(&self) {
        self.log.lock().is_over = true;
        self.dispatch.cut_off();
    }

    /// Adds a holder of a pause. Returns true if it was not one before.
    pub(super) fn hold(&self, by: &PauseHolder, reason: Reason) -> bool {
        self.log.lock().pauses.hold(by.clone(), reason)
    }

    /// Removes a holder of a pause. Returns true if it was the last one.
    pub(super) fn let_go(&self, by: &PauseHolder) -> bool {
        let last = self.log.lock().pauses.release(by);
        self.wake();
        last
    }

    pub(super) fn is_held_by(&self, by: &PauseHolder) -> bool {
        self.log.lock().pauses.is_held_by(by)
    }

    /// Returns the pauses, for display.
    pub(super) fn pauses(&self) -> Vec<Pause> {
        self.log.lock().pauses.told(&self.place)
    }

    /// Returns the lowest offset that is not settled.
    pub(super) fn committable(&self) -> Offset {
        self.log.lock().tracker.committable()
    }
}
