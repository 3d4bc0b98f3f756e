//! The description of a layer, with which a stack explains itself and checks its order.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{BatchSize, Gate, Gauges, WriteTarget};

/// A layer that a [`Stack`](super::Stack) knows. It describes itself.
///
/// Any other tower layer is added with [`tower_layer`](super::Stack::tower_layer). A layer of your
/// own implements this trait with [`Kind::Other`], which may be anywhere.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement `StackLayer`, so a stack cannot check its place",
    label = "not a layer that a stack knows",
    note = "add any tower layer with `tower_layer` instead of `layer`; its place is not checked then",
    note = "or implement `StackLayer` for a layer of your own, with `Kind::Other`"
)]
pub trait StackLayer {
    /// Returns the description.
    fn profile(&self) -> Profile;
}

/// The description of a layer.
#[derive(Clone, Debug)]
#[must_use = "a profile describes a layer to its stack"]
pub struct Profile {
    /// The kind of layer. Decides its place in the order.
    pub(crate) kind: Kind,
    /// One phrase for people.
    pub(crate) text: Cow<'static, str>,
    /// The gates that the layer closes while it is not ready.
    pub(crate) gates: Vec<Gate>,
    /// The figures that the layer shows in metrics.
    pub(crate) gauges: Vec<Arc<dyn Gauges>>,
    /// True if the layer records attempts, so that the driver does not.
    pub(crate) records_attempts: bool,
    /// True if the layer writes dead letters.
    pub(crate) dead_letters: bool,
    /// True if the layer retries records, so that the driver does not.
    pub(crate) retries: bool,
    /// True if the layer needs a wall clock among the extensions.
    pub(crate) asks_for_clock: bool,
    /// The topics that the layer writes to.
    pub(crate) writes: Vec<WriteTarget>,
    /// Notes on facts that may surprise, for people.
    pub(crate) notes: Vec<Cow<'static, str>>,
    /// The largest number of times that the layer sends a record on to be read again.
    pub(crate) rounds: usize,
    /// The longest time from the first attempt to the start of the last. `None` for no limit.
    pub(crate) last_begins: Option<Duration>,
    /// The largest number of calls to the layers inside. At least 1.
    pub(crate) attempts: u32,
    /// The longest waits between these calls, all together.
    pub(crate) waits: Duration,
    /// The longest time of one call. `None` for no limit.
    pub(crate) longest: Option<Duration>,
    /// The suffixes of the layer's retry topics.
    pub(crate) suffixes: Vec<String>,
    /// True if the layer may answer with a dead letter, which needs a dead letter layer outside.
    pub(crate) asks_for_dead_letters: bool,
    /// The size of the batches that the layer takes. `None` for single records.
    pub(crate) batch: Option<BatchSize>,
}

/// The kinds of layers. Those with a fixed place come first, in their default order, outermost
/// first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// Writes records that failed finally to a dead letter topic.
    DeadLetter,
    /// Sends failed records to a retry topic, to be read again later.
    DelayedRetry,
    /// Passes over records that were done before.
    Dedup,
    /// Retries in place.
    Retry,
    /// Sends the records that the handler emitted.
    Emit,
    /// Makes records wait for a dependency.
    CircuitBreaker,
    /// Spreads attempts over time.
    RateLimit,
    /// Limits the attempts that run at once.
    Concurrency,
    /// Ends attempts that take too long.
    Timeout,
    /// Catches panics.
    Recovery,
    /// Gathers records for the handler. Always innermost.
    Batch,
    /// Gives errors their class. Must be inside every layer that uses the class.
    Classify,
    /// Passes over expired records. May be nearly anywhere.
    Expiry,
    /// Passes over records by a predicate. May be anywhere.
    Filter,
    /// Stops the route by hand. May be anywhere.
    Hold,
    /// Makes faults, for tests. May be anywhere.
    Fault,
    /// Writes log lines. May be anywhere.
    Log,
    /// Makes spans. May be anywhere.
    Trace,
    /// Counts attempts. May be anywhere.
    Metrics,
    /// Any other layer. May be anywhere.
    Other,
}

impl Kind {
    /// Returns true if its place relative to other kinds matters.
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
    /// Creates the description of a layer. `text` is one phrase for people.
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

    /// Adds a gate that the layer closes while it is not ready.
    pub fn gate(mut self, gate: Gate) -> Self {
        self.gates.push(gate);
        self
    }

    /// Adds figures that the layer shows in metrics.
    pub fn gauges(mut self, gauges: Arc<dyn Gauges>) -> Self {
        self.gauges.push(gauges);
        self
    }

    /// Declares that the layer records attempts, by the [`Recording`](milena_core::Recording) among
    /// a record's extensions.
    pub fn records_attempts(mut self) -> Self {
        self.records_attempts = true;
        self
    }

    /// Declares that the layer writes dead letters. An error that leaves it is final.
    pub fn dead_letters(mut self) -> Self {
        self.dead_letters = true;
        self
    }

    /// Declares that the layer retries records, in place or by retry topics. The driver then does
    /// not, so that one place limits retries.
    pub fn retries(mut self) -> Self {
        self.retries = true;
        self
    }

    /// Declares that the layer reads the time from the [`WallClock`](milena_core::WallClock) among
    /// a record's extensions.
    pub fn asks_for_clock(mut self) -> Self {
        self.asks_for_clock = true;
        self
    }

    /// Adds a topic that the layer writes to. It must exist before the first record is processed.
    pub fn writes(mut self, target: WriteTarget) -> Self {
        self.writes.push(target);
        self
    }

    /// Adds a note on a fact that may surprise, for people.
    pub fn note(mut self, note: impl Into<Cow<'static, str>>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Declares that the layer sends a record on up to `rounds` times to be read again later. The
    /// layers inside then run again.
    pub fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// Declares that the layer calls the layers inside up to `attempts` times. All waits between
    /// the calls take up to `waits` together.
    pub fn repeats(mut self, attempts: u32, waits: Duration) -> Self {
        self.attempts = attempts.max(1);
        self.waits = waits;
        self
    }

    /// Declares that no attempt begins later than `time` after the first.
    pub fn begins_within(mut self, time: Duration) -> Self {
        self.last_begins = Some(time);
        self
    }

    /// Declares that a call of the layers inside takes at most `longest`.
    pub fn limits(mut self, longest: Duration) -> Self {
        self.longest = Some(longest);
        self
    }

    /// Adds the suffixes of the layer's retry topics. Records of these topics then take the route
    /// of the base topic.
    pub fn retry_topics<I>(mut self, suffixes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.suffixes = suffixes.into_iter().map(Into::into).collect();
        self
    }

    /// Declares that the layer may answer
    /// [`Outcome::DeadLetter`](milena_core::Outcome::DeadLetter), so a dead letter layer must be
    /// outside it.
    pub fn asks_for_dead_letters(mut self) -> Self {
        self.asks_for_dead_letters = true;
        self
    }

    /// Declares that the layer takes batches of this size. Lanes then hand over several records
    /// together.
    pub fn batch(mut self, size: BatchSize) -> Self {
        self.batch = Some(size);
        self
    }
}
