//! What the lanes of a partition are at, for whoever asks what a record waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use milena_core::{Offset, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;

/// What one lane is at. Written by the lane alone, with every record: plain stores to memory of its own, and the clock is read only
/// where something is waited for anyway.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct AtWork {
    /// The record; several, up to `last`, where they are taken together.
    first: AtomicI64,
    last: AtomicI64,
    route: AtomicUsize,
    phase: AtomicU8,
    /// When a hold of the record began or ended, in nanoseconds after `born`, and 0 where it was never held.
    since: AtomicI64,
    /// Until when it is held, in milliseconds since 1970.
    until: AtomicI64,
    born: Instant,
}

/// What a lane does with its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has none.
    Idle,
    /// It waits until the service of the record's route is ready.
    Ready,
    /// The service works on it.
    Handler,
    /// It waits for the record's time.
    Held,
    /// It waits before the next attempt.
    Again,
}

/// What was seen of a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) phase: Phase,
    pub(crate) route: usize,
    /// When a hold of the record began or ended.
    pub(crate) since: Option<Instant>,
    /// Until when it is held.
    pub(crate) until: Timestamp,
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

    /// The lane takes a record of `route`.
    pub(crate) fn takes(&self, offset: Offset, route: usize) {
        self.first.store(offset.to_wire(), Ordering::Relaxed);
        self.last.store(offset.to_wire(), Ordering::Relaxed);
        self.route.store(route, Ordering::Relaxed);
        self.since.store(0, Ordering::Relaxed);
        self.is_at(Phase::Ready);
    }

    /// The lane takes a further record together with the first.
    pub(crate) fn takes_too(&self, offset: Offset) {
        self.last.fetch_max(offset.to_wire(), Ordering::Relaxed);
    }

    pub(crate) fn is_at(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// A hold begins.
    pub(crate) fn holds(&self, until: Timestamp) {
        self.until.store(until.to_millis(), Ordering::Relaxed);
        self.mark();
        self.is_at(Phase::Held);
    }

    /// A hold ended.
    pub(crate) fn held(&self) {
        self.mark();
        self.is_at(Phase::Ready);
    }

    fn mark(&self) {
        let nanos = i64::try_from(self.born.elapsed().as_nanos()).unwrap_or(i64::MAX);
        self.since.store(nanos.max(1), Ordering::Relaxed);
    }

    fn has(&self, offset: Offset) -> bool {
        let (first, last) = (&self.first, &self.last);
        let (first, last) = (first.load(Ordering::Relaxed), last.load(Ordering::Relaxed));
        (first..=last).contains(&offset.to_wire())
    }

    fn seen(&self) -> Seen {
        let phase = match self.phase.load(Ordering::Relaxed) {
            p if p == Phase::Ready as u8 => Phase::Ready,
            p if p == Phase::Handler as u8 => Phase::Handler,
            p if p == Phase::Held as u8 => Phase::Held,
            p if p == Phase::Again as u8 => Phase::Again,
            _ => Phase::Idle,
        };
        let since = self.since.load(Ordering::Relaxed);
        let since = u64::try_from(since).ok().filter(|nanos| *nanos > 0);
        Seen {
            phase,
            route: self.route.load(Ordering::Relaxed),
            since: since.and_then(|nanos| self.born.checked_add(Duration::from_nanos(nanos))),
            until: Timestamp::from_millis(self.until.load(Ordering::Relaxed)),
        }
    }
}

/// One lane's hold of its [`AtWork`]; idle once it is dropped, however the lane ended.
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

/// The lanes of one partition.
#[derive(Debug, Default)]
pub(super) struct Workers(Mutex<Vec<Arc<AtWork>>>);

impl Workers {
    pub(super) fn enter(&self) -> LaneAtWork {
        let lane = Arc::new(AtWork::new());
        self.0.lock().push(Arc::clone(&lane));
        LaneAtWork(lane)
    }

    /// Returns the lane that has the record, and how many lanes have others.
    pub(super) fn on(&self, offset: Offset) -> (Option<Seen>, usize) {
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
