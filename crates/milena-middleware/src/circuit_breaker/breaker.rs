//! The breaker. Holds one state for all lanes and routes that share it.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use milena_core::{
    BreakerPhase, ConsumerRecord, ErrorClass, Gate, Gauge, Gauges, Offset, TopicPartition,
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::sleep;

use super::window::{Rule, Window};

/// A handle to a breaker. Shows its state and its gate, and opens and closes it by hand. A clone
/// refers to the same breaker.
#[derive(Clone)]
pub struct CircuitBreaker(pub(super) Arc<SharedBreaker>);

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Records pass. Failures are counted.
    Closed,
    /// Records wait.
    Open,
    /// A few records pass as probes, to test whether the dependency is back.
    HalfOpen,
}

pub(super) struct SharedBreaker {
    /// The settings of the layer.
    pub(super) settings: Settings,
    /// The gate, closed while the breaker is open. Pauses the partitions of its routes.
    gate: Gate,
    /// The state, locked for each call unless `smooth` allows the fast path.
    state: Mutex<BreakerCore>,
    /// The fast path, read without the lock. Holds `term + 1` while the breaker is closed and a
    /// success changes nothing, and 0 otherwise. Written under the lock of `state`.
    smooth: AtomicU64,
    /// A counter that changes whenever a waiting lane may have a reason to ask for admission again.
    turns: watch::Sender<u64>,
}

#[derive(Clone)]
pub(super) struct Settings {
    /// The name of the dependency.
    pub(super) name: Arc<str>,
    /// The rule that opens the breaker.
    pub(super) rule: Rule,
    /// The time from opening to the first probe.
    pub(super) open_for: Duration,
    /// The successful probes that close the breaker. At least 1.
    pub(super) probes: u32,
    /// The successful calls of a slow start. 0 for no slow start.
    pub(super) slow_start: u32,
    /// The failed probes in a row that one record may have without using up an attempt. `None` for
    /// no limit.
    pub(super) probes_per_record: Option<u32>,
    /// Returns true for the classes of errors that count against the dependency.
    pub(super) counts: Arc<dyn Fn(ErrorClass) -> bool + Send + Sync>,
}

struct BreakerCore {
    /// The state as the user sees it.
    now: BreakerState,
    /// The latest calls, for the rule. Only used while closed.
    window: Window,
    /// The number of changes of `now`. A call that began in an earlier term does not count.
    term: u64,
    /// The probes under way while half open, or the limited calls under way in a slow start. Calls
    /// outside of these are not counted.
    out: u32,
    /// The calls that succeeded in this term, except those of the fast path.
    good: u32,
    /// True during a slow start, while the breaker is closed and only some calls run at once.
    slow: bool,
    /// True if opened by hand. Then only a call of `close` closes it.
    held: bool,
    /// The record whose probe failed last, with its probes in a row. `None` if that record is not
    /// known, or if no probe failed since the breaker opened.
    suspect: Option<Suspect>,
}

/// A record that may be the reason why a breaker stays open.
struct Suspect {
    /// The partition of the record.
    partition: TopicPartition,
    /// The offset of the record.
    offset: Offset,
    /// The failed probes of this record in a row.
    probes: u32,
}

/// A failed call, for the reason that the gate shows.
pub(super) struct Failed<'a> {
    /// The record. `None` if the call began in a time without failures, when records are not kept.
    pub(super) record: Option<&'a ConsumerRecord>,
    /// The error text.
    pub(super) why: &'a str,
}

/// The answer to a request for admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The call may begin at once.
    Free,
    /// The call may begin as a probe, or as one of the few of a slow start. It takes a place from
    /// other calls.
    Probe,
    /// The call must wait.
    Not,
}

/// The permission for one call. A probe that is dropped without an end gives its place back.
pub(super) struct BreakerPermit {
    /// The breaker that gave it.
    breaker: CircuitBreaker,
    /// The term in which it was given.
    term: u64,
    /// True if it takes a place among probes or the calls of a slow start.
    probe: bool,
    /// True once the end of the call was counted.
    used: bool,
}

/// The end of a call, as far as a breaker is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallEnd {
    Well,
    Badly,
    /// The end says nothing about the dependency.
    Neither,
}

impl CircuitBreaker {
    pub(super) fn new(settings: Settings) -> Self {
        let gate = Gate::new(format!("breaker:{}", settings.name));
        let state = BreakerCore {
            now: BreakerState::Closed,
            window: Window::new(settings.rule),
            term: 0,
            out: 0,
            good: 0,
            slow: false,
            held: false,
            suspect: None,
        };
        let smooth = AtomicU64::new(state.smooth());
        Self(Arc::new(SharedBreaker {
            settings,
            gate,
            state: Mutex::new(state),
            smooth,
            turns: watch::Sender::new(0),
        }))
    }

