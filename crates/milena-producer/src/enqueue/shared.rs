//! The state that callers and the send task share.

use std::sync::Arc;

use crate::clock::Clock;
use crate::enqueue::bell::Bell;
use crate::enqueue::memory::{Budget, Buffers};
use crate::enqueue::tick::Tick;

/// The memory, bell and clock that all partitions and the sender share.
pub(crate) struct Shared {
    /// The bytes of `buffer.memory` that are free.
    pub(crate) budget: Arc<Budget>,
    /// The unused buffers of batches.
    pub(crate) buffers: Buffers,
    /// The partitions with something new, and the signal that wakes the sender.
    pub(crate) bell: Bell,
    /// The wall clock that stamps records without a timestamp. It is the user's code, so it runs
    /// while no lock is held.
    pub(crate) clock: Clock,
    /// The coarse clock that shows when a read of `clock` is too old to be shared.
    pub(crate) tick: Tick,
}
