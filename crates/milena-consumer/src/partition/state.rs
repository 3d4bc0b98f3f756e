//! The parts of a partition that change together, and the changes that touch several of them.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, LeaderEpoch, NextStep, Offset, OffsetReset, Timestamp, TopicPartition};
use milena_fetch::{Chunk, Opened};
use milena_lanes::Pauses;
use tokio::time::Instant;

use super::backoffs::Backoffs;
use super::commits::{CommitState, Committable};
use super::cursor::{Cursor, FetchFrom};
use super::inbox::{Given, Inbox, Pulled};
use super::log_ends::LogEnds;
use super::progress::Progress;
use super::published::Published;
use super::replica::Replica;
use super::trouble::Troubles;

/// The content of a partition's entry in a fetch request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// The offset to fetch from.
    pub(crate) offset: Offset,
    /// The turn of the partition. An answer for another turn is stale.
    pub(crate) turn: u64,
    /// The leader epoch of the last batch that was fetched. `None` if it is unknown.
    pub(crate) last_epoch: Option<LeaderEpoch>,
    /// The size in bytes of the largest batch in recent answers.
    pub(crate) largest_batch: usize,
    /// True if no fetched batch waits to be read and at most one delivered record is unsettled.
    pub(crate) is_empty: bool,
}

/// The decision whether to fetch a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Fetch it.
    Fetch(Wish),
    /// Fetch it once some of the batches that wait here are read.
    Full,
    /// Do not fetch it. It is paused, failed, in a backoff, or has no known position.
    Nothing,
}

/// The batches that a fetch returned for a partition.
#[derive(Debug)]
pub(crate) struct FetchedChunk {
    /// The offset that was fetched from.
    pub(crate) from: Offset,
    /// The batches.
    pub(crate) chunk: Chunk,
    /// The offset behind them, to fetch from next.
    pub(crate) next: Offset,
    /// The leader epoch of the last batch. `None` if it has none.
    pub(crate) epoch: Option<LeaderEpoch>,
}

/// The effect of a truncated log on a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// No effect, since a seek came first.
    Overtaken,
    /// Only records that were not read yet are gone.
    Unread,
    /// Records that were read are gone. Holds the position before.
    Read(Offset),
}

/// The state of a partition behind its lock.
#[derive(Debug)]
pub(super) struct PartitionState {
    /// The place to fetch next.
    pub(super) cursor: Cursor,
    /// Failures in a row, and the waits after them.
    pub(super) backoffs: Backoffs,
    /// Fetched batches that are not read yet.
    pub(super) inbox: Inbox,
    /// Delivered records and the position.
    pub(super) progress: Progress,
    /// The known ends of the log.
    pub(super) ends: LogEnds,
    /// The offset that the coordinator has, and the state of further commits.
    pub(super) commits: CommitState,
    /// The replica to read from.
    pub(super) replica: Replica,
    /// The reason why it cannot be fetched or its position not be looked up.
    pub(super) troubles: Troubles,
    /// The holders that keep it paused. Nothing is fetched while there is one.
    pub(super) pauses: Pauses,
    /// An error for the reader. Nothing is fetched until the reader has got it. `None` for no
    /// error.
    failure: Option<Error>,
    /// The counters that are read without the lock. [`publish`](Self::publish) follows each change.
    published: Arc<Published>,
}

impl PartitionState {
    /// Returns the state of a partition that is read from `start`.
    pub(super) fn new(start: FetchFrom, published: Arc<Published>) -> Self {
        Self {
            cursor: Cursor::new(start),
            backoffs: Backoffs::default(),
            inbox: Inbox::default(),
            progress: Progress::new(start.offset().unwrap_or(Offset::ZERO)),
            ends: LogEnds::new(),
            commits: CommitState::default(),
            replica: Replica::default(),
            troubles: Troubles::default(),
            pauses: Pauses::default(),
            failure: None,
            published,
        }
    }

    /// Shows the counters to those who read them without the lock.
    fn publish(&self) {
        let (turn, epoch) = (self.cursor.turn(), self.progress.epoch());
        self.published.publish(turn, epoch);
    }

    // Moving.

    /// Starts over at `to`. Drops the fetched batches, and delivered records no longer count once
    /// an offset is known.
    pub(super) fn restart(&mut self, to: FetchFrom) {
        self.drop_fetched();
        self.cursor.move_to(to, None);
        self.progress.forget();
        self.failure = None;
        self.backoffs.restart();
        if let Some(offset) = to.offset() {
            self.ends.are_fresh(Instant::now());
            self.progress.begin_at(offset);
            self.publish();
        }
    }

    /// Fetches again from `from`. Delivered records still count.
    fn restart_at(&mut self, from: Offset) {
        self.drop_fetched();
        let epoch = self.progress.epoch_of(from);
        self.cursor.move_to(FetchFrom::At(from), epoch);
    }

