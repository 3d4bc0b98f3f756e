//! One assigned partition: where it is read, what was fetched and not yet read, what was delivered, and who holds it paused.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use milena_core::{CancelToken, Error, LeaderEpoch, Offset, Reason, Result, TopicPartition};
use milena_protocol::batch::Batch;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::budget::{Budget, Pinned};
use crate::chunk::{Chunk, Step};
use crate::epochs::EpochTrail;
use crate::offsets::{OffsetTracker, Ticket};
use crate::pauses::Pauses;
use crate::settings::OffsetReset;

/// A partition of one assignment. Assigned again, it is a new one: whatever still refers to this one no longer counts.
pub(crate) struct Partition {
    place: TopicPartition,
    state: Mutex<State>,
    /// Told when there is something to read, or nothing more to come.
    readable: Notify,
    /// No record is dispatched any more; what runs may end.
    stopping: CancelToken,
    /// Nothing counts any more.
    fenced: AtomicBool,
    /// Given to handlers; cancelled when they must not go on.
    cancel: CancelToken,
    /// How many lanes work on it.
    lanes: watch::Sender<usize>,
    tasks: Mutex<Vec<AbortHandle>>,
    /// Wakes the fetcher: there is room again.
    fetch: Arc<Notify>,
}

struct State {
    place: Place,
    /// Counts seeks and resets: an answer or a batch from before one is dropped.
    turn: u64,
    queue: VecDeque<Chunk>,
    queued: usize,
    last_epoch: Option<LeaderEpoch>,
    largest_batch: usize,
    tracker: OffsetTracker,
    epochs: EpochTrail,
    oldest: VecDeque<(Offset, Instant)>,
    committed: Option<Offset>,
    reset_from: Option<Offset>,
    high_watermark: Option<Offset>,
    stable_end: Option<Offset>,
    pauses: Pauses,
    failure: Option<Error>,
    quiet_until: Option<Instant>,
    failures: u32,
}

/// Where a partition is fetched next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// As the group committed; not asked yet.
    Committed,
    /// To be looked up in the log.
    Lookup(OffsetReset),
    /// At this offset.
    At(Offset),
}

/// What a fetch of a partition is to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) offset: Offset,
    pub(crate) turn: u64,
    pub(crate) last_epoch: Option<LeaderEpoch>,
    pub(crate) largest_batch: usize,
    /// Nothing of it waits to be read.
    pub(crate) is_empty: bool,
}

/// A batch to read, and what must still be true when its records are delivered.
#[derive(Debug)]
pub(crate) struct Pulled {
    pub(crate) batch: Batch,
    /// Records below it were read before.
    pub(crate) from: Offset,
    pub(crate) turn: u64,
    pub(crate) pinned: Arc<Pinned>,
}

/// An offset to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committable {
    pub(crate) place: TopicPartition,
    pub(crate) offset: Offset,
    pub(crate) epoch: Option<LeaderEpoch>,
}

impl Partition {
    pub(crate) fn new(place: TopicPartition, start: Place, fetch: Arc<Notify>) -> Arc<Self> {
        let offset = match start {
            Place::At(offset) => offset,
            Place::Committed | Place::Lookup(_) => Offset::ZERO,
        };
        Arc::new(Self {
            place,
            state: Mutex::new(State {
                place: start,
                turn: 0,
                queue: VecDeque::new(),
                queued: 0,
                last_epoch: None,
                largest_batch: 0,
                tracker: OffsetTracker::new(offset),
                epochs: EpochTrail::default(),
                oldest: VecDeque::new(),
                committed: None,
                reset_from: None,
                high_watermark: None,
                stable_end: None,
                pauses: Pauses::default(),
                failure: None,
                quiet_until: None,
                failures: 0,
            }),
            readable: Notify::new(),
            stopping: CancelToken::new(),
            fenced: AtomicBool::new(false),
            cancel: CancelToken::new(),
            lanes: watch::Sender::new(0),
            tasks: Mutex::new(Vec::new()),
            fetch,
        })
    }

    pub(crate) fn place(&self) -> &TopicPartition {
        &self.place
    }

    // Positions.

    pub(crate) fn where_to_fetch(&self) -> (Place, u64) {
        let state = self.state.lock();
        (state.place, state.turn)
    }

