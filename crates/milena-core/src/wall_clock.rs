//! The wall clock of a client, which a test may replace.

use std::fmt;
use std::sync::Arc;

use crate::{Extensions, Timestamp};

/// A source of wall-clock time. The default is the system clock. A clone reads the same source.
///
/// Timers do not follow it. They follow the runtime's clock, which tests pause. A consumer puts its
/// own clock into a record's extensions for layers that [ask for
/// it](crate::RouteInfo::asks_for_clock). Consumer and layer then read the same clock.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl WallClock {
    /// Creates a clock that calls `read` for the time.
    pub fn new(read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// Reads the time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }

    /// Returns the function that reads the time.
    #[must_use]
    pub fn reader(&self) -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
        Arc::clone(&self.0)
    }

    /// Reads the time from the clock in `extensions`, or from the system clock if there is none.
    #[must_use]
    pub fn now_by(extensions: &Extensions) -> Timestamp {
        let own = extensions.get::<Self>().map(Self::now);
        own.unwrap_or_else(Timestamp::now)
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new(Timestamp::now)
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}