    /// Begins a new turn, so that all fetched batches and the batch in hand are stale.
    pub(super) fn drop_fetched(&mut self) {
        self.cursor.begin_turn();
        self.inbox.clear();
        self.progress.wait_no_more();
        self.published.hand_out_none();
        self.publish();
    }

    /// Moves to `to` because of a seek.
    pub(super) fn seek(&mut self, to: FetchFrom) {
        self.restart(to);
        // A seek may move backwards. The offset committed before must not stop the next commit.
        self.commits.begin_anew();
        self.backoffs.was_sought();
    }

    /// Sets the place that a lookup found. Returns false, and changes nothing, if a seek came
    /// first.
    pub(super) fn resolve(
        &mut self,
        turn: u64,
        to: FetchFrom,
        epoch: Option<LeaderEpoch>,
        partition: &TopicPartition,
    ) -> bool {
        if self.cursor.turn() != turn || self.cursor.offset().is_some() {
            return false;
        }
        // A position that is out of range again and again keeps its backoff.
        let quiet = self.backoffs.quiet_of_resets();
        self.restart(to);
        self.backoffs.be_quiet(quiet);
        self.cursor.move_to(to, epoch);
        self.troubles.end(partition);
        if to.offset().is_some() {
            self.cursor.reset_is_done();
        }
        true
    }

    /// Moves to `to` after a fetch at `at` was out of the log's range. Returns false if the fetch
    /// is stale or records before `at` are not read yet.
    pub(super) fn reset(
        &mut self,
        turn: u64,
        at: Offset,
        to: FetchFrom,
        quiet: impl FnOnce(u32) -> Instant,
    ) -> bool {
        if !self.cursor.is_at(turn, at) || self.inbox.has_unread() {
            return false;
        }
        self.restart(to);
        self.commits.begin_anew();
        self.cursor.is_reset_from(at);
        self.backoffs.was_reset(quiet);
        true
    }

    /// Moves to `to`, since the topic was created again. Returns the position in the old topic, or
    /// `None` if there was no known one.
    pub(super) fn made_again(&mut self, to: FetchFrom) -> Option<Offset> {
        self.absorb();
        self.cursor.offset()?;
        let from = self.progress.position();
        self.restart(to);
        self.commits.begin_anew();
        self.cursor.is_reset_from(from);
        Some(from)
    }

    /// Drops the fetched batches, since the log was truncated at `end`. If records that were read
    /// are gone, moves to `to`.
    pub(super) fn cut(
        &mut self,
        turn: u64,
        end: Option<Offset>,
        to: FetchFrom,
        quiet: impl FnOnce(u32) -> Instant,
    ) -> Cut {
        if self.cursor.turn() != turn || self.cursor.offset().is_none() {
            return Cut::Overtaken;
        }
        self.absorb();
        let read = self.progress.position();
        if end.is_some_and(|end| end >= read) {
            self.restart_at(read);
            if self.backoffs.was_cut(quiet) {
                // The broker said that its log holds all records that were read. A further check of
                // the epoch would only bring the same answer.
                self.cursor.move_to(FetchFrom::At(read), None);
            }
            return Cut::Unread;
        }
        self.restart(to);
        self.commits.begin_anew();
        Cut::Read(read)
    }

    // Fetching.

    /// Returns what to fetch next. `full` returns, for the size of the largest batch, how many
    /// waiting bytes are enough.
    pub(super) fn want(&mut self, now: Instant, full: impl FnOnce(usize) -> usize) -> Want {
        let FetchFrom::At(offset) = self.cursor.from() else {
            return Want::Nothing;
        };
        if self.pauses.is_paused() || self.failure.is_some() || self.backoffs.is_quiet(now) {
            return Want::Nothing;
        }
        let largest_batch = self.inbox.largest_batch();
        if self.inbox.queued() >= full(largest_batch) {
            return Want::Full;
        }
        // Records that lanes have not done yet hold memory too. It is freed as they finish, without
        // a further fetch.
        let is_done = self.progress.unsettled() <= FEW;
        self.progress.starve(!is_done);
        Want::Fetch(Wish {
            offset,
            turn: self.cursor.turn(),
            last_epoch: self.cursor.last_epoch(),
            largest_batch,
            is_empty: self.inbox.is_drained() && is_done,
        })
    }

    /// Takes the batches that a fetch returned. Returns false if a seek, a reset or a check of the
    /// position came first. Two answers for the same offset, from an old
    /// and a new leader, count once.
    pub(super) fn fetched(&mut self, turn: u64, fetched: FetchedChunk) -> bool {
        let FetchedChunk {
            from,
            chunk,
            next,
            epoch,
        } = fetched;
        if !self.cursor.is_at(turn, from) {
            return false;
        }
        self.cursor.advance(self.ends.bound(from, next), epoch);
        self.backoffs.is_whole();
        self.inbox.push(chunk);
        true
    }

