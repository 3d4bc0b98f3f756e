//! One assigned partition: where it is read, what was fetched and not yet read, what was delivered, and who holds it paused.

mod ahead;
mod at_work;
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

use milena_core::{CancelToken, Error, LeaderEpoch, Offset, Reason, Timestamp, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::batch::Opened;
use crate::chunk::Chunk;
use crate::epochs::EpochTrail;
use crate::offsets::OffsetTracker;
use crate::pauses::{Holder, Pause, Pauses};
use crate::settings::OffsetReset;
use crate::touched::{Mark, Touched};

use ahead::Ahead;
use at_work::Workers;
use commits::Commits;
use replica::Replica;
use trouble::Trouble;

pub(crate) use ahead::{Bad, BatchEnd, Closed};
pub(crate) use at_work::{LaneAtWork, Phase};
pub(crate) use commits::Committable;
pub(crate) use figures::{Oldest, batch_time};
pub(crate) use moving::Cut;
pub(crate) use reading::{Delivery, Given, Weight};

/// A partition of one assignment. Assigned again, it is a new one: whatever still refers to this one no longer counts.
pub(crate) struct Partition {
    place: TopicPartition,
    state: Mutex<State>,
    /// Told when there is something to read, or nothing more to come.
    readable: Notify,
    /// Told when the window has room again.
    room: Notify,
    /// As in the state, to be read without its lock.
    turn: Arc<AtomicU64>,
    /// Which deliveries count.
    epoch: Arc<AtomicU64>,
    /// How far a receiver has given out the batch in hand.
    handed: Arc<AtomicI64>,
    /// No record is dispatched any more; what runs may end.
    stopping: CancelToken,
    /// Nothing counts any more.
    fenced: AtomicBool,
    /// Given to handlers; cancelled when they must not go on.
    cancel: CancelToken,
    /// How many lanes work on it.
    lanes: watch::Sender<usize>,
    tasks: Mutex<Vec<AbortHandle>>,
    /// What its lanes are at.
    workers: Workers,
    /// Itself, for the lists below.
    me: Weak<Self>,
    wakes: Wakes,
    /// Whether the fetcher is to look at it.
    fetch_mark: Mark,
    /// Whether a receiver is to look at it.
    ready_mark: Mark,
    /// Whether its lanes were started.
    laned: AtomicBool,
}

/// Who is told when something of a partition changes.
#[derive(Clone, Default)]
pub(crate) struct Wakes {
    /// Wakes the fetcher.
    pub(crate) fetch: Arc<Notify>,
    /// Partitions that may have become fetchable.
    pub(crate) touched: Arc<Touched>,
    /// Partitions of which there may be something to receive.
    pub(crate) ready: Arc<Touched>,
}

struct State {
    place: Place,
    /// Counts seeks and resets: an answer or a batch from before one is dropped.
    turn: u64,
    turn_told: Arc<AtomicU64>,
    epoch_told: Arc<AtomicU64>,
    handed: Arc<AtomicI64>,
    queue: VecDeque<Chunk>,
    queued: usize,
    /// A batch that was given back, to be read next.
    front: Option<Opened>,
    /// Batches taken from the queue, in order, while they are being unpacked.
    ahead: VecDeque<Ahead>,
    /// How many batches openers have ever taken.
    taken: u64,
    /// Whether the openers will look for batches of this partition that wait for them.
    openers_told: bool,
    /// Somebody has a batch in hand: the next one is not given before it is passed or put back.
    in_hand: bool,
    /// How often in a row the place was found unreadable.
    spoiled: u32,
    last_epoch: Option<LeaderEpoch>,
    topic_id: Option<Uuid>,
    /// The newest leader's, as metadata told.
    leader_epoch: Option<LeaderEpoch>,
    largest_batch: usize,
    tracker: OffsetTracker,
    /// Someone waits until the tracker's window is below this.
    room_below: Option<usize>,
    epochs: EpochTrail,
    oldest: VecDeque<Delivered>,
    commits: Commits,
    /// Where it was begun, or moved to, last.
    begun: Offset,
    reset_from: Option<Offset>,
    replica: Replica,
    /// How often in a row an answer held less than a batch that would have fitted.
    cut_short: u32,
    high_watermark: Option<Offset>,
    stable_end: Option<Offset>,
    /// The batch in hand: one past it, and its first timestamp.
    hand: Option<(Offset, Option<Timestamp>)>,
    pauses: Pauses,
    failure: Option<Error>,
    quiet_until: Option<Instant>,
    failures: u32,
    /// When a record was last delivered, a batch given to a reader, or something waited for came: without a record under way it
    /// has stood still since.
    moved: Instant,
    /// Why it cannot be fetched, or its position not looked up; `None` once it could.
    trouble: Option<Trouble>,
    /// How often in a row the position was out of the log's range.
    resets: u32,
    /// It is asked for in a request of its own, and how often in a row no answer to that could be read.
    alone: Option<u32>,
    /// The fetcher waits for its records to be done.
    starved: bool,
    /// Until when its position is not looked up, and how often in a row that failed.
    lookup: (Option<Instant>, u32),
    /// When its leader told last where the log ends, or was asked; `None` before the first time.
    end_at: Option<Instant>,
}

/// A record that was delivered, and when.
struct Delivered {
    offset: Offset,
    since: Instant,
    timestamp: Option<Timestamp>,
}

/// Where a partition is fetched next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// As the group committed; not asked yet.
    Committed,
    /// To be looked up in the log.
    Lookup(OffsetReset),
    /// At this offset, once the leader says that its log still holds what was read before it, in this epoch.
    Unsure(Offset, LeaderEpoch),
    /// At this offset.
    At(Offset),
}

