//! A queue from the task that reads a feed to its lanes, ordered by key. Each key is with one lane
//! at a time, but no lane owns a key.
//!
//! If each lane owned a share of the keys, some lanes would be idle while others have a queue, and
//! work would take a third longer or more. Here a free lane takes the next record whose key no
//! other lane works on.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::LaneQueue;

/// A queue that orders values by key.
///
/// It holds at most `capacity` values that a lane could take now. Values behind a key that a lane
/// works on do not count. The `max_out_of_order` window of the feed bounds those.
#[derive(Debug)]
pub(crate) struct KeyQueue<T> {
    /// The values.
    state: Mutex<KeyState<T>>,
    /// One permit for each value that still fits into `ready`.
    space: Semaphore,
    /// One permit for each value in `ready`. Closed once no more values come.
    filled: Semaphore,
}

#[derive(Debug)]
struct KeyState<T> {
    /// Values that a lane may take now, since no lane works on their key.
    ready: VecDeque<Ready<T>>,
    /// Keys of values that are in `ready` or with a lane, each with the values that wait behind it.
    /// A key without an entry is free.
    keys: HashMap<u64, VecDeque<T>>,
}

#[derive(Debug)]
/// A value that a lane may take.
struct Ready<T> {
    /// The hash of the key.
    key: u64,
    /// The value.
    value: T,
    /// True if the value took a permit of `space`. Values that waited behind their key did not.
    counted: bool,
}

impl<T> KeyQueue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(KeyState {
                ready: VecDeque::with_capacity(capacity),
                keys: HashMap::new(),
            }),
            space: Semaphore::new(capacity),
            filled: Semaphore::new(0),
        }
    }
}

impl<T: Send + 'static> LaneQueue<T> for KeyQueue<T> {
    /// The hash of the record's key.
    type Key = u64;

    /// Puts the value behind the values of its key. Waits for space if the key is free. Only one
    /// task may call this.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, the value is not in the queue.
    async fn give(&self, key: u64, value: T) {
        if let Some(waiting) = self.state.lock().keys.get_mut(&key) {
            waiting.push_back(value);
            return;
        }
        // The key is still free after the wait, because only `give` adds keys and one task calls
        // it.
        let Ok(space) = self.space.acquire().await else {
            return;
        };
        space.forget();
        let mut state = self.state.lock();
        state.keys.insert(key, VecDeque::new());
        state.ready.push_back(Ready {
            key,
            value,
            counted: true,
        });
        drop(state);
        self.filled.add_permits(1);
    }

    /// Takes the next value whose key is free, with the key. No lane gets another value of that key
    /// before [`done`](Self::done). Waits if there is none. Returns `None` once the queue is closed
    /// and all values are taken.
    async fn take(&self) -> Option<(u64, T)> {
        // Fails once the queue is closed. The rest is then taken without a permit.
        if let Ok(filled) = self.filled.acquire().await {
            filled.forget();
        }
        let taken = self.state.lock().ready.pop_front()?;
        if taken.counted {
            self.space.add_permits(1);
        }
        Some((taken.key, taken.value))
    }

    /// Notes that the value taken with this key is done. The next value of the key can then be
    /// taken.
    fn done(&self, key: u64) {
        let mut state = self.state.lock();
        let Some(value) = state.keys.get_mut(&key).and_then(VecDeque::pop_front) else {
            state.keys.remove(&key);
            return;
        };
        state.ready.push_back(Ready {
            key,
            value,
            counted: false,
        });
        drop(state);
        self.filled.add_permits(1);
    }

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
    async fn a_key_is_with_one_taker_at_a_time_and_keeps_its_order() {
        let queue = KeyQueue::new(4);
        for (key, value) in [(1, "a"), (1, "b"), (2, "c"), (1, "d")] {
            queue.give(key, value).await;
        }
        assert_eq!(queue.take().await, Some((1, "a")));
        assert_eq!(queue.take().await, Some((2, "c")));
        assert!(
            queue.take().now_or_never().is_none(),
            "the first key is taken"
        );
        queue.done(1);
        assert_eq!(queue.take().await, Some((1, "b")));
        queue.close();
        queue.done(1);
        assert_eq!(queue.take().await, Some((1, "d")));
        assert_eq!(queue.take().await, None);
    }

    #[tokio::test]
    async fn a_stuck_key_takes_no_space_from_others() {
        let queue = KeyQueue::new(1);
        queue.give(1, 0).await;
        assert_eq!(queue.take().await, Some((1, 0)));
        for behind in 1..100 {
            assert!(queue.give(1, behind).now_or_never().is_some());
        }
        queue.give(2, 100).await;
        assert_eq!(queue.take().await, Some((2, 100)));
    }

    #[tokio::test]
    async fn a_giver_waits_while_nobody_is_free() {
        let queue = KeyQueue::new(1);
        queue.give(1, 0).await;
        let mut second = std::pin::pin!(queue.give(2, 1));
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(queue.take().await, Some((1, 0)));
        second.await;
        assert_eq!(queue.take().await, Some((2, 1)));
    }
}
