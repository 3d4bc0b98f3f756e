//! What a layer says of itself, so that a stack can explain itself and check its order.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Gate, Gauges};

/// A layer that a [`Stack`](super::Stack) knows: it says what it is.
///
/// A layer of your own implements it with [`Kind::Other`], which may stand anywhere.
pub trait StackLayer {
    /// What it is.
    fn profile(&self) -> Profile;
}

/// What a layer is.
#[derive(Clone, Debug)]
#[must_use = "a profile describes a layer to its stack"]
pub struct Profile {
    pub(super) kind: Kind,
    pub(super) text: Cow<'static, str>,
    pub(super) gates: Vec<Gate>,
    pub(super) gauges: Vec<Arc<dyn Gauges>>,
    pub(super) records_attempts: bool,
    pub(super) dead_letters: bool,
    pub(super) attempts: u32,
    pub(super) waits: Duration,
    pub(super) longest: Option<Duration>,
}

/// The kinds of layers whose places matter to each other, in their default order, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// Writes what cannot be processed elsewhere.
    DeadLetter,
    /// Tries again.
    Retry,
    /// Waits for a dependency.
    CircuitBreaker,
    /// Ends attempts.
    Timeout,
    /// Catches panics.
    Recovery,
    /// Logs; may stand anywhere.
    Log,
    /// Counts attempts; may stand anywhere.
    Metrics,
    /// Anything else; may stand anywhere.
    Other,
}

impl Kind {
    /// Whether its place matters.
    pub(super) fn has_place(self) -> bool {
        !matches!(self, Self::Log | Self::Metrics | Self::Other)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeadLetter => "dead letter",
            Self::Retry => "retry",
            Self::CircuitBreaker => "circuit breaker",
            Self::Timeout => "timeout",
            Self::Recovery => "recovery",
            Self::Log => "log",
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
            attempts: 1,
            waits: Duration::ZERO,
            longest: None,
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

    /// It calls what is inside up to `attempts` times and waits up to `waits` between them, all waits together.
    pub fn repeats(mut self, attempts: u32, waits: Duration) -> Self {
        self.attempts = attempts.max(1);
        self.waits = waits;
        self
    }

    /// It lets what is inside take at most `longest`.
    pub fn limits(mut self, longest: Duration) -> Self {
        self.longest = Some(longest);
        self
    }
}
