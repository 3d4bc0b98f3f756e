//! The reader of a partition in memory.

use super::source::MemoryFeed;
use crate::source::{Next, Reader, Turn};

/// Reads one partition of a log in memory.
#[derive(Debug)]
pub struct MemoryReader(
    /// The feed to read.
    pub(super) MemoryFeed,
);

impl Reader for MemoryReader {
    fn next(&mut self, turn: &mut impl Turn) -> Next {
        self.0.deliver(|| turn.now())
    }
}