    /// Applies what an answer says besides records. Ends backoffs and trouble, since the fetch
    /// succeeded.
    pub(super) fn note_ends(
        &mut self,
        largest_batch: usize,
        high_watermark: Option<Offset>,
        stable_end: Option<Offset>,
        partition: &TopicPartition,
    ) {
        self.inbox.note_largest(largest_batch);
        if self.is_read_to_the_end() {
            // New records may have come just now. The time before, without any to deliver, was no
            // standstill.
            self.progress.has_moved();
        }
        self.ends.note(high_watermark, stable_end);
        self.backoffs.fetch_is_well();
        self.troubles.end(partition);
    }

    /// Stores an error for the reader, unless one is stored already.
    pub(super) fn fail(&mut self, turn: u64, error: Error) {
        if self.cursor.turn() == turn && self.failure.is_none() {
            self.failure = Some(error);
        }
    }

    // Reading.

    /// Applies what a receiver has returned of the batch in hand to the position.
    pub(super) fn absorb(&mut self) {
        if self.inbox.is_in_hand()
            && let Some(handed) = self.published.handed()
        {
            self.progress.skip_to(handed);
        }
    }

    /// Returns true if a read would return something at once.
    pub(super) fn has_something(&self) -> bool {
        self.inbox.has_something(self.failure.is_some())
    }

    /// Takes the next batch to read, if one is there.
    pub(super) fn pull(&mut self) -> Pulled {
        let (turn, from) = (self.cursor.turn(), self.progress.position());
        let pulled = self.inbox.pull(turn, from, &mut self.failure);
        self.progress.skip_to(pulled.reached);
        if let Some(Given::Open(_) | Given::Closed(..)) = pulled.given {
            self.progress.has_moved();
            self.published.hand_out_none();
        }
        pulled
    }

    /// Takes back the rest of the batch in hand. Returns false if it is stale.
    pub(super) fn put_back(&mut self, opened: Opened) -> bool {
        let current = self.cursor.turn() == opened.turn;
        if current {
            self.inbox.put_back(opened);
        }
        current
    }

    /// Gives up the batch in hand, which cannot be read, and drops the batches after it. All is
    /// fetched again from the first unread record, after a wait.
    pub(super) fn spoiled(&mut self, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        self.absorb();
        let from = self.cursor.from();
        let epoch = self.progress.epoch_of(self.progress.position());
        self.restart_at(self.progress.position());
        if from.offset().is_none() {
            // Only a seek helps.
            self.cursor.move_to(from, epoch);
        }
        self.backoffs.was_spoiled(now, delay);
    }

    /// Notes that the batch in hand was read to its end.
    pub(super) fn let_go(&mut self) {
        self.inbox.let_go();
        self.backoffs.is_readable();
    }

    /// Returns true if a batch that ends at `next` can be believed. It must lie within the log and
    /// after the position.
    pub(super) fn believes(&self, next: Offset) -> bool {
        self.ends.may_hold(next) && next > self.progress.position()
    }

    // Committing.

    /// Returns the offset to commit. `None` if the coordinator has it already, or nothing can be
    /// committed.
    pub(super) fn next_commit(&mut self, partition: &TopicPartition) -> Option<Committable> {
        if self.cursor.offset().is_none() || self.commits.has_given_up() {
            return None;
        }
        self.absorb();
        let offset = self.progress.committable();
        if self.commits.holds(offset) {
            return None;
        }
        let epoch = self.progress.epoch_before(offset);
        Some(self.committable(partition, offset, epoch))
    }

    /// Returns `next`, the offset behind a record that is done, to commit it. `None` if that much
    /// is committed already or the record no longer counts.
    pub(super) fn commit_after(
        &mut self,
        partition: &TopicPartition,
        next: Offset,
        epoch: Option<LeaderEpoch>,
    ) -> Option<Committable> {
        self.absorb();
        // A record at or above the position was read before the partition was revoked and assigned
        // again. Its offset is another member's to commit.
        let known = self.cursor.offset().is_some() && next <= self.progress.position();
        let due = known && !self.commits.holds(next);
        due.then(|| self.committable(partition, next, epoch))
    }

    /// Returns an offset with the next number for commits.
    pub(super) fn committable(
        &mut self,
        partition: &TopicPartition,
        offset: Offset,
        epoch: Option<LeaderEpoch>,
    ) -> Committable {
        Committable {
            place: partition.clone(),
            offset,
            epoch,
            metadata: None,
            explicit: false,
            word: self.commits.next_word(),
        }
    }

