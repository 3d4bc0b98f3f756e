//! The wall clock that a consumer hands to layers.

use std::fmt;
use std::sync::Arc;

use crate::{Extensions, Timestamp};

/// Reads the time of day. A consumer puts its own among a record's extensions for layers that
/// [ask for it](crate::RouteInfo::asks_for_clock), so that both go by one clock.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl WallClock {
    /// A clock that `read` reads.
    pub fn new(read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }

    /// The time now by the clock among `extensions`; where there is none, by the system's.
    #[must_use]
    pub fn now_by(extensions: &Extensions) -> Timestamp {
        let own = extensions.get::<Self>().map(Self::now);
        own.unwrap_or_else(Timestamp::now)
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WallClock").field(&self.now()).finish()
    }
}
