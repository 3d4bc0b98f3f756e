//! Words of settings. Files, commands, clients and brokers write the same values with them.
//!
//! Each type reads its word by `FromStr`, writes it by `Display`, and lists its values in `ALL`.
//! The error for a wrong word lists the right ones. A type whose values are words alone gets all of
//! this from one table (`words!`), in which the compiler misses a value that was forgotten.

mod acks;
mod assignor;
mod compression;
mod duration;
mod group;
mod handling;
mod isolation;
mod offset_reset;
mod order;
mod partitioner;
mod table;

pub use acks::Acks;
pub use assignor::AssignorName;
pub use compression::{Codec, Compression};
pub use duration::parse_duration;
pub use group::{GroupMembershipOperation, GroupProtocol};
pub use handling::{CorruptPolicy, LaneStopPolicy, StuckPolicy};
pub use isolation::IsolationLevel;
pub use offset_reset::OffsetReset;
pub use order::Order;
pub use partitioner::PartitionerName;

#[cfg(test)]
mod tests;
