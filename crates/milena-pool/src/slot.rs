//! A place for one long-lived connection to a broker. Callers that need it at once share one dial.

use milena_core::{Error, Result};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::connection::Connection;
use crate::line::Line;
use crate::tasks::closed;

/// A place for one connection. Only one caller dials at a time.
pub(crate) struct Slot {
    /// One permit, held by the caller that dials.
    turnstile: Semaphore,
    /// The connection dialed last. `None` before the first one. It may have ended.
    connection: Mutex<Option<Connection>>,
    /// The failed dials. Lets callers that waited for the permit share the error.
    failed: Mutex<Failed>,
}

/// Number of failed dials, and the error of the last one.
#[derive(Default)]
struct Failed {
    /// Number of failed dials so far.
    count: u64,
    /// The error of the last failed dial. `None` if none failed.
    last: Option<Error>,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            turnstile: Semaphore::new(1),
            connection: Mutex::new(None),
            failed: Mutex::default(),
        }
    }
}

impl Slot {
    /// Returns the connection. Dials if there is no working one, or if the broker's address
    /// changed.
    pub(crate) async fn connection(&self, line: &Line) -> Result<Connection> {
        if let Some(open) = self.open(line) {
            return Ok(open);
        }
        let seen = self.failed.lock().count;
        let _turn = self.turnstile.acquire().await.map_err(|_| closed())?;
        if let Some(open) = self.open(line) {
            return Ok(open);
        }
        // Another caller failed to dial while this one waited, so this one gets the same error. If
        // each waiting caller dialed in turn, the last one would wait for all connect timeouts.
        {
            let failed = self.failed.lock();
            if failed.count > seen
                && let Some(error) = &failed.last
            {
                return Err(error.clone());
            }
        }
        let dialed = line.dial().await;
        match &dialed {
            Ok(fresh) => *self.connection.lock() = Some(fresh.clone()),
            Err(error) => {
                let mut failed = self.failed.lock();
                failed.count += 1;
                failed.last = Some(error.clone());
            }
        }
        dialed
    }

    /// Returns the connection if it works and leads to the broker's current address.
    fn open(&self, line: &Line) -> Option<Connection> {
        let slot = self.connection.lock();
        let open = slot.as_ref()?;
        let usable = !open.is_closed() && *open.address() == line.address;
        usable.then(|| open.clone())
    }
}
