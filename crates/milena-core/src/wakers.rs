//! A list of tasks that wait for one thing, for futures that need no runtime.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Wakers by the id of the future that waits.
#[derive(Debug, Default)]
pub(crate) struct Wakers(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    next: u64,
    waiting: Vec<(u64, Waker)>,
}

impl Wakers {
    /// Notes the task of `cx` under `id`; a future without an id gets one. Check the condition again after this.
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

    /// Forgets a future that is dropped or done.
    pub(crate) fn forget(&self, id: &mut Option<u64>) {
        if let Some(key) = id.take() {
            self.lock().waiting.retain(|(known, _)| *known != key);
        }
    }

    /// Wakes all and forgets them.
    pub(crate) fn wake_all(&self) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        for (_, waker) in waiting {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        // Nothing that holds the lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