    /// Returns the name of the dependency.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// Returns the present state.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.0.state.lock().now
    }

    /// Returns the gate, which is closed while the breaker is open.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Opens the breaker by hand. Records wait until [`close`](Self::close) is called.
    pub fn hold_open(&self, reason: impl Into<milena_core::Reason>) {
        let mut state = self.0.state.lock();
        state.enter(BreakerState::Open);
        state.held = true;
        self.note(&state);
        self.0.gate.close(reason);
        drop(state);
        self.turn();
    }

    /// Closes the breaker by hand and forgets the failures counted so far.
    pub fn close(&self) {
        let mut state = self.0.state.lock();
        state.enter(BreakerState::Closed);
        self.note(&state);
        self.0.gate.open();
        drop(state);
        self.turn();
    }

    /// Returns true while calls of `term` pass freely and a success changes nothing. Never true for
    /// a term that is over.
    fn is_smooth(&self, term: u64) -> bool {
        self.0.smooth.load(Ordering::Acquire) == term + 1
    }

    /// Updates the fast path. Must be called after each change of the state, before the lock is
    /// released.
    fn note(&self, state: &BreakerCore) {
        self.0.smooth.store(state.smooth(), Ordering::Release);
    }

    /// Returns the admission that a call would get now.
    pub(super) fn admission(&self) -> Admission {
        if self.0.smooth.load(Ordering::Acquire) > 0 {
            return Admission::Free;
        }
        self.0.state.lock().admission(&self.0.settings)
    }

    /// Returns the permission for a call, or `None` if the call must wait.
    pub(super) fn admit(&self) -> Option<BreakerPermit> {
        let smooth = self.0.smooth.load(Ordering::Acquire);
        if let Some(term) = smooth.checked_sub(1) {
            return Some(BreakerPermit {
                term,
                probe: false,
                used: false,
                breaker: self.clone(),
            });
        }
        let mut state = self.0.state.lock();
        let probe = match state.admission(&self.0.settings) {
            Admission::Free => false,
            Admission::Probe => {
                state.out += 1;
                true
            }
            Admission::Not => return None,
        };
        Some(BreakerPermit {
            term: state.term,
            probe,
            used: false,
            breaker: self.clone(),
        })
    }

    pub(super) fn turns(&self) -> watch::Receiver<u64> {
        self.0.turns.subscribe()
    }

    fn turn(&self) {
        self.0.turns.send_modify(|turn| *turn += 1);
    }

    /// Counts the end of a call. Returns true if a failure uses up an attempt of its record.
    ///
    /// It does if the breaker is closed afterwards, or if it is open because of that record alone.
    fn ended(&self, term: u64, probe: bool, ended: CallEnd, failed: Option<&Failed<'_>>) -> bool {
        // The fast path. Nothing would change, so the lock is not taken.
        if !probe && ended != CallEnd::Badly && self.is_smooth(term) {
            return true;
        }
        let mut state = self.0.state.lock();
        // The breaker has changed since the call began, so the end says nothing about its present
        // state.
        if state.term != term {
            return state.now == BreakerState::Closed;
        }
        if probe {
            state.out -= 1;
        }
        match (state.now, ended) {
            (BreakerState::Closed, CallEnd::Well) => {
                state.good = state.good.saturating_add(1);
                state.slow &= state.good < self.0.settings.slow_start;
                state.window.note(false);
            }
            (BreakerState::Closed, CallEnd::Badly) => {
                if let Some(reason) = state.window.note(true) {
                    state.suspect = None;
                    let why = failed.map_or("", |failed| failed.why);
                    self.open(&mut state, format!("{reason}: {why}"));
                }
            }
            (BreakerState::HalfOpen, CallEnd::Well) => {
                state.good += 1;
                if state.good >= self.0.settings.probes {
                    state.enter(BreakerState::Closed);
                    state.slow = self.0.settings.slow_start > 0;
                    state.suspect = None;
                    tracing::info!(
                        breaker = self.name(),
                        "the breaker closed; the dependency is back"
                    );
                }
            }
            (BreakerState::HalfOpen, CallEnd::Badly) => {
                let mut reason = "the probe failed".to_owned();
                if let Some(failed) = failed {
                    state.suspect(failed);
                    let _ = write!(reason, ": {}", failed.why);
                }
                if let Some(suspect) = state.suspect.as_ref().filter(|known| known.probes > 1) {
                    let Suspect {
                        partition,
                        offset,
                        probes,
                    } = suspect;
                    let _ = write!(
                        reason,
                        "; {partition} at {offset} was the probe {probes} times in a row"
                    );
                }
                self.open(&mut state, reason);
            }
            (BreakerState::Open, _) | (_, CallEnd::Neither) => {}
        }
        // A place among the probes is free, or the state changed. A waiting lane may begin.
        let turned = probe || state.term != term;
        let counts = state.now == BreakerState::Closed
            || state.is_held_open_by(failed, self.0.settings.probes_per_record);
        self.note(&state);
        drop(state);
        if turned {
            self.turn();
        }
        counts
    }

    fn open(&self, state: &mut BreakerCore, reason: String) {
        state.enter(BreakerState::Open);
        tracing::warn!(breaker = self.name(), %reason, "the breaker opened; records wait for the dependency");
        self.0.gate.close(reason);
        // The breaker becomes half open by a timer. Other routes may wait for it even if no record
        // waits here.
        let (breaker, term) = (Arc::downgrade(&self.0), state.term);
        let open_for = self.0.settings.open_for;
        tokio::spawn(async move {
            sleep(open_for).await;
            if let Some(inner) = breaker.upgrade() {
                Self(inner).half_open(term);
            }
        });
    }

    fn half_open(&self, term: u64) {
        let mut state = self.0.state.lock();
        // The breaker was opened or closed again since, and a newer timer or the operator decides.
        if state.term != term || state.held {
            return;
        }
        state.enter(BreakerState::HalfOpen);
        self.note(&state);
        self.0.gate.open();
        drop(state);
        self.turn();
    }
}

