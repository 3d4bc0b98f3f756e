//! One assigned partition, as its fetcher, its lanes, its receivers and the commit task use it.
//!
//! Its parts change together under one lock. This file takes the lock, and wakes the tasks that
//! wait for the change.

mod ahead;
mod backoffs;
mod commits;
mod committing;
mod cursor;
mod epochs;
mod figures;
mod inbox;
mod lifetime;
mod log_ends;
mod lookup;
mod progress;
mod published;
mod reading;
mod replica;
mod state;
mod trouble;

pub(crate) use commits::Committable;
pub(crate) use committing::Committing;
pub(crate) use cursor::FetchFrom;
pub(crate) use figures::{Figures, Oldest};
pub(crate) use inbox::Given;
pub(crate) use lookup::PartitionLookup;
pub(crate) use progress::{Delivery, DueRecord};
pub(crate) use reading::Reading;
pub(crate) use state::{Cut, FetchedChunk, Want, Wish};

use std::sync::{Arc, Weak};
use std::time::Duration;

use milena_core::{Error, LeaderEpoch, NodeId, Offset, Reason, TopicPartition};
use milena_fetch::{Bad, Budget, Closed, Openable, Pinned};
use milena_lanes::{Dispatch, Pause, PauseHolder, Ticket};
use milena_protocol::batch::Records;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use crate::touched::{Mark, Touched};

use lifetime::Lifetime;
use published::Published;
use state::PartitionState;

/// A partition of one assignment. If it is assigned again, a new value is made, and work that still
/// refers to the old one no longer counts.
pub(crate) struct Partition {
    /// Topic and number.
    place: TopicPartition,
    /// Everything that changes together. Held for short times, never across an await.
    state: Mutex<PartitionState>,
    /// Counters that are read without the lock. The state publishes them.
    published: Arc<Published>,
    /// The lanes, and the steps to the end of the partition.
    lifetime: Lifetime,
    /// Wakes the lane that reads when there may be something to read or the partition is to end.
    readable: Notify,
    /// Wakes a lane that waits until the window has room.
    room: Notify,
    /// This partition itself, to be added to the lists in `wakes`.
    me: Weak<Self>,
    /// The tasks to wake when something changes.
    wakes: PartitionWakes,
    /// True while this is in the list of the fetcher.
    fetch_mark: Mark,
    /// True while this is in the list of the receivers.
    ready_mark: Mark,
}

/// Signals to wake the consumer's tasks when something of a partition changes.
#[derive(Clone, Default)]
pub(crate) struct PartitionWakes {
    /// Wakes the fetcher.
    pub(crate) fetch: Arc<Notify>,
    /// Partitions that may have become fetchable.
    pub(crate) touched: Arc<Touched<Partition>>,
    /// Partitions of which there may be something to receive.
    pub(crate) ready: Arc<Touched<Partition>>,
}

impl Partition {
    /// Returns a partition that is read from `start`.
    pub(crate) fn new(
        mut place: TopicPartition,
        start: FetchFrom,
        wakes: PartitionWakes,
    ) -> Arc<Self> {
        // Every record carries the topic's name. A name that is kept for ever is copied without a
        // reference count, for which all lanes would contend.
        place.topic = place.topic.keep();
        let published = Arc::new(Published::default());
        Arc::new_cyclic(|me| Self {
            place,
            state: Mutex::new(PartitionState::new(start, Arc::clone(&published))),
            published,
            lifetime: Lifetime::new(),
            readable: Notify::new(),
            room: Notify::new(),
            me: Weak::clone(me),
            wakes,
            fetch_mark: Mark::default(),
            ready_mark: Mark::default(),
        })
    }

    /// Returns topic and number.
    pub(crate) fn place(&self) -> &TopicPartition {
        &self.place
    }

    // Waking.

    /// Makes the fetcher look at this partition, since it may have become fetchable.
    pub(crate) fn touch(&self) {
        self.wakes.touched.add(&self.me, &self.fetch_mark);
        self.wakes.fetch.notify_one();
    }

    /// Returns the mark for the list of the fetcher.
    pub(crate) fn fetch_mark(&self) -> &Mark {
        &self.fetch_mark
    }

    /// Returns the mark for the list of the receivers.
    pub(crate) fn ready_mark(&self) -> &Mark {
        &self.ready_mark
    }

    /// Wakes lanes and receivers, since there may be something to read.
    pub(crate) fn tell_readable(&self) {
        self.wakes.ready.add(&self.me, &self.ready_mark);
        self.readable.notify_one();
    }

    /// Lists the partition for receivers if there is more to read after the batch in hand.
    fn tell_of_more(&self, state: &PartitionState) {
        if state.has_something() {
            self.wakes.ready.add(&self.me, &self.ready_mark);
        }
    }

