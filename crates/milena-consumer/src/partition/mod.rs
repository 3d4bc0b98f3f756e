//! One assigned partition, as its fetcher, its lanes, its receivers and the commit task use it.
//!
//! Its parts change together under one lock. This file takes the lock, and wakes the tasks that
//! wait for the change.

mod ahead;
mod backoffs;
mod commits;
mod cursor;
mod epochs;
mod figures;
mod inbox;
mod lifetime;
mod log_ends;
mod progress;
mod published;
mod replica;
mod state;
mod trouble;

pub(crate) use commits::Committable;
pub(crate) use cursor::FetchFrom;
pub(crate) use figures::{Figures, Oldest};
pub(crate) use inbox::Given;
pub(crate) use progress::Delivery;
pub(crate) use state::{Cut, Want, Wish};

use std::sync::{Arc, Weak};
use std::time::Duration;

use milena_core::{
    Error, IsolationLevel, LeaderEpoch, NodeId, Offset, Reason, Timestamp, TopicPartition,
};
use milena_fetch::{Bad, BatchEnd, Budget, Chunk, Closed, Openable, Opened, Pinned};
use milena_lanes::{Dispatch, Pause, PauseHolder, Ticket};
use milena_protocol::batch::Records;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use crate::commit::offset_and_metadata::OffsetAndMetadata;
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

    /// Sets the place that a lookup found. Returns false, and changes nothing, if a seek came
    /// first.
    pub(crate) fn resolve(&self, turn: u64, to: FetchFrom, epoch: Option<LeaderEpoch>) -> bool {
        let resolved = self.state.lock().resolve(turn, to, epoch, &self.place);
        if resolved {
            self.touch();
        }
        resolved
    }

    /// Returns the offset that was out of range. `None` once its replacement is found.
    pub(crate) fn reset_from(&self) -> Option<Offset> {
        self.state.lock().cursor.reset_from()
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

    /// Notes that the leader's log holds the records that were read, so that the position is sure
    /// again.
    pub(crate) fn validated(&self, turn: u64) {
        let mut state = self.state.lock();
        if state.cursor.validate(turn) {
            state.backoffs.lookup_is_well();
            drop(state);
            self.touch();
        }
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

    /// Returns the time before which its position is not looked up. `None` for no wait.
    pub(crate) fn lookup_due(&self) -> Option<Instant> {
        self.state.lock().backoffs.lookup_due()
    }

    /// Notes that its position could not be looked up. It is tried again after the wait that
    /// `delay` returns for the number of failures in a row.
    pub(crate) fn lookup_back_off(&self, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        self.state.lock().backoffs.lookup_failed(now, delay);
    }

    /// Returns the time at which the end of its log must be asked for, since the known one is then
    /// older than `fresh`. `None` to ask now.
    pub(crate) fn end_due(&self, fresh: Duration) -> Option<Instant> {
        self.state.lock().ends.due(fresh)
    }

    /// Notes that a broker answered a request about it. An end that the answer did not report has
    /// not changed.
    pub(crate) fn end_asked(&self, now: Instant) {
        self.state.lock().ends.are_fresh(now);
    }

    /// Notes the end of the log, which was asked for at `asked_at`. Does nothing if a fetch was
    /// answered since, which knows the end better.
    pub(crate) fn note_end(
        &self,
        turn: u64,
        end: Offset,
        level: IsolationLevel,
        asked_at: Instant,
    ) {
        let mut state = self.state.lock();
        if state.cursor.turn() == turn {
            state.ends.note_asked(end, level, asked_at);
        }
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

    /// Takes the batches that a fetch at `from` returned, up to `next`. Returns false if a seek, a
    /// reset or a revocation came first.
    pub(crate) fn fetched(
        &self,
        turn: u64,
        from: Offset,
        chunk: Chunk,
        next: Offset,
        epoch: Option<LeaderEpoch>,
    ) -> bool {
        let mut state = self.state.lock();
        let taken = !self.is_fenced() && state.fetched(turn, from, chunk, next, epoch);
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

    // Reading.

    /// Returns the next batch to read, if one is there. The flag is true if the partition has to be
    /// added to the openers, since batches wait for them.
    ///
    /// One batch is in hand at a time, until it is [`passed`](Self::passed),
    /// [put back](Self::put_back) or given up.
    pub(crate) fn pull(&self) -> (Option<Given>, bool) {
        let mut state = self.state.lock();
        if self.is_stopping() || state.inbox.is_in_hand() {
            return (None, false);
        }
        let pulled = state.pull();
        drop(state);
        if pulled.freed {
            self.touch();
        }
        (pulled.given, pulled.for_openers)
    }

    /// Waits until [`pull`](Self::pull) may give something, or the partition is to be let go.
    pub(crate) async fn readable(&self) {
        if self.state.lock().has_something() || self.is_stopping() {
            return;
        }
        tokio::select! {
            () = self.readable.notified() => {}
            () = self.lifetime.dispatch().stopped() => {}
        }
    }

    /// Takes back the rest of a batch in hand. The next reader gets it.
    pub(crate) fn put_back(&self, opened: Opened) {
        let mut state = self.state.lock();
        if !self.is_fenced() && state.put_back(opened) {
            self.tell_readable();
        }
    }

    /// Gives up the batch in hand, which cannot be read, and drops the batches after it. All is
    /// fetched again from the first unread record, after a wait. `delay` returns the wait for the
    /// number of times in a row.
    pub(crate) fn spoiled(&self, turn: u64, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        let mut state = self.state.lock();
        if state.cursor.turn() == turn {
            state.spoiled(now, delay);
            self.tell_of_more(&state);
            self.touch();
        }
    }

    /// Returns the number of times in a row that this place was found unreadable.
    pub(crate) fn times_spoiled(&self) -> u32 {
        self.state.lock().backoffs.times_spoiled()
    }

    /// Returns the end of a batch that cannot be read, if it can be believed. It must lie within
    /// the log and after the position.
    pub(crate) fn believable(&self, end: BatchEnd) -> Option<Offset> {
        let state = self.state.lock();
        let (BatchEnd::Told(next) | BatchEnd::Following(Some(next))) = end else {
            return None;
        };
        state.believes(next).then_some(next)
    }

    /// Moves the position to `next`, the end of the batch in hand, and lets go of the batch. All of
    /// its records were delivered or are in the user's hands.
    pub(crate) fn passed(&self, turn: u64, next: Offset, epoch: Option<LeaderEpoch>) -> bool {
        let mut state = self.state.lock();
        let current = state.cursor.turn() == turn && !self.is_fenced();
        if current {
            state.progress.read_to(next, epoch);
            state.let_go();
            self.tell_of_more(&state);
        }
        current
    }

    /// Notes that all records below `next` were delivered, of a batch that stays in hand.
    pub(crate) fn note_read(&self, turn: u64, next: Offset, epoch: Option<LeaderEpoch>) {
        let mut state = self.state.lock();
        if state.cursor.turn() == turn && !self.is_fenced() {
            state.progress.read_to(next, epoch);
        }
    }

    /// Notes that a receiver returned the records below `next`, of the batch in hand.
    #[inline]
    pub(crate) fn hand_out(&self, next: Offset) {
        self.published.hand_out(next);
    }

    // Delivering.

    /// Notes that a handler is about to get the record.
    pub(crate) fn deliver(
        &self,
        turn: u64,
        offset: Offset,
        epoch: Option<LeaderEpoch>,
        timestamp: Option<Timestamp>,
        since: Instant,
        window: usize,
    ) -> Delivery {
        let mut state = self.state.lock();
        if state.cursor.turn() != turn || self.is_stopping() {
            return Delivery::Over;
        }
        let ticket = state
            .progress
            .deliver(offset, epoch, timestamp, since, window);
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

    // Committing.

    /// Returns the offset to commit. `None` if the coordinator has it already, or nothing can be
    /// committed.
    pub(crate) fn to_commit(&self) -> Option<Committable> {
        let mut state = self.state.lock();
        if self.is_fenced() {
            return None;
        }
        state.next_commit(&self.place)
    }

    /// Returns `next`, the offset behind a record that is done, to commit it. `None` if that much
    /// is committed already or the record no longer counts.
    pub(crate) fn to_commit_after(
        &self,
        next: Offset,
        epoch: Option<LeaderEpoch>,
    ) -> Option<Committable> {
        let mut state = self.state.lock();
        if self.is_fenced() {
            return None;
        }
        state.commit_after(&self.place, next, epoch)
    }

    /// Returns an offset that the user named, to commit it as it is.
    pub(crate) fn to_commit_as(&self, asked: OffsetAndMetadata) -> Committable {
        let mut state = self.state.lock();
        let epoch = asked.leader_epoch;
        let epoch = epoch.or_else(|| state.progress.epoch_of(asked.offset));
        Committable {
            metadata: (!asked.metadata.is_empty()).then_some(asked.metadata),
            explicit: true,
            ..state.committable(&self.place, asked.offset, epoch)
        }
    }

    /// Returns true if the offset is still to be committed, now that its commit is about to be
    /// sent.
    pub(crate) fn is_due(&self, offset: &Committable) -> bool {
        self.state.lock().commits.is_due(offset)
    }

    /// Notes that the coordinator has the offset now. Does nothing if a seek or a reset came after
    /// it.
    pub(crate) fn committed_to(&self, done: &Committable) {
        self.state.lock().commits.committed_to(done);
    }

    /// Notes the committed offset that was read when the partition was assigned.
    pub(crate) fn note_committed(&self, offset: Offset) {
        self.state.lock().commits.note(offset);
    }

    /// Notes that the topic is deleted. Nothing is committed automatically until `take_up_commits`.
    /// Returns true if that was not known.
    pub(crate) fn give_up_commits(&self) -> bool {
        !self.state.lock().commits.give_up(true)
    }

    /// Notes that the topic exists again. Returns true if it was gone.
    pub(crate) fn take_up_commits(&self) -> bool {
        self.state.lock().commits.give_up(false)
    }

    /// Returns true if the topic is known to be deleted.
    pub(crate) fn has_given_up_commits(&self) -> bool {
        self.state.lock().commits.has_given_up()
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