impl BreakerCore {
    fn admission(&self, settings: &Settings) -> Admission {
        match self.now {
            BreakerState::Closed if !self.slow => Admission::Free,
            // A slow start. There may be one more call at once than have succeeded so far.
            BreakerState::Closed if self.out <= self.good => Admission::Probe,
            BreakerState::HalfOpen if self.out + self.good < settings.probes => Admission::Probe,
            BreakerState::Closed | BreakerState::HalfOpen | BreakerState::Open => Admission::Not,
        }
    }

    /// Remembers the record whose probe failed, and counts its failed probes in a row.
    fn suspect(&mut self, failed: &Failed<'_>) {
        let Some(record) = failed.record else {
            self.suspect = None;
            return;
        };
        match &mut self.suspect {
            Some(known) if known.is(record) => known.probes = known.probes.saturating_add(1),
            _ => {
                self.suspect = Some(Suspect {
                    partition: record.topic_partition(),
                    offset: record.offset,
                    probes: 1,
                });
            }
        }
    }

    /// Returns true if the failed record was the probe more often in a row than one record may be
    /// for free.
    fn is_held_open_by(&self, failed: Option<&Failed<'_>>, free: Option<u32>) -> bool {
        let Some((suspect, free)) = self.suspect.as_ref().zip(free) else {
            return false;
        };
        let record = failed.and_then(|failed| failed.record);
        suspect.probes > free && record.is_some_and(|record| suspect.is(record))
    }

    /// Computes [`SharedBreaker::smooth`].
    fn smooth(&self) -> u64 {
        let smooth = self.now == BreakerState::Closed && !self.slow && self.window.is_clean();
        if smooth { self.term + 1 } else { 0 }
    }

    fn enter(&mut self, now: BreakerState) {
        self.now = now;
        self.term += 1;
        self.window.clear();
        (self.out, self.good, self.held, self.slow) = (0, 0, false, false);
    }
}

impl Suspect {
    fn is(&self, record: &ConsumerRecord) -> bool {
        self.offset == record.offset
            && self.partition.partition == record.partition
            && self.partition.topic == record.topic
    }
}

impl BreakerPermit {
    /// Returns true if it takes a place from other calls.
    pub(super) fn is_probe(&self) -> bool {
        self.probe
    }

    /// Returns true if it was given in a time without failures.
    pub(super) fn is_smooth(&self) -> bool {
        self.breaker.is_smooth(self.term)
    }

    /// Returns true if it is valid in the breaker's present state.
    pub(super) fn is_current(&self) -> bool {
        self.breaker.is_smooth(self.term) || self.breaker.0.state.lock().term == self.term
    }

    /// Returns true if an error of `class` counts against the dependency.
    pub(super) fn counts(&self, class: ErrorClass) -> bool {
        (self.breaker.0.settings.counts)(class)
    }

    /// Counts the end of the call. Returns true if a failure uses up an attempt of its record.
    pub(super) fn end(mut self, ended: CallEnd, failed: Option<&Failed<'_>>) -> bool {
        self.used = true;
        self.breaker.ended(self.term, self.probe, ended, failed)
    }
}

impl Drop for BreakerPermit {
    fn drop(&mut self) {
        if !self.used && self.probe {
            self.breaker
                .ended(self.term, self.probe, CallEnd::Neither, None);
        }
    }
}

impl Gauges for CircuitBreaker {
    fn read(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
        sink(Gauge::Breaker {
            name: self.name(),
            state: match self.state() {
                BreakerState::Closed => BreakerPhase::Closed,
                BreakerState::HalfOpen => BreakerPhase::HalfOpen,
                BreakerState::Open => BreakerPhase::Open,
            },
        });
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("name", &self.name())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