    /// The next offset to deliver; `None` while it is being looked up.
    pub(crate) fn position(&self) -> Option<Offset> {
        let state = self.state.lock();
        matches!(state.place, Place::At(_)).then(|| state.tracker.position())
    }

    /// What the group committed, as it was read when the partition was assigned.
    pub(crate) fn note_committed(&self, offset: Offset) {
        self.state.lock().committed = Some(offset);
    }

    /// Moves to `place`, dropping what was fetched: a seek.
    pub(crate) fn go_to(&self, place: Place) {
        let mut state = self.state.lock();
        state.restart(place);
        // A seek is the one way backwards: what was committed before it does not stop the next commit.
        state.committed = None;
        drop(state);
        self.readable.notify_waiters();
    }

    /// The answer to a lookup; one that a seek has overtaken changes nothing and gives `false`.
    pub(crate) fn resolve(&self, turn: u64, place: Place, epoch: Option<LeaderEpoch>) -> bool {
        let mut state = self.state.lock();
        if state.turn != turn || matches!(state.place, Place::At(_)) {
            return false;
        }
        state.restart(place);
        state.last_epoch = epoch;
        if matches!(place, Place::At(_)) {
            state.reset_from = None;
        }
        true
    }

    /// The offset that was out of range, while its successor is looked up.
    pub(crate) fn reset_from(&self) -> Option<Offset> {
        self.state.lock().reset_from
    }

    /// The log does not hold the offset at which it was fetched: it is to be looked up anew, once what was fetched before is read.
    /// Returns `false` when the fetch is out of date.
    pub(crate) fn reset(&self, turn: u64, at: Offset, to: Place) -> bool {
        let mut state = self.state.lock();
        if state.turn != turn || state.place != Place::At(at) || !state.queue.is_empty() {
            return false;
        }
        state.restart(to);
        state.committed = None;
        state.reset_from = Some(at);
        true
    }

    // Fetching.

    /// What to fetch next, unless the partition is paused, failed, quiet for now or has `full` bytes waiting.
    pub(crate) fn wish(&self, now: Instant, full: impl FnOnce(usize) -> usize) -> Option<Wish> {
        let state = self.state.lock();
        let Place::At(offset) = state.place else {
            return None;
        };
        let held = state.pauses.is_paused()
            || state.failure.is_some()
            || state.quiet_until.is_some_and(|until| until > now)
            || self.stopping.is_cancelled();
        if held || state.queued >= full(state.largest_batch) {
            return None;
        }
        Some(Wish {
            offset,
            turn: state.turn,
            last_epoch: state.last_epoch,
            largest_batch: state.largest_batch,
            is_empty: state.queue.is_empty(),
        })
    }

    pub(crate) fn quiet_until(&self) -> Option<Instant> {
        self.state.lock().quiet_until
    }

    /// Takes what a fetch brought, up to `next`; `false` when a seek, a reset or a revocation has overtaken it.
    pub(crate) fn fetched(
        &self,
        turn: u64,
        chunk: Chunk,
        next: Offset,
        epoch: Option<LeaderEpoch>,
    ) -> bool {
        let mut state = self.state.lock();
        if state.turn != turn || self.is_fenced() {
            return false;
        }
        state.place = Place::At(next);
        state.last_epoch = epoch.or(state.last_epoch);
        state.queued += chunk.len();
        state.queue.push_back(chunk);
        drop(state);
        self.readable.notify_one();
        true
    }

    /// What an answer told besides records.
    pub(crate) fn note_ends(
        &self,
        turn: u64,
        largest_batch: usize,
        high_watermark: Option<Offset>,
        stable_end: Option<Offset>,
    ) {
        let mut state = self.state.lock();
        if state.turn == turn {
            state.largest_batch = if largest_batch == 0 {
                state.largest_batch
            } else {
                largest_batch.max(state.largest_batch / 2)
            };
            state.high_watermark = high_watermark.or(state.high_watermark);
            state.stable_end = stable_end.or(state.stable_end);
            state.failures = 0;
            state.quiet_until = None;
        }
    }

    /// A passing error: not fetched again before the wait that `delay` gives for the number of failures in a row.
    pub(crate) fn back_off(&self, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        let mut state = self.state.lock();
        state.quiet_until = Some(now + delay(state.failures));
        state.failures = state.failures.saturating_add(1);
    }

