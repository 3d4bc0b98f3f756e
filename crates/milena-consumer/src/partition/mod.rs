//! One assigned partition. It has the position, the fetched batches that are not read yet, the
//! records that were delivered, and the holders of pauses.

mod ahead;
mod commits;
mod ending;
mod fetching;
mod figures;
mod looking;
mod moving;
mod reading;
mod replica;
mod trouble;

pub(crate) use fetching::{Want, Wish};

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use milena_core::{Error, LeaderEpoch, Offset, OffsetReset, Reason, Timestamp, TopicPartition};
use milena_fetch::{Chunk, Opened};
use milena_lanes::{Dispatch, OffsetTracker, Pause, PauseHolder, Pauses};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use crate::epochs::EpochTrail;
use crate::touched::{Mark, Touched};

use ahead::Ahead;
use commits::Commits;
use replica::Replica;
use trouble::Trouble;

pub(crate) use commits::Committable;
pub(crate) use figures::Oldest;
pub(crate) use moving::Cut;
pub(crate) use reading::{Delivery, Given};

/// A partition of one assignment. If it is assigned again, a new value is made, and work that still
/// refers to the old one no longer counts.
pub(crate) struct Partition {
    /// Topic and number.
    place: TopicPartition,
    /// Everything that changes together. Held for short times, never across an await.
    state: Mutex<PartitionState>,
    /// Wakes the lane that reads when there may be something to read or the partition is to end.
    readable: Notify,
    /// Wakes a lane that waits until the window has room.
    room: Notify,
    /// A copy of `PartitionState::turn`, to be read without the lock. Only the state writes it.
    turn: Arc<AtomicU64>,
    /// A copy of the tracker's epoch, to be read without the lock. Tickets with another epoch no
    /// longer count. Only the state writes it.
    epoch: Arc<AtomicU64>,
    /// One past the last record of the current batch that a receiver returned. 0 if there is none.
    /// Receivers write it without the lock, and `PartitionState::absorb` applies it.
    handed: Arc<AtomicI64>,
    /// The state of its lanes. Receivers read it too, to see if dispatch has stopped.
    dispatch: Dispatch,
    /// True once the partition is no longer owned. Nothing that is done with its records counts
    /// then.
    fenced: AtomicBool,
    /// This partition itself, to be added to the lists in `wakes`.
    me: Weak<Self>,
    /// The tasks to wake when something changes.
    wakes: Wakes,
    /// True while this is in the list of the fetcher.
    fetch_mark: Mark,
    /// True while this is in the list of the receivers.
    ready_mark: Mark,
    /// True once its lanes were started. They start once.
    laned: AtomicBool,
}

/// Signals to wake the consumer's tasks when something of a partition changes.
#[derive(Clone, Default)]
pub(crate) struct Wakes {
    /// Wakes the fetcher.
    pub(crate) fetch: Arc<Notify>,
    /// Partitions that may have become fetchable.
    pub(crate) touched: Arc<Touched<Partition>>,
    /// Partitions of which there may be something to receive.
    pub(crate) ready: Arc<Touched<Partition>>,
}

