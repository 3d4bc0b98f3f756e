//! A queue from the task that reads a partition to its lanes, by key: a key is with one lane at a time, and no lane belongs to a key.
//!
//! Lanes that each owned a share of the keys would leave some idle while others have a queue, by a third and more; here any lane that
//! is free takes the next record whose key nobody works on.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Holds at most so many values that could be worked on at once; those behind a key that is worked on wait with it, as many as come.
#[derive(Debug)]
pub(crate) struct KeyQueue<T> {
    state: Mutex<State<T>>,
    space: Semaphore,
    filled: Semaphore,
}

#[derive(Debug)]
struct State<T> {
    /// Values whose keys nobody works on.
    ready: VecDeque<Ready<T>>,
    /// Keys that are ready or worked on, with what waits behind each.
    keys: HashMap<u64, VecDeque<T>>,
}

#[derive(Debug)]
struct Ready<T> {
    key: u64,
    value: T,
    /// Whether it took space; what waited behind its key did not.
    counted: bool,
}

impl<T> KeyQueue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                ready: VecDeque::with_capacity(capacity),
                keys: HashMap::new(),
            }),
            space: Semaphore::new(capacity),
            filled: Semaphore::new(0),
        }
    }

    /// Puts the value behind those of its key; waits for space when its key is free. For one giver only.
    ///
    /// # Cancel safety
    /// Dropped before it resolves, the value is not in the queue.
    pub(crate) async fn give(&self, key: u64, value: T) {
        if let Some(waiting) = self.state.lock().keys.get_mut(&key) {
            waiting.push_back(value);
            return;
        }
        // Only a giver adds keys, and there is no other: it is still free afterwards.
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

    /// The next value whose key is free, and the key, which is not until it is [`done`](Self::done); `None` once all is taken.
    pub(crate) async fn take(&self) -> Option<(u64, T)> {
        if let Ok(filled) = self.filled.acquire().await {
            filled.forget();
        }
        let taken = self.state.lock().ready.pop_front()?;
        if taken.counted {
            self.space.add_permits(1);
        }
        Some((taken.key, taken.value))
    }

    /// The value that was taken of this key is done.
    pub(crate) fn done(&self, key: u64) {
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

    /// Nothing more comes.
    pub(crate) fn close(&self) {
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