    /// An error that its reader has to hear of; nothing is fetched before that.
    pub(crate) fn fail(&self, turn: u64, error: Error) {
        let mut state = self.state.lock();
        if state.turn == turn && state.failure.is_none() {
            state.failure = Some(error);
        }
        drop(state);
        self.readable.notify_one();
    }

    /// Copies what waits here out of frames that nothing else holds.
    pub(crate) fn copy_out(&self, budget: &Arc<Budget>) {
        for chunk in &mut self.state.lock().queue {
            chunk.copy_out(budget);
        }
    }

    // Reading.

    /// The next batch to read, if one is there.
    ///
    /// # Errors
    /// What the partition cannot be read past; told once, then the same place is fetched again.
    pub(crate) fn pull(&self) -> Result<Option<Pulled>> {
        let mut state = self.state.lock();
        if self.is_stopping() {
            return Ok(None);
        }
        loop {
            let from = state.tracker.position();
            let Some(chunk) = state.queue.front_mut() else {
                return match state.failure.take() {
                    Some(error) => {
                        self.fetch.notify_one();
                        Err(error.at(&self.place))
                    }
                    None => Ok(None),
                };
            };
            match chunk.step(from) {
                Ok(Step::Batch(batch)) => {
                    let pinned = Arc::clone(chunk.pinned());
                    let turn = state.turn;
                    return Ok(Some(Pulled {
                        batch,
                        from,
                        turn,
                        pinned,
                    }));
                }
                Ok(Step::Skip(next)) => state.tracker.skip_to(next),
                Ok(Step::End) => {
                    let len = chunk.len();
                    state.queue.pop_front();
                    state.queued -= len;
                    self.fetch.notify_one();
                }
                Err(error) => {
                    state.restart_at(from);
                    self.fetch.notify_one();
                    return Err(error.at(&self.place));
                }
            }
        }
    }

    /// Whether reading would give something at once.
    pub(crate) fn has_something(&self) -> bool {
        let state = self.state.lock();
        !state.queue.is_empty() || state.failure.is_some()
    }

    /// Waits until [`pull`](Self::pull) may give something, or the partition is to be let go.
    pub(crate) async fn readable(&self) {
        if self.has_something() || self.is_stopping() {
            return;
        }
        tokio::select! {
            () = self.readable.notified() => {}
            () = self.stopping.cancelled() => {}
        }
    }

    /// The batch pulled last cannot be read: what follows is dropped, and fetched again from its first unread record.
    pub(crate) fn refetch(&self, turn: u64) {
        let mut state = self.state.lock();
        if state.turn == turn {
            let from = state.tracker.position();
            state.restart_at(from);
            self.fetch.notify_one();
        }
    }

    // Delivering.

    /// A handler is about to get the record; `None` when it must not, since the partition was sought, revoked or is being drained.
    pub(crate) fn deliver(
        &self,
        turn: u64,
        offset: Offset,
        epoch: Option<LeaderEpoch>,
        now: Instant,
    ) -> Option<Ticket> {
        let mut state = self.state.lock();
        if state.turn != turn || self.is_stopping() {
            return None;
        }
        state.epochs.note(offset, epoch);
        state.oldest.push_back((offset, now));
        Some(state.tracker.deliver(offset))
    }

    /// The record ended well; returns `false` when its end comes too late to count.
    pub(crate) fn settle(&self, ticket: Ticket) -> bool {
        let mut state = self.state.lock();
        if self.is_fenced() || !state.tracker.settle(ticket) {
            return false;
        }
        let low = state.tracker.committable();
        while state
            .oldest
            .front()
            .is_some_and(|(offset, _)| *offset < low)
        {
            state.oldest.pop_front();
        }
        true
    }

    /// All records below `next` were delivered, or are in the user's hands.
    pub(crate) fn passed(&self, turn: u64, next: Offset, epoch: Option<LeaderEpoch>) -> bool {
        let mut state = self.state.lock();
        if state.turn != turn || self.is_fenced() {
            return false;
        }
        let from = state.tracker.position();
        state.epochs.note(from, epoch);
        state.tracker.skip_to(next);
        true
    }

    /// Whether a record of that turn may still be delivered.
    pub(crate) fn is_current(&self, turn: u64) -> bool {
        !self.is_stopping() && self.state.lock().turn == turn
    }

    // Committing.

