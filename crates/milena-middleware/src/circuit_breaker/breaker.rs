//! The breaker itself: one state for all who share it.

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

/// A handle on a breaker: its state, its gate, and the hand that opens and closes it. A clone is the same breaker.
#[derive(Clone)]
pub struct CircuitBreaker(pub(super) Arc<Inner>);

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Records pass.
    Closed,
    /// Records wait.
    Open,
    /// A few records pass to see whether the dependency is back.
    HalfOpen,
}

pub(super) struct Inner {
    pub(super) settings: Settings,
    gate: Gate,
    state: Mutex<State>,
    /// The term plus one while calls pass freely and nothing that went well changes anything, else 0: asked before the lock.
    smooth: AtomicU64,
    /// Changes whenever someone who waits may have a reason to look again.
    turns: watch::Sender<u64>,
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) name: Arc<str>,
    pub(super) rule: Rule,
    pub(super) open_for: Duration,
    pub(super) probes: u32,
    pub(super) slow_start: u32,
    /// How many times in a row a record may be the probe without using up an attempt; `None` without a limit.
    pub(super) probes_per_record: Option<u32>,
    pub(super) counts: Arc<dyn Fn(ErrorClass) -> bool + Send + Sync>,
}

struct State {
    now: BreakerState,
    window: Window,
    /// Counts changes of `now`, so that a late call of an earlier state counts nothing.
    term: u64,
    /// Half open or starting slowly: calls under way, and those that went well.
    out: u32,
    good: u32,
    /// Closed, and only some calls at once.
    slow: bool,
    /// Opened by hand: only a hand closes it.
    held: bool,
    /// The record that was the probe since it opened, as long as it was always the same.
    suspect: Option<Suspect>,
}

/// A record that may be what keeps a breaker open.
struct Suspect {
    partition: TopicPartition,
    offset: Offset,
    /// How many probes in a row it was.
    probes: u32,
}

/// A call that ended badly, for those who are told why records wait.
pub(super) struct Failed<'a> {
    /// `None` where it was the first after a time without failures.
    pub(super) record: Option<&'a ConsumerRecord>,
    pub(super) why: &'a str,
}

/// Whether a call may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// At once.
    Free,
    /// As a probe, or as one of the few of a slow start: it takes a place from others.
    Probe,
    /// Not now.
    Not,
}

/// The right to one call; given back when dropped without an end.
pub(super) struct Permit {
    breaker: CircuitBreaker,
    term: u64,
    probe: bool,
    used: bool,
}

/// How a call ended, as far as a breaker is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Well,
    Badly,
    /// It says nothing about the dependency.
    Neither,
}

impl CircuitBreaker {
    pub(super) fn new(settings: Settings) -> Self {
        let gate = Gate::new(format!("breaker:{}", settings.name));
        let state = State {
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
        Self(Arc::new(Inner {
            settings,
            gate,
            state: Mutex::new(state),
            smooth,
            turns: watch::Sender::new(0),
        }))
    }

    /// The name of the dependency.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// Its state now.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.0.state.lock().now
    }

    /// Its gate, closed while the breaker is open.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Opens it by hand: records wait until [`close`](Self::close).
    pub fn hold_open(&self, reason: impl Into<milena_core::Reason>) {
        let mut state = self.0.state.lock();
        state.enter(BreakerState::Open);
        state.held = true;
        self.note(&state);
        self.0.gate.close(reason);
        drop(state);
        self.turn();
    }

    /// Closes it by hand, whatever it has counted.
    pub fn close(&self) {
        let mut state = self.0.state.lock();
        state.enter(BreakerState::Closed);
        self.note(&state);
        self.0.gate.open();
        drop(state);
        self.turn();
    }

    /// Whether calls of that term pass freely, and those that go well change nothing. Never true of a term that is over.
    fn is_smooth(&self, term: u64) -> bool {
        self.0.smooth.load(Ordering::Acquire) == term + 1
    }

    /// To be called with each change of the state, before the lock is let go.
    fn note(&self, state: &State) {
        self.0.smooth.store(state.smooth(), Ordering::Release);
    }

