//! The wall clock of milena as rustls reads it.

use std::time::Duration;

use milena_core::WallClock;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// A wall clock by which rustls judges the lifetime of certificates.
#[derive(Debug)]
pub(crate) struct TlsClock(pub(crate) WallClock);

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.now().to_millis()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}