    /// Wakes everybody who reads, since the position has moved.
    fn tell_moved(&self) {
        self.readable.notify_waiters();
        self.room.notify_one();
    }

    // Position.

    /// Returns the place to fetch next, and the current turn.
    pub(crate) fn where_to_fetch(&self) -> (FetchFrom, u64) {
        let state = self.state.lock();
        (state.cursor.from(), state.cursor.turn())
    }

    /// Returns the next offset to deliver. `None` while it is looked up.
    pub(crate) fn position(&self) -> Option<Offset> {
        let mut state = self.state.lock();
        state.absorb();
        state.cursor.offset().map(|_| state.progress.position())
    }

    /// Moves to `to` and drops the fetched batches. This is a seek.
    pub(crate) fn go_to(&self, to: FetchFrom) {
        self.state.lock().seek(to);
        self.touch();
        self.tell_moved();
    }

    /// Moves to `to` after a fetch at offset `at` was out of the log's range. Returns false if the
    /// fetch is stale or records before `at` are not read yet.
    ///
    /// If this happens several times in a row, nothing is fetched or looked up before the time that
    /// `quiet` returns for their number.
    pub(crate) fn reset(
        &self,
        turn: u64,
        at: Offset,
        to: FetchFrom,
        quiet: impl FnOnce(u32) -> Instant,
    ) -> bool {
        self.state.lock().reset(turn, at, to, quiet)
    }

    /// Notes the id of the topic. Returns true if it is another topic than before, though with the
    /// same name.
    pub(crate) fn meet_topic(&self, id: Option<Uuid>) -> bool {
        self.state.lock().cursor.meet_topic(id)
    }

    /// Moves to `to`, since the topic was created again. Returns the position in the old topic, or
    /// `None` if there was no known one.
    pub(crate) fn made_again(&self, to: FetchFrom) -> Option<Offset> {
        let from = self.state.lock().made_again(to)?;
        self.tell_moved();
        Some(from)
    }

    /// Notes the leader epoch from metadata. Under a newer leader the position becomes unsure, if
    /// the epoch in which it was read is known. Returns true if it became so.
    pub(crate) fn meet_leader(&self, epoch: Option<LeaderEpoch>) -> bool {
        self.state.lock().cursor.meet_leader(epoch)
    }

    /// Drops the fetched batches, since the log was truncated at `end`. If records that were read
    /// are gone, moves to `to`.
    ///
    /// If only unread records are gone, they are fetched again. From the second time in a row, that
    /// happens after the time that `quiet` returns for the number of times.
    pub(crate) fn cut(
        &self,
        turn: u64,
        end: Option<Offset>,
        to: FetchFrom,
        quiet: impl FnOnce(u32) -> Instant,
    ) -> Cut {
        let mut state = self.state.lock();
        let cut = state.cut(turn, end, to, quiet);
        if cut == Cut::Unread {
            self.tell_of_more(&state);
        }
        drop(state);
        match cut {
            Cut::Overtaken => {}
            Cut::Unread => self.touch(),
            Cut::Read(_) => {
                self.touch();
                self.tell_moved();
            }
        }
        cut
    }

    /// Notes that a broker answered a request about it. An end that the answer did not report has
    /// not changed.
    pub(crate) fn end_asked(&self, now: Instant) {
        self.state.lock().ends.are_fresh(now);
    }

    // Fetching.

    /// Returns what to fetch next. `full` returns, for the size of the largest batch, how many
    /// waiting bytes are enough.
    pub(crate) fn want(&self, now: Instant, full: impl FnOnce(usize) -> usize) -> Want {
        let mut state = self.state.lock();
        if self.is_stopping() {
            return Want::Nothing;
        }
        state.want(now, full)
    }

    /// Returns the time before which it is not fetched. `None` for no wait.
    pub(crate) fn quiet_until(&self) -> Option<Instant> {
        self.state.lock().backoffs.quiet_until()
    }

    /// Takes the batches that a fetch returned. Returns false if a seek, a reset or a revocation
    /// came first.
    pub(crate) fn fetched(&self, turn: u64, fetched: FetchedChunk) -> bool {
        let mut state = self.state.lock();
        let taken = !self.is_fenced() && state.fetched(turn, fetched);
        drop(state);
        if taken {
            self.tell_readable();
        }
        taken
    }

    /// Applies what an answer says besides records. Ends backoffs and trouble, since the fetch
    /// succeeded.
    pub(crate) fn note_ends(
        &self,
        turn: u64,
        largest_batch: usize,
        high_watermark: Option<Offset>,
        stable_end: Option<Offset>,
    ) {
        let mut state = self.state.lock();
        if state.cursor.turn() == turn {
            state.note_ends(largest_batch, high_watermark, stable_end, &self.place);
        }
    }

