//! The layer that passes over expired records.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Timestamp, WallClock};
use tower_layer::Layer;

use super::service::{AgeLimit, Expiry, Rules};
use crate::stack::{Kind, Profile, StackLayer};

/// Passes over records that are too old. Belongs inside the dead letter layer if it makes dead
/// letters, otherwise anywhere.
#[derive(Clone)]
pub struct ExpiryLayer {
    rules: Rules,
}

impl ExpiryLayer {
    /// Creates a layer that skips records older than `age`.
    #[must_use]
    pub fn after(age: Duration) -> Self {
        Self::new(AgeLimit::Age(age))
    }

    /// Creates a layer that skips records whose header `name` holds a time in the past.
    ///
    /// The header holds milliseconds since 1970 as decimal text. A record without the header, or
    /// with another value in it, does not expire.
    #[must_use]
    pub fn by_header(name: impl Into<Arc<str>>) -> Self {
        Self::new(AgeLimit::Header(name.into()))
    }

    /// Makes expired records dead letters instead of skipping them.
    #[must_use]
    pub fn to_dead_letters(mut self) -> Self {
        self.rules.dead_letters = true;
        self
    }

    /// Sets the wall clock. Default is the consumer's.
    #[must_use]
    pub fn clock(mut self, read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.rules.clock = Some(WallClock::new(read));
        self
    }

    fn new(limit: AgeLimit) -> Self {
        Self {
            rules: Rules {
                limit,
                dead_letters: false,
                clock: None,
            },
        }
    }
}

impl<S> Layer<S> for ExpiryLayer {
    type Service = Expiry<S>;

    fn layer(&self, inner: S) -> Expiry<S> {
        Expiry::new(inner, self.rules.clone())
    }
}

impl StackLayer for ExpiryLayer {
    fn profile(&self) -> Profile {
        let when = match &self.rules.limit {
            AgeLimit::Age(age) => format!("after {age:?}"),
            AgeLimit::Header(name) => format!("at the time in the header `{name}`"),
        };
        let profile = match self.rules.dead_letters {
            false => Profile::new(Kind::Expiry, format!("{when}, skipped")),
            true => {
                Profile::new(Kind::Expiry, format!("{when}, a dead letter")).asks_for_dead_letters()
            }
        };
        profile.asks_for_clock()
    }
}

impl fmt::Debug for ExpiryLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExpiryLayer")
            .field(&self.rules.limit)
            .finish()
    }
}