    /// Returns true if records were done or handed out whose offsets are not committed.
    pub(super) fn is_ahead_of_commits(&mut self) -> bool {
        self.absorb();
        let done = self.progress.committable();
        let since = self.commits.committed().max(Some(self.progress.begun()));
        self.cursor.offset().is_some() && since.is_some_and(|since| done > since)
    }

    // Gauges.

    /// Returns true if all records up to the known end of the log are settled.
    fn is_read_to_the_end(&mut self) -> bool {
        self.absorb();
        let done = self.progress.committable();
        self.ends.readable().is_none_or(|end| end <= done)
    }

    /// Returns what must come next for a record to be delivered. `None` if one is with a handler,
    /// or none is left to deliver.
    pub(super) fn next_step(&self, by_lanes: bool) -> Option<NextStep> {
        if self.progress.oldest().is_some() {
            return None;
        }
        let here = if by_lanes {
            NextStep::Lane
        } else {
            NextStep::Program
        };
        match self.cursor.from() {
            // The reader gets an error and must seek.
            FetchFrom::Lookup(OffsetReset::None) => Some(here),
            FetchFrom::Committed | FetchFrom::Lookup(_) | FetchFrom::Unsure(..) => {
                Some(NextStep::Position)
            }
            FetchFrom::At(_) => {
                let done = self.progress.committable();
                let is_read = self.ends.readable().is_some_and(|end| end <= done);
                if self.failure.is_some() || (!is_read && self.inbox.has_unread()) {
                    Some(here)
                } else {
                    (!is_read).then_some(NextStep::Fetch)
                }
            }
        }
    }

    /// Returns the timestamp of the first unsettled record. For a record that is not delivered yet,
    /// the first timestamp of its batch.
    pub(super) fn first_unsettled(&self) -> Option<Timestamp> {
        match self.progress.oldest() {
            Some(delivered) => delivered.timestamp,
            None => self.inbox.time_of(self.progress.committable()),
        }
    }
}

/// The most unsettled records with which another batch may be fetched. So few hold little memory.
const FEW: usize = 1;

#[cfg(test)]
mod tests {
    use milena_core::ErrorKind;

    use super::*;

    fn state(start: FetchFrom) -> (PartitionState, Arc<Published>) {
        let published = Arc::new(Published::default());
        (
            PartitionState::new(start, Arc::clone(&published)),
            published,
        )
    }

    #[test]
    fn each_move_shows_its_turn_and_epoch_at_once() {
        let (mut state, published) = state(FetchFrom::At(5.into()));
        state.seek(FetchFrom::At(9.into()));
        assert_eq!((published.turn(), published.epoch()), (1, 1));
        state.seek(FetchFrom::Committed);
        assert_eq!((published.turn(), published.epoch()), (2, 1));
        assert!(state.resolve(
            2,
            FetchFrom::At(3.into()),
            None,
            &TopicPartition::new("orders", 0)
        ));
        assert_eq!((published.turn(), published.epoch()), (3, 2));
        assert_eq!(state.progress.position(), 3.into());
    }

    #[test]
    fn a_lookup_does_not_overtake_a_seek() {
        let (mut state, _) = state(FetchFrom::Committed);
        let place = TopicPartition::new("orders", 0);
        state.seek(FetchFrom::At(9.into()));
        assert!(!state.resolve(0, FetchFrom::At(3.into()), None, &place));
        assert!(!state.resolve(1, FetchFrom::At(3.into()), None, &place));
        assert_eq!(state.cursor.offset(), Some(9.into()));
    }

    #[test]
    fn a_truncation_above_the_position_keeps_it_and_one_below_moves_it() {
        let (mut state, _) = state(FetchFrom::At(5.into()));
        let to = FetchFrom::At(2.into());
        let quiet = |_| Instant::now();
        assert_eq!(state.cut(0, Some(7.into()), to, quiet), Cut::Unread);
        assert_eq!(state.cursor.offset(), Some(5.into()));
        assert_eq!(state.cut(0, Some(2.into()), to, quiet), Cut::Overtaken);
        assert_eq!(state.cut(1, Some(2.into()), to, quiet), Cut::Read(5.into()));
        assert_eq!(state.progress.position(), 2.into());
    }

    #[test]
    fn nothing_is_fetched_until_the_reader_has_got_an_error() {
        let (mut state, _) = state(FetchFrom::At(5.into()));
        let now = Instant::now();
        assert!(matches!(state.want(now, |_| 1), Want::Fetch(wish) if wish.is_empty));
        state.fail(0, Error::new(ErrorKind::State, "seek"));
        assert_eq!(state.want(now, |_| 1), Want::Nothing);
        assert!(state.has_something());
        assert!(matches!(state.pull().given, Some(Given::Bad(..))));
        state.let_go();
        assert!(matches!(state.want(now, |_| 1), Want::Fetch(_)));
    }
}