    /// Doubles the size to ask for, up to `most`. Called after an answer without records though the
    /// log has more, since the next batch is larger than the `asked` bytes.
    pub(crate) fn ask_for_more(&self, turn: u64, asked: u32, most: usize) {
        let mut state = self.state.lock();
        if state.cursor.turn() == turn {
            let twice = (asked as usize).saturating_mul(2).min(most);
            state.inbox.expect(twice);
        }
    }

    /// Notes that an answer to a fetch of this partition alone could not be read. From now on it is
    /// fetched alone, after a backoff. Returns the number of times in a row.
    pub(crate) fn ask_alone(&self, now: Instant, delay: impl FnOnce(u32) -> Duration) -> u32 {
        self.state.lock().backoffs.ask_alone(now, delay)
    }

    /// Notes that an answer to a fetch of this partition alone was read. It is fetched together
    /// with others again.
    pub(crate) fn ask_with_others(&self) {
        self.state.lock().backoffs.ask_with_others();
    }

    /// Returns true while it is fetched alone.
    pub(crate) fn is_asked_alone(&self) -> bool {
        self.state.lock().backoffs.is_asked_alone()
    }

    /// Notes that an answer held less than one batch, though the batch would have fitted. Returns
    /// the number of times in a row.
    pub(crate) fn cut_short(&self) -> u32 {
        self.state.lock().backoffs.was_cut_short()
    }

    /// Notes an error that passes. The partition is not fetched before the wait that `delay`
    /// returns for the number of failures in a row.
    pub(crate) fn back_off(&self, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        self.state.lock().backoffs.fetch_failed(now, delay);
    }

    /// Stores an error for the reader. Nothing is fetched until the reader has got it.
    pub(crate) fn fail(&self, turn: u64, error: Error) {
        self.state.lock().fail(turn, error);
        self.tell_readable();
    }

    /// Copies waiting batches out of frames that nothing else holds.
    pub(crate) fn copy_out(&self, budget: &Arc<Budget>) {
        self.state.lock().inbox.copy_out(budget);
    }

    /// Notes that the leader named `node` as the nearer replica. `known` is true if metadata has
    /// such a broker. An unknown one is not used.
    pub(crate) fn prefer(&self, node: NodeId, known: bool, now: Instant) {
        self.state.lock().replica.prefer(node, known, now);
    }

    /// Returns the replica to read from instead of the leader. `None` for the leader.
    pub(crate) fn nearer(&self, now: Instant) -> Option<NodeId> {
        self.state.lock().replica.nearer(now)
    }

    /// Notes that the nearer replica does not serve. The leader is read for a while.
    pub(crate) fn back_to_leader(&self, now: Instant) {
        self.state.lock().replica.back_to_leader(now);
    }

    /// Returns true if the leader must serve the records, and must not name another replica.
    pub(crate) fn wants_leader(&self, now: Instant) -> bool {
        self.state.lock().replica.wants_leader(now)
    }

    /// Notes that it could not be fetched or its position not be looked up. Returns true if that is
    /// to be logged.
    pub(crate) fn troubled(&self, now: Instant, error: &Error) -> bool {
        self.state.lock().troubles.note(now, error)
    }

    /// Notes that a request for it and others failed as a whole. The caller logs that once per
    /// broker. Returns true for the first failure in a row.
    pub(crate) fn troubled_with_broker(&self, now: Instant, error: &Error) -> bool {
        self.state.lock().troubles.note_of_broker(now, error)
    }

    /// Returns true if this partition alone is refused, or could not be looked up.
    pub(crate) fn is_refused(&self) -> bool {
        self.state.lock().troubles.is_refused()
    }

    /// Returns true if the latest error says that its topic may not be read.
    pub(crate) fn is_denied(&self) -> bool {
        self.state.lock().troubles.is_denied()
    }

    /// Notes that its broker answers again, though the answer says nothing about this partition.
    pub(crate) fn broker_answers(&self) {
        self.state.lock().troubles.broker_answers();
    }

    // Delivering.

    /// Notes that a handler is about to get the record.
    pub(crate) fn deliver(&self, turn: u64, record: DueRecord, window: usize) -> Delivery {
        let mut state = self.state.lock();
        if state.cursor.turn() != turn || self.is_stopping() {
            return Delivery::Over;
        }
        let ticket = state.progress.deliver(record, window);
        ticket.map_or(Delivery::Full, Delivery::Ticket)
    }

    /// Settles a record. Returns false if the settlement comes too late to count.
    pub(crate) fn settle(&self, ticket: Ticket) -> bool {
        let mut state = self.state.lock();
        if self.is_fenced() {
            return false;
        }
        let settled = state.progress.settle(ticket);
        drop(state);
        let Some(settled) = settled else { return false };
        if settled.frees {
            self.touch();
        }
        if settled.makes_room {
            self.room.notify_one();
        }
        true
    }