    /// The offset to commit, when it differs from what is committed.
    pub(crate) fn to_commit(&self) -> Option<Committable> {
        let mut state = self.state.lock();
        if self.is_fenced() || !matches!(state.place, Place::At(_)) {
            return None;
        }
        let offset = state.tracker.committable();
        if state.committed.is_some_and(|done| done >= offset) {
            return None;
        }
        Some(Committable {
            place: self.place.clone(),
            offset,
            epoch: state.epochs.before(offset),
        })
    }

    /// The coordinator holds `offset` now.
    pub(crate) fn committed_to(&self, offset: Offset) {
        let mut state = self.state.lock();
        state.committed = state.committed.max(Some(offset));
    }

    // Pausing.

    /// `by` holds it paused; `true` when that is news.
    pub(crate) fn pause(&self, by: &Arc<str>, reason: Reason) -> bool {
        self.state.lock().pauses.hold(Arc::clone(by), reason)
    }

    /// `by` lets go; `true` when nobody holds it any more.
    pub(crate) fn resume(&self, by: &str) -> bool {
        let last = self.state.lock().pauses.release(by);
        self.readable.notify_one();
        last
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.state.lock().pauses.is_paused()
    }

    pub(crate) fn is_paused_by(&self, by: &str) -> bool {
        self.state.lock().pauses.is_held_by(by)
    }

    // The end.

    /// No record is dispatched from now on.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
        self.readable.notify_waiters();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Resolves once no record is dispatched any more.
    pub(crate) async fn stopped(&self) {
        self.stopping.cancelled().await;
    }

    /// Waits until no lane works on it.
    pub(crate) async fn drained(&self) {
        let mut lanes = self.lanes.subscribe();
        // The sender lives as long as this partition.
        let _ = lanes.wait_for(|count| *count == 0).await;
    }

    /// Nothing of it counts any more: handlers are told, their lanes ended, what was fetched is let go.
    pub(crate) fn fence(&self) {
        self.stop();
        self.fenced.store(true, Ordering::Release);
        self.cancel.cancel();
        let mut state = self.state.lock();
        state.queue.clear();
        state.queued = 0;
        drop(state);
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }

    pub(crate) fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Acquire)
    }

    pub(crate) fn stopping_token(&self) -> &CancelToken {
        &self.stopping
    }

    pub(crate) fn cancel_token(&self) -> &CancelToken {
        &self.cancel
    }

    /// A lane begins to work; it counts until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> LaneGuard {
        self.lanes.send_modify(|count| *count += 1);
        LaneGuard(Arc::clone(self))
    }

    pub(crate) fn own_task(&self, task: AbortHandle) {
        self.tasks.lock().push(task);
    }

    // Figures.

    pub(crate) fn figures(&self, now: Instant) -> Figures {
        let state = self.state.lock();
        let end = state.stable_end.or(state.high_watermark);
        Figures {
            lag: end.map(|end| end.since(state.tracker.committable())),
            unsettled: state.tracker.unsettled(),
            oldest: state
                .oldest
                .front()
                .map(|(_, since)| now.duration_since(*since)),
            pauses: state.pauses.holders().cloned().collect(),
        }
    }
}

/// Figures of one partition, as they stand.
pub(crate) struct Figures {
    pub(crate) lag: Option<u64>,
    pub(crate) unsettled: usize,
    pub(crate) oldest: Option<Duration>,
    pub(crate) pauses: Vec<Arc<str>>,
}

/// Counts a lane as working.
pub(crate) struct LaneGuard(Arc<Partition>);

impl Drop for LaneGuard {
    fn drop(&mut self) {
        self.0.lanes.send_modify(|count| *count -= 1);
    }
}

impl State {
    fn restart(&mut self, place: Place) {
        self.turn += 1;
        self.place = place;
        self.queue.clear();
        self.queued = 0;
        self.last_epoch = None;
        self.oldest.clear();
        self.epochs.clear();
        self.failure = None;
        self.quiet_until = None;
        if let Place::At(offset) = place {
            self.tracker.restart(offset);
        }
    }

    /// Fetches again from `from`; what was delivered stays delivered.
    fn restart_at(&mut self, from: Offset) {
        self.turn += 1;
        self.place = Place::At(from);
        self.queue.clear();
        self.queued = 0;
        self.last_epoch = None;
    }
}
