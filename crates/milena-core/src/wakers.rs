//! A list of wakers of futures that wait for one condition. Needs no runtime.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Wakers, each with the id of the future that waits.
#[derive(Debug, Default)]
pub(crate) struct Wakers(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    /// The id given out last. Ids start at 1 and are never reused.
    next: u64,
    /// The futures that wait, with their latest waker. Empty after each wake-up.
    waiting: Vec<(u64, Waker)>,
}

impl Wakers {
    /// Stores the waker of `cx` under `id`. Gives the future an id if it has none.
    ///
    /// The caller must check its condition after this call. A wake-up between check and
    /// registration would otherwise be lost.
    pub(crate) fn register(&self, id: &mut Option<u64>, cx: &Context<'_>) {
        let mut list = self.lock();
        let key = *id.get_or_insert_with(|| {
            list.next += 1;
            list.next
        });
        match list.waiting.iter_mut().find(|(known, _)| *known == key) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => list.waiting.push((key, cx.waker().clone())),
        }
    }

    /// Removes a future that is dropped or done.
    pub(crate) fn forget(&self, id: &mut Option<u64>) {
        if let Some(key) = id.take() {
            self.lock().waiting.retain(|(known, _)| *known != key);
        }
    }

    /// Wakes all waiting futures and removes them. A future that still waits registers again.
    pub(crate) fn wake_all(&self) {
        // Take the list first. A waker may run code that registers again, which needs the lock.
        let waiting = std::mem::take(&mut self.lock().waiting);
        for (_, waker) in waiting {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        // No code panics in the middle of a change while it holds the lock, so the list is valid.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