    /// Waits until the window has room again, or no record is dispatched any more.
    pub(crate) async fn has_room(&self) {
        loop {
            if !self.state.lock().progress.waits_for_room() || self.is_stopping() {
                return;
            }
            tokio::select! {
                () = self.room.notified() => {}
                () = self.lifetime.dispatch().stopped() => {}
            }
        }
    }

    /// Returns true if a delivery still counts, for a record that has waited since.
    #[inline]
    pub(crate) fn counts(&self, ticket: Ticket) -> bool {
        self.published.epoch() == ticket.epoch
    }

    /// Returns true if a record of that turn may still be delivered.
    #[inline]
    pub(crate) fn is_current(&self, turn: u64) -> bool {
        !self.is_stopping() && self.published.turn() == turn
    }

    /// Notes that an awaited answer has come, so that the partition does not count as standing
    /// still before now.
    pub(crate) fn has_moved(&self) {
        self.state.lock().progress.has_moved();
    }

    // Pausing.

    /// Adds `by` to the holders of the pause. Returns true if it was not one before.
    pub(crate) fn pause(&self, by: &PauseHolder, reason: Reason) -> bool {
        let news = self.state.lock().pauses.hold(by.clone(), reason);
        self.touch();
        news
    }

    /// Removes `by` from the holders of the pause. Returns true if it was the last one.
    pub(crate) fn resume(&self, by: &PauseHolder) -> bool {
        let last = self.state.lock().pauses.release(by);
        self.touch();
        self.tell_readable();
        last
    }

    /// Returns the pauses, for display.
    pub(crate) fn pauses(&self) -> Vec<Pause> {
        self.state.lock().pauses.told(&self.place)
    }

    /// Returns true while somebody keeps it paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.state.lock().pauses.is_paused()
    }

    /// Returns true while `by` keeps it paused.
    pub(crate) fn is_paused_by(&self, by: &PauseHolder) -> bool {
        self.state.lock().pauses.is_held_by(by)
    }

    // Lanes and the end.

    /// Returns the gauges of the partition. `by_lanes` is true if a handler gets the records, and
    /// false if the program receives them.
    pub(crate) fn figures(&self, now: Instant, by_lanes: bool) -> Figures {
        Figures::of(
            &mut self.state.lock(),
            self.lifetime.dispatch(),
            now,
            by_lanes,
        )
    }

    /// Returns the state of the lanes.
    pub(crate) fn dispatch(&self) -> &Dispatch {
        self.lifetime.dispatch()
    }

    /// Returns true for the first call, whose caller must start the lanes.
    pub(crate) fn take_lanes(&self) -> bool {
        self.lifetime.take_lanes()
    }

    /// Returns true if a lane is at work.
    pub(crate) fn is_worked_on(&self) -> bool {
        self.lifetime.dispatch().is_worked_on()
    }

    /// Waits until no lane is at work.
    pub(crate) async fn drained(&self) {
        self.lifetime.dispatch().drained().await;
    }

    /// Stops dispatch. No more records go to handlers.
    pub(crate) fn stop(&self) {
        self.lifetime.dispatch().stop();
        self.readable.notify_waiters();
    }

    /// Returns true once dispatch has stopped.
    pub(crate) fn is_stopping(&self) -> bool {
        self.lifetime.dispatch().is_stopping()
    }

    /// Fences the partition, after which nothing counts. Cancels handlers, aborts lanes, and drops
    /// the fetched batches.
    ///
    /// Returns true if records were done or handed out whose offsets were not committed. A further
    /// call returns false.
    pub(crate) fn fence(&self) -> bool {
        self.stop();
        let first = self.lifetime.fence();
        let mut state = self.state.lock();
        let is_ahead = first && state.is_ahead_of_commits();
        state.drop_fetched();
        drop(state);
        self.lifetime.dispatch().cut_off();
        is_ahead
    }

    /// Returns true once the partition is fenced.
    pub(crate) fn is_fenced(&self) -> bool {
        self.lifetime.is_fenced()
    }
}

impl Openable for Partition {
    fn take_waiting(&self) -> Option<Closed> {
        self.state.lock().inbox.take_waiting()
    }

    fn opened(&self, closed: &Closed, opened: Result<(Records, Arc<Pinned>), Bad>) -> bool {
        let mut state = self.state.lock();
        if state.cursor.turn() != closed.turn {
            return false;
        }
        state.inbox.opened(closed.id, opened);
        // A reader that still has a batch in hand looks for the next one by itself.
        let waited_for = state.has_something();
        drop(state);
        if waited_for {
            self.tell_readable();
        }
        waited_for
    }
}
