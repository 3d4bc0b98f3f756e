//! The permits of a limit. Hands them out, takes them back, and changes their number with the
//! limit.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::limit::{AttemptEnd, Bounds, Limit};

#[derive(Debug)]
pub(super) struct Permits {
    /// The free permits. Never closed.
    semaphore: Arc<Semaphore>,
    /// The limit, and the number of permits made for it.
    state: Mutex<PermitsState>,
}

#[derive(Debug)]
struct PermitsState {
    /// The limit, which decides how many permits there should be.
    limit: Limit,
    /// The existing permits, including those in use. May exceed the limit until permits in use come
    /// back.
    made: usize,
}

/// The right to one attempt. Dropping it gives the permit back.
#[derive(Debug)]
pub(super) struct Permit {
    /// The permit of the semaphore. `None` once it was given back.
    permit: Option<OwnedSemaphorePermit>,
    /// The permits that it belongs to.
    permits: Arc<Permits>,
}

impl Permits {
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        let limit = Limit::new(bounds);
        let made = limit.size();
        Arc::new(Self {
            semaphore: Arc::new(Semaphore::new(made)),
            state: Mutex::new(PermitsState { limit, made }),
        })
    }

    pub(super) fn limit(&self) -> usize {
        self.state.lock().limit.size()
    }

    pub(super) fn try_take(self: &Arc<Self>) -> Option<Permit> {
        let permit = Arc::clone(&self.semaphore).try_acquire_owned().ok()?;
        Some(self.permit(Some(permit)))
    }

    /// Waits for a permit, in the order of the calls.
    pub(super) async fn take(self: Arc<Self>) -> Permit {
        // The semaphore is never closed, so this always yields a permit.
        let permit = Arc::clone(&self.semaphore).acquire_owned().await.ok();
        self.permit(permit)
    }

    /// Returns true if no permit is free.
    pub(super) fn is_full(&self) -> bool {
        self.semaphore.available_permits() == 0
    }

    pub(super) fn ended(&self, began: Instant, overloaded: bool, unrelated: bool, full: bool) {
        let mut state = self.state.lock();
        state.limit.ended(AttemptEnd {
            began,
            now: Instant::now(),
            overloaded,
            unrelated,
            full,
        });
        let size = state.limit.size();
        if size > state.made {
            self.semaphore.add_permits(size - state.made);
            state.made = size;
        } else if size < state.made {
            // Permits in use are removed when they come back.
            state.made -= self.semaphore.forget_permits(state.made - size);
        }
    }

    fn permit(self: &Arc<Self>, permit: Option<OwnedSemaphorePermit>) -> Permit {
        Permit {
            permit,
            permits: Arc::clone(self),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let mut state = self.permits.state.lock();
        if state.made > state.limit.size() {
            state.made -= 1;
            permit.forget();
        }
    }
}
