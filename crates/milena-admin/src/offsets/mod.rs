//! Offsets of partitions, and committed offsets of groups: listing, altering, deleting, resetting.

mod alter;
mod committed;
mod delete;
mod listed;
mod reset;

pub use committed::CommittedOffset;
pub use listed::{ListedOffset, OffsetSpec};
pub use reset::{OffsetMove, ResetPlan, ResetScope, ResetTo};
