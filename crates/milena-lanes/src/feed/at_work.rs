//! The records and phases of a feed's lanes, to show what a record waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use milena_core::{Offset, RecordState, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The record and the phase of one lane. Only the lane writes it, with every record. It therefore
/// uses plain stores to memory of its own, and reads the clock only when it waits anyway.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct AtWork {
    /// The offset of the lane's record, or of the first one if it has several at once. -1 before
    /// the first record.
    first: AtomicI64,
    /// The offset of the lane's last record. The same as `first` if it has one.
    last: AtomicI64,
    /// The route of the record.
    route: AtomicUsize,
    /// The [`Phase`] of the lane.
    phase: AtomicU8,
    /// The time at which a hold of the record began or ended, in nanoseconds after `born`. 0 if the
    /// record was never held.
    since: AtomicI64,
    /// The time until which the record is held, in milliseconds since 1970.
    until: AtomicI64,
    /// The time at which the lane started.
    born: Instant,
}

/// The phases of a lane's work on a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The lane has no record.
    Idle,
    /// The lane waits until the service of the record's route is ready.
    Ready,
    /// The service works on it.
    Handler,
    /// The lane waits for the time until which the record is held.
    Held,
    /// The lane waits before the next attempt.
    Again,
}

/// A snapshot of a lane.
#[derive(Clone, Copy, Debug)]
pub struct LaneSnapshot {
    /// The phase of the lane.
    pub phase: Phase,
    /// The route of its record.
    pub route: usize,
    /// The time at which a hold of the record began or ended. `None` if it was never held.
    pub since: Option<Instant>,
    /// The time until which the record is held. Only meaningful in [`Phase::Held`].
    pub until: Timestamp,
}

impl LaneSnapshot {
    /// Returns what the lane's record waits for. `route` is the name of its route. `busy` is the
    /// number of lanes that have other records, and `clock` the wall-clock time.
    #[must_use]
    pub fn record_state(self, route: &str, busy: usize, clock: Timestamp) -> RecordState<'_> {
        match self.phase {
            Phase::Idle => RecordState::Queued { busy },
            Phase::Ready => RecordState::NotReady { route },
            Phase::Handler => RecordState::InHandler { route },
            Phase::Held => RecordState::Held {
                route,
                left: self.until.since(clock),
            },
            Phase::Again => RecordState::Retrying { route },
        }
    }
}

impl AtWork {
    fn new() -> Self {
        Self {
            first: AtomicI64::new(-1),
            last: AtomicI64::new(-1),
            route: AtomicUsize::new(0),
            phase: AtomicU8::new(Phase::Idle as u8),
            since: AtomicI64::new(0),
            until: AtomicI64::new(0),
            born: Instant::now(),
        }
    }

    /// Notes that the lane takes a record of `route`.
    pub(crate) fn takes(&self, offset: Offset, route: usize) {
        self.first.store(offset.to_wire(), Ordering::Relaxed);
        self.last.store(offset.to_wire(), Ordering::Relaxed);
        self.route.store(route, Ordering::Relaxed);
        self.since.store(0, Ordering::Relaxed);
        self.is_at(Phase::Ready);
    }

    /// Notes that the lane takes a further record together with the first.
    pub(crate) fn takes_too(&self, offset: Offset) {
        self.last.fetch_max(offset.to_wire(), Ordering::Relaxed);
    }

    /// Notes the phase of the lane.
    pub(crate) fn is_at(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Notes that a hold begins.
    pub(crate) fn holds(&self, until: Timestamp) {
        self.until.store(until.to_millis(), Ordering::Relaxed);
        self.mark();
        self.is_at(Phase::Held);
    }

    /// Notes that a hold ended.
    pub(crate) fn held(&self) {
        self.mark();
        self.is_at(Phase::Ready);
    }

    /// Sets `since` to now.
    fn mark(&self) {
        let nanos = i64::try_from(self.born.elapsed().as_nanos()).unwrap_or(i64::MAX);
        self.since.store(nanos.max(1), Ordering::Relaxed);
    }

    /// Returns true if the lane has the record at `offset`.
    fn has(&self, offset: Offset) -> bool {
        let (first, last) = (&self.first, &self.last);
        let (first, last) = (first.load(Ordering::Relaxed), last.load(Ordering::Relaxed));
        (first..=last).contains(&offset.to_wire())
    }

    /// Returns a snapshot.
    fn seen(&self) -> LaneSnapshot {
        let phase = match self.phase.load(Ordering::Relaxed) {
            p if p == Phase::Ready as u8 => Phase::Ready,
            p if p == Phase::Handler as u8 => Phase::Handler,
            p if p == Phase::Held as u8 => Phase::Held,
            p if p == Phase::Again as u8 => Phase::Again,
            _ => Phase::Idle,
        };
        let since = self.since.load(Ordering::Relaxed);
        let since = u64::try_from(since).ok().filter(|nanos| *nanos > 0);
        LaneSnapshot {
            phase,
            route: self.route.load(Ordering::Relaxed),
            since: since.and_then(|nanos| self.born.checked_add(Duration::from_nanos(nanos))),
            until: Timestamp::from_millis(self.until.load(Ordering::Relaxed)),
        }
    }
}

/// A lane's handle on its [`AtWork`]. When it is dropped, the lane counts as idle, however it
/// ended.
#[derive(Debug)]
pub(crate) struct LaneAtWork(Arc<AtWork>);

impl std::ops::Deref for LaneAtWork {
    type Target = AtWork;

    fn deref(&self) -> &AtWork {
        &self.0
    }
}

impl Drop for LaneAtWork {
    fn drop(&mut self) {
        self.0.is_at(Phase::Idle);
    }
}

/// The lanes of one feed.
#[derive(Debug, Default)]
pub(super) struct Workers(Mutex<Vec<Arc<AtWork>>>);

impl Workers {
    /// Adds a lane.
    pub(super) fn enter(&self) -> LaneAtWork {
        let lane = Arc::new(AtWork::new());
        self.0.lock().push(Arc::clone(&lane));
        LaneAtWork(lane)
    }

    /// Returns the lane that has the record at `offset`, and the number of lanes that have other
    /// records.
    pub(super) fn on(&self, offset: Offset) -> (Option<LaneSnapshot>, usize) {
        let lanes = self.0.lock();
        let busy = lanes.iter().filter(|lane| lane.seen().phase != Phase::Idle);
        let (mut found, mut others) = (None, 0);
        for lane in busy {
            if lane.has(offset) {
                found = Some(lane.seen());
            } else {
                others += 1;
            }
        }
        (found, others)
    }
}