/// The state of a partition behind its lock.
struct PartitionState {
    /// The place to fetch next.
    place: FetchFrom,
    /// Counts the times that fetched batches became stale, such as by a seek, a reset or a
    /// truncated log. An answer or a batch with another turn is dropped.
    turn: u64,
    /// The copy of `turn` that is read without the lock.
    turn_told: Arc<AtomicU64>,
    /// The copy of the tracker's epoch that is read without the lock.
    epoch_told: Arc<AtomicU64>,
    /// The same value as `Partition::handed`.
    handed: Arc<AtomicI64>,
    /// Fetched chunks that are not read to their end, oldest first.
    queue: VecDeque<Chunk>,
    /// The bytes in `queue`. Each chunk counts until it is read to its end.
    queued: usize,
    /// A batch that a reader put back. It is read next. `None` if there is none.
    front: Option<Opened>,
    /// Batches taken out of `queue`, in order, while they are unpacked. They are read before
    /// `queue`.
    ahead: VecDeque<Ahead>,
    /// The number of batches that openers have ever taken. It numbers them.
    taken: u64,
    /// True while the openers have this partition on their list, from when a batch waits for one
    /// until an opener finds none.
    openers_told: bool,
    /// True while a reader has a batch in hand. The next batch is not given out before that one is
    /// passed or put back.
    in_hand: bool,
    /// The number of times in a row that the batch at this place could not be read.
    spoiled: u32,
    /// The leader epoch of the last batch that was fetched, with which a fetch and a check of the
    /// position detect a truncated log. `None` if it is unknown.
    last_epoch: Option<LeaderEpoch>,
    /// The id of the topic, from metadata. `None` until it is known. Another id means that the
    /// topic was created again.
    topic_id: Option<Uuid>,
    /// The highest leader epoch that metadata has shown. `None` until one is known.
    leader_epoch: Option<LeaderEpoch>,
    /// The size in bytes of the largest batch in recent answers. At most halved per answer, raised
    /// while answers are too small for one batch, and 0 before the first answer.
    largest_batch: usize,
    /// Delivered records and the offset that may be committed.
    tracker: OffsetTracker,
    /// The size below which the tracker's window must shrink before a waiting lane continues.
    /// `None` if no lane waits.
    room_below: Option<usize>,
    /// Leader epochs of the records that were read, for commits.
    epochs: EpochTrail,
    /// Delivered records from the oldest unsettled one on, in order.
    oldest: VecDeque<Delivered>,
    /// The offset that the coordinator has, and the state of further commits.
    commits: Commits,
    /// The offset at which reading last started, or to which it was moved. Records from here on
    /// need a commit.
    begun: Offset,
    /// The position that was out of range, until its replacement is found. `None` otherwise.
    reset_from: Option<Offset>,
    /// The replica to read from.
    replica: Replica,
    /// The number of answers in a row that held less than one batch, though the batch would have
    /// fitted.
    cut_short: u32,
    /// The high watermark from the latest answer. `None` before the first one.
    high_watermark: Option<Offset>,
    /// The last stable offset from the latest answer. `None` before the first one and with
    /// read_uncommitted.
    stable_end: Option<Offset>,
    /// The batch that was last in hand, as the offset behind it and its first timestamp. `None`
    /// once fetched batches became stale.
    hand: Option<(Offset, Option<Timestamp>)>,
    /// The holders that keep it paused. Nothing is fetched while there is one.
    pauses: Pauses,
    /// An error for the reader. Nothing is fetched until the reader has got it. `None` for no
    /// error.
    failure: Option<Error>,
    /// The time before which it is not fetched, after a failure. `None` for no wait.
    quiet_until: Option<Instant>,
    /// The number of failed fetches and truncations in a row, for the backoff.
    failures: u32,
    /// The time when a record was last delivered, a batch given to a reader, or an awaited answer
    /// came. If no record is with a handler, the partition has stood still since.
    moved: Instant,
    /// The reason why it cannot be fetched or its position not be looked up. `None` once that
    /// worked again.
    trouble: Option<Trouble>,
    /// The number of times in a row that the position was out of the log's range.
    resets: u32,
    /// The number of answers in a row to a fetch of this partition alone that could not be read.
    /// `None` while it is fetched together with others.
    alone: Option<u32>,
    /// True while the fetcher waits for its records to be settled, which frees memory.
    starved: bool,
    /// The time before which its position is not looked up, and the number of failed lookups in a
    /// row.
    lookup: (Option<Instant>, u32),
    /// The time when its log end was last reported or asked for, or when reading started here. The
    /// first fetch after a start reports the end by itself.
    end_at: Option<Instant>,
}

/// A delivered record.
struct Delivered {
    /// The offset of the record.
    offset: Offset,
    /// The time of the delivery.
    since: Instant,
    /// The record's timestamp. `None` if it has none.
    timestamp: Option<Timestamp>,
}

