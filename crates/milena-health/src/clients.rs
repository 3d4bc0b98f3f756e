//! The clients that share a health: it is stopping once the last of them closes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::Health;

/// A client's part in a [`Health`], made by [`Health::join`]. A clone is the same part; the last one dropped takes it out.
#[derive(Clone)]
pub struct Joined(Arc<Part>);

struct Part {
    health: Health,
    is_closed: AtomicBool,
}

impl Joined {
    /// The client is closing. Once the last one does that has joined and is still there, the health is as after
    /// [`Health::shut_down`], until another joins.
    pub fn close(&self) {
        if !self.0.is_closed.swap(true, Ordering::AcqRel) {
            self.0.health.clients().leave(true);
        }
    }

    pub(crate) fn new(health: &Health) -> Self {
        health.clients().join();
        Self(Arc::new(Part {
            health: health.clone(),
            is_closed: AtomicBool::new(false),
        }))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !*self.is_closed.get_mut() {
            self.health.clients().leave(false);
        }
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined")
            .field("is_closed", &self.0.is_closed)
            .finish_non_exhaustive()
    }
}

/// How many clients there are, and whether the last of them has closed.
#[derive(Debug, Default)]
pub(crate) struct Clients(Mutex<Count>);

#[derive(Debug, Default)]
struct Count {
    open: usize,
    last_closed: bool,
}

impl Clients {
    fn join(&self) {
        let mut count = self.0.lock();
        count.open += 1;
        count.last_closed = false;
    }

    fn leave(&self, closed: bool) {
        let mut count = self.0.lock();
        count.open = count.open.saturating_sub(1);
        count.last_closed = closed && count.open == 0;
    }

    pub(crate) fn last_closed(&self) -> bool {
        self.0.lock().last_closed
    }
}