impl Place {
    /// The offset, where it is known.
    fn offset(self) -> Option<Offset> {
        match self {
            Self::At(offset) | Self::Unsure(offset, _) => Some(offset),
            Self::Committed | Self::Lookup(_) => None,
        }
    }
}

impl Partition {
    pub(crate) fn new(mut place: TopicPartition, start: Place, wakes: Wakes) -> Arc<Self> {
        let offset = start.offset().unwrap_or(Offset::ZERO);
        let turn = Arc::new(AtomicU64::new(0));
        let handed = Arc::new(AtomicI64::new(0));
        let epoch = Arc::new(AtomicU64::new(0));
        // Every record carries the name: a kept one is copied without a count that all lanes would share.
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
            state: Mutex::new(State {
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
            stopping: CancelToken::new(),
            fenced: AtomicBool::new(false),
            cancel: CancelToken::new(),
            lanes: watch::Sender::new(0),
            tasks: Mutex::new(Vec::new()),
            workers: Workers::default(),
        })
    }

    pub(crate) fn place(&self) -> &TopicPartition {
        &self.place
    }

    /// Has the fetcher look at it: it may have become fetchable.
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

    /// There may be something to read.
    pub(crate) fn tell_readable(&self) {
        self.wakes.ready.add(&self.me, &self.ready_mark);
        self.readable.notify_one();
    }

    /// Whether its lanes are to be started, which is so once.
    pub(crate) fn take_lanes(&self) -> bool {
        !self.laned.swap(true, Ordering::AcqRel)
    }

    // Positions.

    pub(crate) fn where_to_fetch(&self) -> (Place, u64) {
        let state = self.state.lock();
        (state.place, state.turn)
    }

    /// The next offset to deliver; `None` while it is being looked up.
    pub(crate) fn position(&self) -> Option<Offset> {
        let mut state = self.state.lock();
        state.absorb();
        state.place.offset().map(|_| state.tracker.position())
    }

    /// Moves to `place`, dropping what was fetched: a seek.
    pub(crate) fn go_to(&self, place: Place) {
        let mut state = self.state.lock();
        state.restart(place);
        // A seek is the one way backwards: what was committed before it does not stop the next commit.
        state.commits.begin_anew();
        state.resets = 0;
        drop(state);
        self.touch();
        self.readable.notify_waiters();
        self.room.notify_one();
    }

    /// The answer to a lookup; one that a seek has overtaken changes nothing and gives `false`.
    pub(crate) fn resolve(&self, turn: u64, place: Place, epoch: Option<LeaderEpoch>) -> bool {
        let mut state = self.state.lock();
        if state.turn != turn || state.place.offset().is_some() {
            return false;
        }
        // A position that was out of range time after time waits as long as before.
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

    /// The offset that was out of range, while its successor is looked up.
    pub(crate) fn reset_from(&self) -> Option<Offset> {
        self.state.lock().reset_from
    }

    /// The log does not hold the offset at which it was fetched: it is to be looked up anew, once what was fetched before is read.
    /// Returns `false` when the fetch is out of date. Where that happens again, nothing is asked before `quiet` gives, for the number of
    /// times in a row.
    pub(crate) fn reset(
        &self,
        turn: u64,
        at: Offset,
        to: Place,
        quiet: impl FnOnce(u32) -> Instant,
    ) -> bool {
        let mut state = self.state.lock();
        if state.turn != turn || state.place != Place::At(at) || state.has_unread() {
            return false;
        }
        state.restart(to);
        state.commits.begin_anew();
        state.reset_from = Some(at);
        state.quiet_until = (state.resets > 0).then(|| quiet(state.resets - 1));
        state.resets = state.resets.saturating_add(1);
        true
    }

    // Standing still.

    /// What was waited for has come: it has not stood still until now.
    pub(crate) fn has_moved(&self) {
        self.state.lock().moved = Instant::now();
    }

    /// Takes on a lane.
    pub(crate) fn lane_at_work(&self) -> LaneAtWork {
        self.workers.enter()
    }

    // Pausing.

    /// `by` holds it paused; `true` when that is news.
    pub(crate) fn pause(&self, by: &Holder, reason: Reason) -> bool {
        let news = self.state.lock().pauses.hold(by.clone(), reason);
        self.touch();
        news
    }

    /// `by` lets go; `true` when nobody holds it any more.
    pub(crate) fn resume(&self, by: &Holder) -> bool {
        let last = self.state.lock().pauses.release(by);
        self.touch();
        self.tell_readable();
        last
    }

    /// Who holds it paused.
    pub(crate) fn pauses(&self) -> Vec<Pause> {
        self.state.lock().pauses.told(&self.place)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.state.lock().pauses.is_paused()
    }

    pub(crate) fn is_paused_by(&self, by: &Holder) -> bool {
        self.state.lock().pauses.is_held_by(by)
    }
}

impl State {
    fn restart(&mut self, place: Place) {
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

    /// Fetches again from `from`; what was delivered stays delivered.
    fn restart_at(&mut self, from: Offset) {
        self.drop_fetched();
        self.place = Place::At(from);
        self.last_epoch = self.epochs.of(from);
    }

    /// Notes what a receiver has given out of the batch in hand.
    fn absorb(&mut self) {
        if self.in_hand
            && let Some(handed) = Offset::from_wire(self.handed.load(Ordering::Acquire))
        {
            self.tracker.skip_to(handed);
        }
    }

    /// Whether something that was fetched is not yet read, or is being read.
    fn has_unread(&self) -> bool {
        self.in_hand || self.front.is_some() || !self.ahead.is_empty() || !self.queue.is_empty()
    }

    /// A new turn: whatever was fetched or is in hand is out of date.
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
