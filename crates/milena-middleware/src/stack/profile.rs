//! What a layer says of itself, so that a stack can explain itself and check its order.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{BatchSize, Gate, Gauges, WriteTarget};

/// A layer that a [`Stack`](super::Stack) knows: it says what it is.
///
/// Any other tower layer goes in by [`tower_layer`](super::Stack::tower_layer). A layer of your own implements it with [`Kind::Other`], which may stand anywhere.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what it is, so that a stack could check its place",
    label = "not a layer that a stack knows",
    note = "put any tower layer in by `tower_layer` in place of `layer`; its place is not checked then",
    note = "or implement `StackLayer` for a layer of your own, with `Kind::Other`"
)]
pub trait StackLayer {
    /// What it is.
    fn profile(&self) -> Profile;
}

/// What a layer is.
#[derive(Clone, Debug)]
#[must_use = "a profile describes a layer to its stack"]
pub struct Profile {
    pub(crate) kind: Kind,
    pub(crate) text: Cow<'static, str>,
    pub(crate) gates: Vec<Gate>,
    pub(crate) gauges: Vec<Arc<dyn Gauges>>,
    pub(crate) records_attempts: bool,
    pub(crate) dead_letters: bool,
    pub(crate) retries: bool,
    pub(crate) asks_for_clock: bool,
    pub(crate) writes: Vec<WriteTarget>,
    pub(crate) notes: Vec<Cow<'static, str>>,
    pub(crate) rounds: usize,
    pub(crate) last_begins: Option<Duration>,
    pub(crate) attempts: u32,
    pub(crate) waits: Duration,
    pub(crate) longest: Option<Duration>,
    pub(crate) suffixes: Vec<String>,
    pub(crate) asks_for_dead_letters: bool,
    pub(crate) batch: Option<BatchSize>,
}

/// The kinds of layers, those whose places matter to each other first, in their default order, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// Writes what cannot be processed elsewhere.
    DeadLetter,
    /// Sends what failed to a retry topic, to be read again later.
    DelayedRetry,
    /// Passes over what was done before.
    Dedup,
    /// Tries again.
    Retry,
    /// Sends the records that the handler made.
    Emit,
    /// Waits for a dependency.
    CircuitBreaker,
    /// Spreads attempts over time.
    RateLimit,
    /// Bounds how many attempts there are at once.
    Concurrency,
    /// Ends attempts.
    Timeout,
    /// Catches panics.
    Recovery,
    /// Gathers records for the handler; always innermost.
    Batch,
    /// Gives errors their class; has to stand inside whatever asks for it.
    Classify,
    /// Passes over what is too old; may stand nearly anywhere.
    Expiry,
    /// Passes over what is not wanted; may stand anywhere.
    Filter,
    /// Is held by hand; may stand anywhere.
    Hold,
    /// Makes faults, for tests; may stand anywhere.
    Fault,
    /// Logs; may stand anywhere.
    Log,
    /// Makes spans; may stand anywhere.
    Trace,
    /// Counts attempts; may stand anywhere.
    Metrics,
    /// Anything else; may stand anywhere.
    Other,
}

impl Kind {
    /// Whether its place among the others of its like matters.
    pub(super) fn has_place(self) -> bool {
        self <= Self::Recovery
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeadLetter => "dead letter",
            Self::DelayedRetry => "delayed retry",
            Self::Dedup => "dedup",
            Self::Retry => "retry",
            Self::Emit => "emit",
            Self::CircuitBreaker => "circuit breaker",
            Self::RateLimit => "rate limit",
            Self::Concurrency => "concurrency",
            Self::Timeout => "timeout",
            Self::Recovery => "recovery",
            Self::Batch => "batch",
            Self::Classify => "classify",
            Self::Expiry => "expiry",
            Self::Filter => "filter",
            Self::Hold => "hold",
            Self::Fault => "fault",
            Self::Log => "log",
            Self::Trace => "trace",
            Self::Metrics => "metrics",
            Self::Other => "other",
        })
    }
}

impl Profile {
    /// A layer of that kind; `text` is one phrase for people.
    pub fn new(kind: Kind, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            text: text.into(),
            gates: Vec::new(),
            gauges: Vec::new(),
            records_attempts: false,
            dead_letters: false,
            retries: false,
            asks_for_clock: false,
            writes: Vec::new(),
            notes: Vec::new(),
            rounds: 0,
            last_begins: None,
            attempts: 1,
            waits: Duration::ZERO,
            longest: None,
            suffixes: Vec::new(),
            asks_for_dead_letters: false,
            batch: None,
        }
    }

    /// A gate that it closes while it is not ready.
    pub fn gate(mut self, gate: Gate) -> Self {
        self.gates.push(gate);
        self
    }

    /// Figures that it has to show.
    pub fn gauges(mut self, gauges: Arc<dyn Gauges>) -> Self {
        self.gauges.push(gauges);
        self
    }

    /// It records attempts, by the [`Recording`](milena_core::Recording) among a record's extensions.
    pub fn records_attempts(mut self) -> Self {
        self.records_attempts = true;
        self
    }

    /// It writes dead letters, so that what gets past it is final.
    pub fn dead_letters(mut self) -> Self {
        self.dead_letters = true;
        self
    }

    /// It tries records again, in place or by retry topics, so that the driver does not: retries are bounded in one place.
    pub fn retries(mut self) -> Self {
        self.retries = true;
        self
    }

    /// It asks for the time by the [`WallClock`](milena_core::WallClock) among a record's extensions.
    pub fn asks_for_clock(mut self) -> Self {
        self.asks_for_clock = true;
        self
    }

    /// A topic that it writes to: it has to be there before the first record.
    pub fn writes(mut self, target: WriteTarget) -> Self {
        self.writes.push(target);
        self
    }

    /// Something that it does and that may surprise, for people.
    pub fn note(mut self, note: impl Into<Cow<'static, str>>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// It sends a record on up to so many times, to be read again later: what is inside is then called anew.
    pub fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// It calls what is inside up to `attempts` times and waits up to `waits` between them, all waits together.
    pub fn repeats(mut self, attempts: u32, waits: Duration) -> Self {
        self.attempts = attempts.max(1);
        self.waits = waits;
        self
    }

    /// No attempt begins later than this after the first.
    pub fn begins_within(mut self, time: Duration) -> Self {
        self.last_begins = Some(time);
        self
    }

    /// It lets what is inside take at most `longest`.
    pub fn limits(mut self, longest: Duration) -> Self {
        self.longest = Some(longest);
        self
    }

    /// Its retry topics are named by these endings, so that what is read from them takes the route of the topic that they belong to.
    pub fn retry_topics<I>(mut self, suffixes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.suffixes = suffixes.into_iter().map(Into::into).collect();
        self
    }

    /// It may answer [`Outcome::DeadLetter`](milena_core::Outcome::DeadLetter), so that a dead letter layer has to stand outside of it.
    pub fn asks_for_dead_letters(mut self) -> Self {
        self.asks_for_dead_letters = true;
        self
    }

    /// It takes so many records at a time, which lanes then hand over together.
    pub fn batch(mut self, size: BatchSize) -> Self {
        self.batch = Some(size);
        self
    }
}