/// The place at which a partition is fetched next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchFrom {
    /// The committed offset of the group, which is not known yet.
    Committed,
    /// An offset that must be looked up in the log. [`OffsetReset::None`] stands for an error that
    /// only a seek ends.
    Lookup(OffsetReset),
    /// This offset, once the leader confirms that its log still holds the record before it, which
    /// was read in this epoch.
    Unsure(Offset, LeaderEpoch),
    /// This offset.
    At(Offset),
}

impl FetchFrom {
    /// Returns the offset. `None` if it must be looked up.
    fn offset(self) -> Option<Offset> {
        match self {
            Self::At(offset) | Self::Unsure(offset, _) => Some(offset),
            Self::Committed | Self::Lookup(_) => None,
        }
    }
}

impl Partition {
    /// Returns a partition that is read from `start`.
    pub(crate) fn new(mut place: TopicPartition, start: FetchFrom, wakes: Wakes) -> Arc<Self> {
        let offset = start.offset().unwrap_or(Offset::ZERO);
        let turn = Arc::new(AtomicU64::new(0));
        let handed = Arc::new(AtomicI64::new(0));
        let epoch = Arc::new(AtomicU64::new(0));
        // Every record carries the topic's name. A name that is kept for ever is copied without a
        // reference count, for which all lanes would contend.
        place.topic = place.topic.keep();
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            wakes,
            fetch_mark: Mark::default(),
            ready_mark: Mark::default(),
            laned: AtomicBool::new(false),
            place,
            turn: Arc::clone(&turn),
            handed: Arc::clone(&handed),
            epoch: Arc::clone(&epoch),
            state: Mutex::new(PartitionState {
                place: start,
                turn: 0,
                turn_told: turn,
                epoch_told: epoch,
                handed,
                queue: VecDeque::new(),
                queued: 0,
                front: None,
                ahead: VecDeque::new(),
                taken: 0,
                openers_told: false,
                in_hand: false,
                spoiled: 0,
                last_epoch: None,
                topic_id: None,
                leader_epoch: None,
                largest_batch: 0,
                tracker: OffsetTracker::new(offset),
                room_below: None,
                epochs: EpochTrail::default(),
                oldest: VecDeque::new(),
                commits: Commits::default(),
                begun: offset,
                reset_from: None,
                replica: Replica::default(),
                cut_short: 0,
                high_watermark: None,
                stable_end: None,
                hand: None,
                pauses: Pauses::default(),
                failure: None,
                quiet_until: None,
                failures: 0,
                moved: Instant::now(),
                trouble: None,
                resets: 0,
                alone: None,
                starved: false,
                lookup: (None, 0),
                end_at: Some(Instant::now()),
            }),
            readable: Notify::new(),
            room: Notify::new(),
            dispatch: Dispatch::new(),
            fenced: AtomicBool::new(false),
        })
    }

    pub(crate) fn place(&self) -> &TopicPartition {
        &self.place
    }

    /// Makes the fetcher look at this partition, since it may have become fetchable.
    pub(crate) fn touch(&self) {
        self.wakes.touched.add(&self.me, &self.fetch_mark);
        self.wakes.fetch.notify_one();
    }

    pub(crate) fn fetch_mark(&self) -> &Mark {
        &self.fetch_mark
    }

    pub(crate) fn ready_mark(&self) -> &Mark {
        &self.ready_mark
    }

    /// Wakes lanes and receivers, since there may be something to read.
    pub(crate) fn tell_readable(&self) {
        self.wakes.ready.add(&self.me, &self.ready_mark);
        self.readable.notify_one();
    }

    /// Returns true for the first call, whose caller must start the lanes.
    pub(crate) fn take_lanes(&self) -> bool {
        !self.laned.swap(true, Ordering::AcqRel)
    }

    /// Returns the place to fetch next, and the current turn.
    pub(crate) fn where_to_fetch(&self) -> (FetchFrom, u64) {
        let state = self.state.lock();
        (state.place, state.turn)
    }

    /// Returns the next offset to deliver. `None` while it is looked up.
    pub(crate) fn position(&self) -> Option<Offset> {
        let mut state = self.state.lock();
        state.absorb();
        state.place.offset().map(|_| state.tracker.position())
    }

    /// Moves to `place` and drops the fetched batches. This is a seek.
    pub(crate) fn go_to(&self, place: FetchFrom) {
        let mut state = self.state.lock();
        state.restart(place);
        // A seek may move backwards. The offset committed before must not stop the next commit.
        state.commits.begin_anew();
        state.resets = 0;
        drop(state);
        self.touch();
        self.readable.notify_waiters();
        self.room.notify_one();
    }

    /// Sets the place that a lookup found. Returns false, and changes nothing, if a seek came
    /// first.
    pub(crate) fn resolve(&self, turn: u64, place: FetchFrom, epoch: Option<LeaderEpoch>) -> bool {
        let mut state = self.state.lock();
        if state.turn != turn || state.place.offset().is_some() {
            return false;
        }
        // A position that is out of range again and again keeps its backoff.
        let quiet = state.quiet_until.filter(|_| state.resets > 0);
        state.restart(place);
        state.quiet_until = quiet;
        state.last_epoch = epoch;
        state.is_well(&self.place);
        if place.offset().is_some() {
            state.reset_from = None;
        }
        drop(state);
        self.touch();
        true
    }

    /// Returns the offset that was out of range. `None` once its replacement is found.
    pub(crate) fn reset_from(&self) -> Option<Offset> {
        self.state.lock().reset_from
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
        let mut state = self.state.lock();
        if state.turn != turn || state.place != FetchFrom::At(at) || state.has_unread() {
            return false;
        }
        state.restart(to);
        state.commits.begin_anew();
        state.reset_from = Some(at);
        // The first reset is immediate. A repeated one, as from a broker that answers wrongly,
        // waits.
        state.quiet_until = (state.resets > 0).then(|| quiet(state.resets - 1));
        state.resets = state.resets.saturating_add(1);
        true
    }

    /// Notes that an awaited answer has come, so that the partition does not count as standing
    /// still before now.
    pub(crate) fn has_moved(&self) {
        self.state.lock().moved = Instant::now();
    }

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

    pub(crate) fn is_paused(&self) -> bool {
        self.state.lock().pauses.is_paused()
    }

    pub(crate) fn is_paused_by(&self, by: &PauseHolder) -> bool {
        self.state.lock().pauses.is_held_by(by)
    }
}