    /// Whether a call could begin now.
    pub(super) fn admission(&self) -> Admission {
        if self.0.smooth.load(Ordering::Acquire) > 0 {
            return Admission::Free;
        }
        self.0.state.lock().admission(&self.0.settings)
    }

    /// The right to a call, or `None` where it is to be waited for.
    pub(super) fn admit(&self) -> Option<Permit> {
        let smooth = self.0.smooth.load(Ordering::Acquire);
        if let Some(term) = smooth.checked_sub(1) {
            return Some(Permit {
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
        Some(Permit {
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

    /// Whether a failure uses up an attempt of its record: where the breaker is closed after it, or open because of that record alone.
    fn ended(&self, term: u64, probe: bool, ended: Ended, failed: Option<&Failed<'_>>) -> bool {
        if !probe && ended != Ended::Badly && self.is_smooth(term) {
            return true;
        }
        let mut state = self.0.state.lock();
        if state.term != term {
            return state.now == BreakerState::Closed;
        }
        if probe {
            state.out -= 1;
        }
        match (state.now, ended) {
            (BreakerState::Closed, Ended::Well) => {
                state.good = state.good.saturating_add(1);
                state.slow &= state.good < self.0.settings.slow_start;
                state.window.note(false);
            }
            (BreakerState::Closed, Ended::Badly) => {
                if let Some(reason) = state.window.note(true) {
                    state.suspect = None;
                    let why = failed.map_or("", |failed| failed.why);
                    self.open(&mut state, format!("{reason}: {why}"));
                }
            }
            (BreakerState::HalfOpen, Ended::Well) => {
                state.good += 1;
                if state.good >= self.0.settings.probes {
                    state.enter(BreakerState::Closed);
                    state.slow = self.0.settings.slow_start > 0;
                    state.suspect = None;
                    tracing::info!(breaker = self.name(), "closed: the dependency is back");
                }
            }
            (BreakerState::HalfOpen, Ended::Badly) => {
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
            (BreakerState::Open, _) | (_, Ended::Neither) => {}
        }
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

    fn open(&self, state: &mut State, reason: String) {
        state.enter(BreakerState::Open);
        tracing::warn!(breaker = self.name(), %reason, "opened: records wait");
        self.0.gate.close(reason);
        // Half open by itself, so that somebody is let through even where no record waits here.
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

impl State {
    fn admission(&self, settings: &Settings) -> Admission {
        match self.now {
            BreakerState::Closed if !self.slow => Admission::Free,
            BreakerState::Closed if self.out <= self.good => Admission::Probe,
            BreakerState::HalfOpen if self.out + self.good < settings.probes => Admission::Probe,
            BreakerState::Closed | BreakerState::HalfOpen | BreakerState::Open => Admission::Not,
        }
    }

    /// Notes whose probe failed.
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

    /// Whether that record was the probe more often in a row than is free for one.
    fn is_held_open_by(&self, failed: Option<&Failed<'_>>, free: Option<u32>) -> bool {
        let Some((suspect, free)) = self.suspect.as_ref().zip(free) else {
            return false;
        };
        let record = failed.and_then(|failed| failed.record);
        suspect.probes > free && record.is_some_and(|record| suspect.is(record))
    }

    /// See [`Inner::smooth`].
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

impl Permit {
    /// Whether it takes a place from others.
    pub(super) fn is_probe(&self) -> bool {
        self.probe
    }

    /// Whether it was given in a time without failures.
    pub(super) fn is_smooth(&self) -> bool {
        self.breaker.is_smooth(self.term)
    }

    /// Whether it is good for a call in the breaker's present state.
    pub(super) fn is_current(&self) -> bool {
        self.breaker.is_smooth(self.term) || self.breaker.0.state.lock().term == self.term
    }

    /// Whether an error of that class speaks against the dependency.
    pub(super) fn counts(&self, class: ErrorClass) -> bool {
        (self.breaker.0.settings.counts)(class)
    }

    /// The call has ended; whether a failure uses up an attempt of its record.
    pub(super) fn end(mut self, ended: Ended, failed: Option<&Failed<'_>>) -> bool {
        self.used = true;
        self.breaker.ended(self.term, self.probe, ended, failed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.used && self.probe {
            self.breaker
                .ended(self.term, self.probe, Ended::Neither, None);
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
