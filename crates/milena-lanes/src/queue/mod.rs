//! Queues from the task that reads a feed to several lanes.

mod bounded;
mod by_key;

use std::future::Future;

pub(crate) use bounded::BoundedQueue;
pub(crate) use by_key::KeyQueue;

/// A queue between one reader and several lanes.
pub(crate) trait LaneQueue<T>: Send + Sync + 'static {
    /// The unit of order. Values with the same key are with one lane at a time.
    type Key: Copy + Send;

    /// Puts a value behind those of its key. Waits while no lane is free. Only one task may call
    /// this.
    fn give(&self, key: Self::Key, value: T) -> impl Future<Output = ()> + Send;

    /// Takes the next value that a lane may have, and waits for one. Returns `None` once the queue
    /// is closed and empty.
    fn take(&self) -> impl Future<Output = Option<(Self::Key, T)>> + Send;

    /// Notes that the value that was taken with this key is done.
    fn done(&self, key: Self::Key);

    /// Closes the queue. Values that are in it are still taken.
    fn close(&self);
}