impl PartitionState {
    /// Starts over at `place`. Drops the fetched batches, and delivered records no longer count
    /// once an offset is known.
    fn restart(&mut self, place: FetchFrom) {
        self.drop_fetched();
        self.place = place;
        self.oldest.clear();
        self.moved = Instant::now();
        self.epochs.clear();
        self.failure = None;
        self.quiet_until = None;
        self.lookup = (None, 0);
        self.spoiled = 0;
        if let Some(offset) = place.offset() {
            self.begun = offset;
            self.end_at = Some(Instant::now());
            self.tracker.restart(offset);
            self.epoch_told
                .store(self.tracker.epoch(), Ordering::Release);
        }
    }

    /// Fetches again from `from`. Delivered records still count.
    fn restart_at(&mut self, from: Offset) {
        self.drop_fetched();
        self.place = FetchFrom::At(from);
        self.last_epoch = self.epochs.of(from);
    }

    /// Applies what a receiver has returned of the batch in hand to the tracker.
    fn absorb(&mut self) {
        if self.in_hand
            && let Some(handed) = Offset::from_wire(self.handed.load(Ordering::Acquire))
        {
            self.tracker.skip_to(handed);
        }
    }

    /// Returns true if fetched batches are not read yet or are being read.
    fn has_unread(&self) -> bool {
        self.in_hand || self.front.is_some() || !self.ahead.is_empty() || !self.queue.is_empty()
    }

    /// Begins a new turn, so that all fetched batches and the batch in hand are stale.
    fn drop_fetched(&mut self) {
        self.turn += 1;
        self.turn_told.store(self.turn, Ordering::Release);
        self.queue.clear();
        self.queued = 0;
        self.front = None;
        self.ahead.clear();
        self.in_hand = false;
        self.handed.store(0, Ordering::Release);
        self.hand = None;
        self.room_below = None;
        self.last_epoch = None;
    }
}
