//! A bounded queue from the task that reads a feed to its lanes, in no order.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::LaneQueue;

/// A queue of at most `capacity` values. `give` waits while it is full.
#[derive(Debug)]
pub(crate) struct BoundedQueue<T> {
    /// Values in the order in which they were given.
    items: Mutex<VecDeque<T>>,
    /// One permit for each value that still fits.
    space: Semaphore,
    /// One permit for each value in `items`. Closed once no more values come.
    filled: Semaphore,
}

impl<T> BoundedQueue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            items: Mutex::new(VecDeque::with_capacity(capacity)),
            space: Semaphore::new(capacity),
            filled: Semaphore::new(0),
        }
    }
}

impl<T: Send + 'static> LaneQueue<T> for BoundedQueue<T> {
    type Key = ();

    /// Waits for space, then puts the value at the end.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, the value is not in the queue.
    async fn give(&self, (): (), value: T) {
        let Ok(space) = self.space.acquire().await else {
            return;
        };
        space.forget();
        self.items.lock().push_back(value);
        self.filled.add_permits(1);
    }

    /// Takes the value at the front, and waits for one if the queue is empty. Returns `None` once
    /// the queue is closed and empty.
    async fn take(&self) -> Option<((), T)> {
        // Fails once the queue is closed. The rest is then taken without a permit.
        if let Ok(filled) = self.filled.acquire().await {
            filled.forget();
        }
        let taken = self.items.lock().pop_front();
        if taken.is_some() {
            self.space.add_permits(1);
        }
        taken.map(|value| ((), value))
    }

    fn done(&self, (): ()) {}

    /// Closes the queue. Values that are in it are still taken.
    fn close(&self) {
        self.filled.close();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_giver_waits_for_space_and_takers_get_all_before_the_end() {
        let queue = BoundedQueue::new(2);
        queue.give((), 1).await;
        queue.give((), 2).await;
        let mut third = std::pin::pin!(queue.give((), 3));
        assert!(third.as_mut().now_or_never().is_none());
        assert_eq!(queue.take().await, Some(((), 1)));
        third.await;
        queue.close();
        assert_eq!(queue.take().await, Some(((), 2)));
        assert_eq!(queue.take().await, Some(((), 3)));
        assert_eq!(queue.take().await, None);
    }
}
