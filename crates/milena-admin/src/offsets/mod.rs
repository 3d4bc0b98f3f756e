//! Offsets: those of partitions, and those that groups have committed: listed, altered, deleted, reset.

mod alter;
mod committed;
mod delete;
mod listed;
mod reset;

pub use committed::CommittedOffset;
pub use listed::{ListedOffset, OffsetSpec};
pub use reset::{OffsetMove, ResetPlan, ResetScope, ResetTo};
